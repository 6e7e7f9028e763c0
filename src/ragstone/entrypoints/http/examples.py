"""Examples and hand-written parts of the OpenAPI description."""

from __future__ import annotations

from typing import Any, Final

from ragstone.entrypoints.http.schemas import AddText, PreviewOptions, PreviewText, ReplaceText

WRITTEN: Final = {
    "id": "0192f0c4-6a6e-7cc1-9d2e-3f1f5a0c9b11",
    "version": 1,
    "chunk_count": 1,
    "embedded_count": 1,
    "collection": "default",
    "corpus_version": 12,
    "status": "added",
    "warnings": [],
}

PREVIEWED: Final = {
    "title": "Opening hours",
    "media_type": "text/markdown",
    "language": None,
    "char_count": 43,
    "warnings": [],
    "chunking": {"strategy": "structure", "max_tokens": 220, "overlap_tokens": 0},
    "chunks": [
        {
            "text": "# Opening hours\n\nThe library opens at nine.",
            "span": {"start": 0, "end": 43},
            "token_count": 9,
            "page": None,
            "section": ["Opening hours"],
        }
    ],
    "statistics": {
        "chunk_count": 1,
        "tokens": {"p50": 9, "p95": 9, "max": 9},
        "overlap_share": 0.0,
        "unmeasured": 0,
    },
}

POPULAR: Final = {
    "days": None,
    "queries": [
        {
            "query": "When does the library open?",
            "count": 42,
            "first_asked_at": "2026-11-02T08:12:44.120+00:00",
            "last_asked_at": "2026-11-21T09:30:01.007+00:00",
            "collections": ["default"],
        }
    ],
}

COMPLETIONS: Final = {"completions": [{"query": "When does the library open?", "count": 42}]}

SIMILAR: Final = {
    "queries": [{"query": "When does the library open?", "similarity": 0.7312, "count": 42}],
}

QUERY_STATISTICS: Final = {
    "days": 30,
    "tracked": 310,
    "asked": 1204,
    "answers": 1100,
    "without_hits": 12,
    "by_day": [
        {"date": "2026-11-21", "asked": 1204, "distinct": 310, "answers": 1100, "without_hits": 12},
    ],
}

WARMING: Final = {
    "is_running": False,
    "current": None,
    "last": {
        "reason": "asked",
        "state": "done",
        "planned": 100,
        "warmed": 99,
        "failed": 1,
        "skipped": 0,
        "waited_s": 0.4,
        "duration_s": 3.1,
        "started_at": "2026-11-21T09:30:00+00:00",
        "finished_at": "2026-11-21T09:30:03+00:00",
    },
    "run_count": 1,
    "warmed_count": 99,
    "next_run_at": None,
    "prefetch": {"is_on": True, "warmed": 12, "used": 7, "known": 30, "failed": 0, "skipped": 0, "late": 0},
}

CITATION: Final = {
    "marker": 1,
    "document_id": "0192f0c4-6a6e-7cc1-9d2e-3f1f5a0c9b11",
    "chunk_id": "0192f0c4-6a71-7f30-8a55-0b6a1d1f7e02",
    "title": "Opening hours",
    "source": None,
    "quote": "The library opens at nine.",
    "span": {"start": 17, "end": 43},
    "page": None,
    "section": ["Opening hours"],
}

HIT: Final = {
    "chunk_id": CITATION["chunk_id"],
    "document_id": CITATION["document_id"],
    "collection": "default",
    "title": "Opening hours",
    "source": None,
    "text": "# Opening hours\n\nThe library opens at nine.",
    "score": 0.665,
    "span": {"start": 0, "end": 43},
    "page": None,
    "section": ["Opening hours"],
    "metadata": {"year": 2024},
    "scores": {
        "lexical": {"rank": 1, "score": 2.4, "share": 0.62},
        "dense": {"rank": 1, "score": 0.71, "share": 0.71},
        "fused": 0.665,
    },
}

SEARCHED: Final = {
    "hits": [HIT],
    "corpus_version": 12,
    "degraded": [],
    "cache": "miss",
    "timings": {"lexical": 0.4, "embed_query": 2.0, "dense": 2.2, "hydrate": 0.9, "total": 3.6},
}

ANSWERED: Final = {
    "answer_id": "0192f0c5-0a10-7e62-b1d4-55b7f0a3c9aa",
    "answer": "“The library opens at nine.” [1]",
    "mode": "extractive",
    "model": None,
    "citations": [CITATION],
    "hits": [HIT],
    "usage": None,
    "corpus_version": 12,
    "degraded": [],
    "cache": "miss",
    "timings": {"total": 21.5},
    "request_id": "5f0d1c6a7f5f4b0c9c9c2b6d8f1f0e3a",
}

JOB: Final[dict[str, object]] = {
    "id": "0192f0c6-1b1c-7b5e-8a41-6f0e6c3d2b77",
    "state": "running",
    "stage": "embed",
    "progress": {"done": 256, "total": 1024},
    "priority": "bulk",
    "document_id": "0192f0c4-6a6e-7cc1-9d2e-3f1f5a0c9b11",
    "name": "report.pdf",
    "collection": "default",
    "source_name": None,
    "size_bytes": 4812033,
    "attempts": 1,
    "failures": 0,
    "history": [],
    "result": None,
    "error": None,
    "retryable": False,
    "run_after": None,
    "created_at": "2026-11-20T12:00:00.000000+00:00",
    "started_at": "2026-11-20T12:00:00.004100+00:00",
    "finished_at": None,
    "updated_at": "2026-11-20T12:00:03.214000+00:00",
    "explanation": "'report.pdf' is being embedded, 256 of 1024 chunks done (attempt 1).",
}

