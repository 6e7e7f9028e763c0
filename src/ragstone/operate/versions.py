"""Which versions run here."""

from __future__ import annotations

import platform
import sqlite3
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, version

PARTS = (
    "ragstone",
    "fastapi",
    "mcp",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "redis",
    "sqlalchemy",
    "tantivy",
    "uvicorn",
    "xberg",
)


def main_versions() -> dict[str, str]:
    """Python, SQLite and the libraries that behaviour hangs on most."""
    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **dict(_libraries())}


@cache
def _libraries() -> tuple[tuple[str, str], ...]:
    """Read once: it takes 6 ms, and what is installed later is not what runs (November 2026)."""
    return tuple((name, found) for name in PARTS if (found := version_of(name)) is not None)


def all_versions() -> dict[str, str]:
    """Every installed distribution, by name."""
    found = {str(one.name): one.version for one in distributions() if one.name}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def version_of(name: str) -> str | None:
    """The installed version of a distribution; None when it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
