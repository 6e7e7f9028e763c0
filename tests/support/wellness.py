"""Waiting for a server to say that it is well: a busy machine may let it tell of a slow part first."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.support.waiting import wait_until

LIMIT_S = 60.0


def all_well(client: httpx2.Client, path: str = "/health") -> dict[str, Any]:
    """The first report that names no slow part."""

    def look() -> dict[str, Any] | None:
        report: dict[str, Any] = client.get(path).json()
        return report if report["status"] == "ok" else None

    return wait_until(look, LIMIT_S)
