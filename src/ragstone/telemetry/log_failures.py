"""Exceptions as the log and Sentry show them: what kind and where, without the words of their messages.

A message may quote a question, a document, a file's name or a model's server that quotes the prompt.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import TypedDict

from ragstone.errors import RagstoneError

MOST_FRAMES = 50
LONGEST_CHAIN = 10


class Failure(TypedDict, total=False):
    """One exception of a chain."""

    type: str
    code: str
    reason: str
    message: str
    frames: list[str]


def failures(error: BaseException, *, has_messages: bool = False) -> list[Failure]:
    """The exception and what it was raised from, the outermost first."""
    chain: list[Failure] = []
    current: BaseException | None = error
    while current is not None and len(chain) < LONGEST_CHAIN:
        chain.append(_failure(current, has_messages=has_messages))
        inner = current.exceptions[0] if isinstance(current, BaseExceptionGroup) else None
        current = (
            inner or current.__cause__ or (None if current.__suppress_context__ else current.__context__)
        )
    return chain


def plain(chain: list[Failure]) -> str:
    """The same in lines, for people."""
    lines = []
    for failure in chain:
        told = [failure[name] for name in ("code", "reason", "message") if name in failure]
        lines.append(f"{failure['type']}: {', '.join(told)}" if told else failure["type"])
        lines += [f"  at {frame}" for frame in failure["frames"]]
    return "\n".join(lines)


def reason_of(error: BaseException) -> str | None:
    """What the system or the database says, where that can be nobody's words."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    # By name: SQL's modules belong to the store.
    if type(error).__module__ == "sqlite3":
        return str(getattr(error, "sqlite_errorname", "")) or None
    return None


def _failure(error: BaseException, *, has_messages: bool) -> Failure:
    found: Failure = {"type": type(error).__qualname__, "frames": _frames(error.__traceback__)}
    if isinstance(error, RagstoneError):
        found["code"] = error.code
    if (reason := reason_of(error)) is not None:
        found["reason"] = reason
    if has_messages:
        found["message"] = str(error)
    return found


def _frames(trace: TracebackType | None) -> list[str]:
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        module = trace.tb_frame.f_globals.get("__name__", "?")
        frames.append(f"{module}.{code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return frames[-MOST_FRAMES:]
