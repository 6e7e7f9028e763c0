"""Looking at everything that Ragstone needs, and saying how to mend what is wrong."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from anyio import to_thread

from ragstone.config import Loaded
from ragstone.errors import CacheFailed, RagstoneError
from ragstone.home import open_home, read_server_url

LEAST_FREE_BYTES = 2**30
PARTS = ("onnxruntime", "openvino", "tantivy", "xberg", "mcp", "fastapi", "redis")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    status: Literal["ok", "note", "failed"]
    detail: str


async def examine(loaded: Loaded) -> list[Finding]:
    """Look at every part; nothing is changed but that the home folder is made."""
    looks: tuple[Callable[[], Awaitable[list[Finding]]], ...] = (
        lambda: to_thread.run_sync(_versions),
        lambda: to_thread.run_sync(_home, loaded),
        lambda: _model(loaded),
        lambda: to_thread.run_sync(_ocr, loaded),
        lambda: _parser_walls(loaded),
        lambda: to_thread.run_sync(_grammars),
        lambda: _generator(loaded),
        lambda: _cache(loaded),
    )
    findings: list[Finding] = []
    for look in looks:
        findings += await look()
    return findings


def _versions() -> list[Finding]:
    parts = [f"{name} {found}" for name in PARTS if (found := _version(name)) is not None]
    return [
        Finding("versions", "ok", f"ragstone {_version('ragstone')}, Python {platform.python_version()}, "
                f"SQLite {sqlite3.sqlite_version}, {', '.join(parts)}"),
        Finding("machine", "ok", f"{platform.machine()}, {os.cpu_count()} cores, {sys.platform}"),
    ]  # fmt: skip


def _home(loaded: Loaded) -> list[Finding]:
    try:
        home = open_home(loaded.home)
        probe = home.folder / ".doctor"
        probe.write_bytes(b"")
        probe.unlink()
    except RagstoneError as error:
        return [Finding("home", "failed", error.message)]
    except OSError as error:
        return [
            Finding(
                "home", "failed", f"{loaded.home} cannot be written: {error}; choose another with --home."
            )
        ]
    free = shutil.disk_usage(home.folder).free
    status: Literal["ok", "failed"] = "ok" if free >= LEAST_FREE_BYTES else "failed"
    running = read_server_url(home)
    return [
        Finding("home", "ok", f"{home.folder}, writable"),
        Finding("disk", status, f"{free / 2**30:.1f} GiB free (at least 1 GiB is wanted)"),
        Finding("server", "ok", f"running at {running}" if running else "not running on this home"),
    ]


async def _model(loaded: Loaded) -> list[Finding]:
    from ragstone.models.card import BUNDLED_FOLDER
    from ragstone.models.local import load_encoder

    models = loaded.settings.models
    folder = models.embedding_path or BUNDLED_FOLDER
    try:
        encoder = await to_thread.run_sync(load_encoder, folder, models.runtime, models.threads)
        vector = (await to_thread.run_sync(encoder.encode, ["doctor"]))[0]
    except RagstoneError as error:
        return [Finding("embedding model", "failed", error.message)]
    card = encoder.card
    return [
        Finding(
            "embedding model",
            "ok",
            f"{card.model_id}@{card.revision}, {len(vector)} dimensions, {encoder.placement}",
        )
    ]


def _ocr(loaded: Loaded) -> list[Finding]:
    from ragstone.ingest.limits import ParsingLimits

    ingest = loaded.settings.ingest
    if ingest.ocr == "off":
        return [Finding("OCR", "note", "switched off (ingest.ocr)")]
    if ParsingLimits(ocr_language=ingest.ocr_language).find_tessdata() is None:
        return [
            Finding(
                "OCR",
                "note",
                f"no Tesseract data for {ingest.ocr_language!r}, so scanned pages stay unread. "
                "Install tesseract-ocr and its language packages to read them.",
            )
        ]
    return [Finding("OCR", "ok", f"Tesseract data for {ingest.ocr_language}")]


async def _parser_walls(loaded: Loaded) -> list[Finding]:
    from ragstone.ingest.limits import ParsingLimits
    from ragstone.ingest.sandbox import SandboxedParser

    limits = ParsingLimits(memory_mb=loaded.settings.ingest.parse_memory_mb)
    try:
        walls = await SandboxedParser(limits).walls()
    except RagstoneError as error:
        return [Finding("parser processes", "failed", error.message)]
    built = [f"{limits.memory_mb:,} MiB of memory"]
    if walls.network != "open":
        built.append("a network of their own with nothing in it")
    if walls.system_calls != "open":
        built.append("no sockets, programs, signals or written files")
        return [Finding("parser processes", "ok", f"walled: {'; '.join(built)}")]
    detail = f"{'; '.join(built)}, but this kernel filters no system calls for them"
    status: Literal["ok", "note"] = "note" if walls.network == "open" else "ok"
    return [Finding("parser processes", status, detail)]


def _grammars() -> list[Finding]:
    from ragstone.ingest.syntax import GRAMMARS, INSTALL, missing_grammars

    missing = missing_grammars()
    if missing:
        detail = f"missing: {', '.join(missing)}; such code is cut by indentation ({INSTALL})"
        return [Finding("grammars", "note", detail)]
    return [Finding("grammars", "ok", f"{len(GRAMMARS)} for source code")]


async def _generator(loaded: Loaded) -> list[Finding]:
    configured = loaded.settings.generator
    if configured.base_url is None:
        return [
            Finding("generator", "note", "none configured: answers quote the documents (generator.base_url)")
        ]
    from ragstone.net.probe import probe

    reached = await probe(f"{configured.base_url.rstrip('/')}/models", configured.api_key.get_secret_value())
    if reached.problem is None:
        return [Finding("generator", "ok", f"{configured.model!r} at {configured.base_url}")]
    return [
        Finding(
            "generator",
            "failed",
            f"{configured.base_url} {reached.problem}; start it or mend generator.base_url.",
        )
    ]


async def _cache(loaded: Loaded) -> list[Finding]:
    from ragstone.cache.shared import open_configured_redis

    configured = loaded.settings.cache
    try:
        redis = open_configured_redis(configured)
        if redis is None:
            file = f"memory and a file of at most {configured.disk_max_bytes / 2**20:,.0f} MiB"
            return [Finding("cache", "ok", file if configured.disk_max_bytes else "memory")]
        try:
            keys, size_bytes = await redis.size()
        finally:
            await redis.aclose()
    except CacheFailed as error:
        return [Finding("cache", "failed", f"{error.message} Start it or mend cache.redis_url.")]
    except RagstoneError as error:
        return [Finding("cache", "failed", error.message)]
    return [Finding("cache", "ok", f"Redis at {redis.place}: {keys:,} keys, {size_bytes / 2**20:.1f} MiB")]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
