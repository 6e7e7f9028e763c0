"""A job in one paragraph: what happened, in which stage, how often, and what to do (pure)."""

from __future__ import annotations

from ragstone.store.job_rows import Job

_DOING = {
    "parse": "being read",
    "chunk": "being cut into chunks",
    "embed": "being embedded",
    "write": "being stored and indexed",
}


def explain(job: Job) -> str:
    """The paragraph."""
    sentences = [_state(job), *_attempts(job), _advice(job)]
    return " ".join(sentence for sentence in sentences if sentence)


def _state(job: Job) -> str:
    match job.state:
        case "queued" if job.attempts:
            return f"{job.name!r} waits to be tried again, at {job.run_after} at the earliest."
        case "queued":
            return f"{job.name!r} waits for a worker since {job.created_at} (priority {job.priority})."
        case "running":
            progress = f", {job.done} of {job.total} chunks done" if job.total else ""
            return f"{job.name!r} is {_DOING[job.stage]}{progress} (attempt {job.attempts})."
        case "ready":
            count = (job.result or {}).get("chunk_count", 0)
            return (
                f"{job.name!r} is in collection {job.collection!r} as document {job.document_id}, "
                f"in {count} chunks, since {job.finished_at}."
            )
        case "cancelled":
            return f"{job.name!r} was cancelled at {job.finished_at} and is not stored."
        case "failed":
            return f"{job.name!r} failed in the stage {job.stage!r} at {job.finished_at} and is not stored."


def _attempts(job: Job) -> list[str]:
    if not job.history:
        return []
    last = job.history[-1]
    count = len(job.history)
    times = "One attempt" if count == 1 else f"{count} attempts"
    return [f"{times} ended early, the last one in the stage {last.stage!r} [{last.code}]: {last.message}"]


def _advice(job: Job) -> str:
    match job.state:
        case "queued":
            return "A server with ingest.workers above 0 or a `ragstone worker` on this home takes it up."
        case "failed" if job.is_original_kept:
            return f"Once the cause is mended, `ragstone jobs retry {job.id}` tries it again."
        case "failed":
            return "The file itself was refused and not kept; mend it and add it again."
        case "cancelled":
            return job.error_message or "Add the file again if it is wanted after all."
        case "running" | "ready":
            return ""
