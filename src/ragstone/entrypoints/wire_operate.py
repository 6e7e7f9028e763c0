"""What operators look at, on the wire."""

from __future__ import annotations

from collections.abc import Sequence

from ragstone.entrypoints.wire import Wire
from ragstone.operate.findings import Finding
from ragstone.operate.gpu import GpuBenchmark, GpuReport


def findings(found: Sequence[Finding]) -> Wire:
    """What the doctor found."""
    return {
        "ok": all(one.status != "failed" for one in found),
        "findings": [
            {"name": one.name, "status": one.status, "detail": one.detail, "fix": one.fix or None}
            for one in found
        ],
    }


def gpu(report: GpuReport) -> Wire:
    """Which devices there are and which one is used."""
    used = report.placement
    return {
        "verdict": report.verdict,
        "devices": [
            {
                "name": one.name,
                "kind": one.kind,
                "used_bytes": one.used_bytes,
                "total_bytes": one.total_bytes,
                "busy_ratio": one.busy_ratio,
            }
            for one in report.gpus
        ],
        "providers": list(report.providers),
        "wanted": report.wanted,
        "embedder": {
            "device": used.device,
            "runtime": used.runtime,
            "provider": used.provider,
            "precision": used.precision,
            "threads": used.threads,
            "note": used.note or None,
            "fallbacks": used.fallbacks,
        },
    }


def gpu_benchmark(found: GpuBenchmark) -> Wire:
    """What each device is worth."""
    return {
        "results": [
            {
                "device": row.device,
                "batch_size": row.batch_size,
                "texts_per_s": row.texts_per_s,
                "ms_per_text": row.ms_per_text,
            }
            for row in found.rows
        ],
        "rounds": found.rounds,
        "duration_s": found.duration_s,
        "is_complete": found.is_complete,
        "gpu_problem": found.gpu_problem or None,
        "best_speedup": found.best_speedup,
    }
