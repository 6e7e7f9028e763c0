"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FindingStatus = Literal["ok", "note", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `fix` says what to do where something is to be done."""

    name: str
    status: FindingStatus
    detail: str
    fix: str = ""
