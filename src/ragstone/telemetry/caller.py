"""Who is asking, and by which door: set where a request comes in, read where it is noted."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Door = Literal["http", "mcp", "cli", "python"]


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's own facts; `client` is an address or a name, never a secret.

    `user` is whom a proxy with authentication named (`analytics.user_header`); empty when none did.
    """

    door: Door = "python"
    request_id: str = ""
    client: str = ""
    user: str = ""


_NOBODY = Caller()
_present: ContextVar[Caller] = ContextVar("ragstone_caller", default=_NOBODY)


def present_caller() -> Caller:
    """Who asked for what this task does."""
    return _present.get()


def set_caller(caller: Caller) -> None:
    """From here on, this task and those that it starts work for `caller`."""
    _present.set(caller)


_NO_FIELDS: Mapping[str, object] = MappingProxyType({})
_fields: ContextVar[Mapping[str, object]] = ContextVar("ragstone_log_fields", default=_NO_FIELDS)


def log_fields() -> Mapping[str, object]:
    """What every line that this task logs says."""
    return _fields.get()


def bind_log_fields(**fields: object) -> None:
    """From here on, this task's lines say so, and those of tasks that it starts."""
    _fields.set({**_fields.get(), **fields})


def leave_request() -> None:
    """From here on, this task and those that it starts work for nobody in particular."""
    _present.set(_NOBODY)
    _fields.set(_NO_FIELDS)