PROBLEM: Final = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "detail": "No document has the id 'nope'. `ragstone docs list` shows the ids there are.",
    "code": "document_not_found",
    "path": "/v1/documents/nope",
    "timestamp": "2026-11-20T12:00:00.000+00:00",
    "request_id": "5f0d1c6a7f5f4b0c9c9c2b6d8f1f0e3a",
    "retryable": False,
}

_FORM: Final = {
    "schema": {
        "type": "object",
        "properties": {
            "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
            "collection": {"type": "string", "default": "default"},
            "title": {"type": "string"},
            "source": {"type": "string"},
            "metadata": {"type": "string", "description": "A JSON object."},
            "wait_s": {"type": "number", "default": 30},
            "priority": {"type": "string", "enum": ["interactive", "bulk"]},
        },
        "required": ["file"],
    }
}

# OpenAPI fragments are open-ended JSON, which FastAPI types as Any.
Fragment = dict[str, Any]


def _body(model: type[AddText | ReplaceText]) -> Fragment:
    schema = model.model_json_schema()
    content = {"application/json": {"schema": schema}, "multipart/form-data": _FORM}
    return {"requestBody": {"required": True, "content": content}}


ADD_BODY: Final[Fragment] = _body(AddText)
REPLACE_BODY: Final[Fragment] = _body(ReplaceText)


def _preview_body() -> Fragment:
    fields = PreviewOptions.model_json_schema()["properties"]
    form = {"properties": {"file": {"type": "string", "format": "binary"}, **fields}, "required": ["file"]}
    content = {
        "application/json": {"schema": PreviewText.model_json_schema()},
        "multipart/form-data": {"schema": {"type": "object", **form}},
    }
    return {"requestBody": {"required": True, "content": content}}


PREVIEW_BODY: Final[Fragment] = _preview_body()


def documented(examples: dict[int, object]) -> dict[int | str, Fragment]:
    """Responses with an example each, and the problem that every route may answer with."""
    shown: dict[int | str, Fragment] = {
        status: {"description": "Success.", "content": {"application/json": {"example": example}}}
        for status, example in examples.items()
    }
    problem = {"description": "A problem.", "content": {"application/problem+json": {"example": PROBLEM}}}
    return {**shown, "default": problem}


CACHES: Final[dict[str, object]] = {
    "caches": [
        {
            "name": "answer",
            "hits": {"memory": 41, "sqlite": 2},
            "misses": 18,
            "hit_rate": 0.7049,
            "sets": 17,
            "errors": 0,
            "entries": 17,
            "size_bytes": 213504,
            "max_bytes": 33554432,
            "ttl_s": 1800.0,
            "saved_ms": 96214.3,
            "saved_tokens": 52318,
            "mean_lookup_us": 31.2,
        }
    ],
    "tier": {
        "name": "sqlite",
        "is_available": True,
        "error": None,
        "entries": 212,
        "size_bytes": 1048576,
        "written_payload_bytes": 2310144,
        "written_stored_bytes": 1003520,
        "dropped": 0,
    },
}

TRACED: Final = {
    "answer_id": "0192f0c4-6a6e-7cc1-9d2e-3f1f5a0c9b11",
    "at": "2026-11-21T09:30:01.007+00:00",
    "question": "When does the library open?",
    "request": {"kind": "ask", "collections": ["default"], "mode": "hybrid", "top_k": 10},
    "door": "http",
    "client": "127.0.0.1",
    "request_id": "7f0c2ab0f3e94f0e8a3a5d3f5a1f9c11",
    "trace_id": None,
    "error_code": None,
    "cache": "miss",
    "caches": [{"level": "answer", "outcome": "miss", "reason": None}],
    "repeats": None,
    "corpus_version": 12,
    "degraded": [],
    "failures": [],
    "duration_ms": 21.4,
    "stages": [{"name": "lexical", "start_ms": 0.4, "duration_ms": 1.1}],
    "search": {
        "collections": ["default"],
        "weights": {"lexical": 1.0, "dense": 1.0},
        "fusion": "score",
        "depth": 100,
        "attempts": 1,
        "legs": {"lexical": {"count": 1, "failure": None, "first": []}},
        "ranking": {"count": 1, "first": []},
    },
    "hits": [],
    "passages": [],
    "mode": "extractive",
    "model": None,
    "prompt_version": None,
    "temperature": None,
    "usage": None,
    "citations": [
        {
            "marker": 1,
            "chunk_id": "0192f0c4-6a6f-7cc1-9d2e-3f1f5a0c9b12",
            "document_id": "0192f0c4-6a6e-7cc1-9d2e-3f1f5a0c9b11",
            "span": {"start": 17, "end": 43},
            "state": "exact",
            "quote": "The library opens at nine.",
        }
    ],
}

STATISTICS: Final = {
    "uptime_s": 3600.1,
    "since_s": 3600.1,
    "operations": {
        "ask": {
            "count": 42,
            "errors": 0,
            "min": 0.2,
            "mean": 11.8,
            "max": 41.0,
            "p50": 9.7,
            "p95": 30.2,
            "p99": 41.0,
        }
    },
    "custom": {},
    "errors": {},
    "dropped": 0,
}
