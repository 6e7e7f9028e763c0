"""Looking at everything that Ragstone needs, and saying how to mend what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from anyio import to_thread

from ragstone.config import Loaded, hide_credentials
from ragstone.errors import CacheFailed, InvalidSetting, RagstoneError
from ragstone.operate import doctor_machine
from ragstone.operate.doctor_settings import look_at_settings
from ragstone.operate.findings import Finding, FindingStatus
from ragstone.operate.generators import ConfiguredGenerator, configured_generators, reach_generator


async def examine(loaded: Loaded) -> list[Finding]:
    """Look at every part; nothing is changed but that the home folder is made."""
    looks: tuple[Callable[[], Awaitable[list[Finding]]], ...] = (
        lambda: to_thread.run_sync(doctor_machine.look_at_versions),
        lambda: to_thread.run_sync(doctor_machine.look_at_machine),
        lambda: to_thread.run_sync(look_at_settings, loaded),
        lambda: to_thread.run_sync(doctor_machine.look_at_home, loaded),
        lambda: to_thread.run_sync(doctor_machine.look_at_log, loaded),
        lambda: to_thread.run_sync(doctor_machine.look_at_port, loaded),
        lambda: _model(loaded),
        lambda: to_thread.run_sync(_gpu, loaded),
        lambda: to_thread.run_sync(_ocr, loaded),
        lambda: _parser_walls(loaded),
        lambda: to_thread.run_sync(_grammars),
        lambda: _generators(loaded),
        lambda: _cache(loaded),
    )
    findings: list[Finding] = []
    for look in looks:
        findings += await look()
    return findings


def examine_without_settings(error: InvalidSetting) -> list[Finding]:
    """What can be said while the settings cannot be read."""
    return [
        Finding(
            "configuration", "failed", error.message, "Mend it there; docs/configuration.md has all names."
        ),
        *doctor_machine.look_at_versions(),
        *doctor_machine.look_at_machine(),
    ]


async def _model(loaded: Loaded) -> list[Finding]:
    from ragstone.models.card import BUNDLED_FOLDER
    from ragstone.models.local import load_encoder

    models = loaded.settings.models
    folder = models.embedding_path or BUNDLED_FOLDER
    try:
        load = partial(load_encoder, folder, models.runtime, models.threads, models.device)
        encoder = await to_thread.run_sync(load)
        vector = (await to_thread.run_sync(encoder.encode, ["doctor"]))[0]
    except RagstoneError as error:
        fix = "Mend models.embedding_path, models.runtime or models.device, or install Ragstone again."
        return [Finding("embedding model", "failed", error.message, fix)]
    card = encoder.card
    return [
        Finding(
            "embedding model",
            "ok",
            f"{card.model_id}@{card.revision}, {len(vector)} dimensions, {encoder.placement}",
        )
    ]


def _gpu(loaded: Loaded) -> list[Finding]:
    from ragstone.models.onnx_encoder import CUDA_PROVIDER, onnx_providers
    from ragstone.telemetry.devices import find_gpus

    names = [f"{gpu.name} ({gpu.kind}, {gpu.total_bytes / 2**30:.0f} GiB)" for gpu in find_gpus()]
    if not names:
        return [Finding("GPU", "ok", "none found; the embedding model runs on the processor")]
    if any("cuda" in name for name in names) and CUDA_PROVIDER not in onnx_providers():
        fix = "Replace the package onnxruntime by onnxruntime-gpu to use it (docs/models.md)."
        return [Finding("GPU", "note", f"{', '.join(names)}; onnxruntime is built without CUDA", fix)]
    return [Finding("GPU", "ok", f"{', '.join(names)}; models.device is {loaded.settings.models.device!r}")]


def _ocr(loaded: Loaded) -> list[Finding]:
    from ragstone.ingest.limits import ParsingLimits

    ingest = loaded.settings.ingest
    if ingest.ocr == "off":
        return [Finding("OCR", "note", "switched off (ingest.ocr)")]
    if ParsingLimits(ocr_language=ingest.ocr_language).find_tessdata() is None:
        detail = f"no Tesseract data for {ingest.ocr_language!r}, so scanned pages stay unread"
        fix = "Install tesseract-ocr and its language packages to read them."
        return [Finding("OCR", "note", detail, fix)]
    return [Finding("OCR", "ok", f"Tesseract data for {ingest.ocr_language}")]


async def _parser_walls(loaded: Loaded) -> list[Finding]:
    from ragstone.ingest.limits import ParsingLimits
    from ragstone.ingest.sandbox import SandboxedParser

    limits = ParsingLimits(memory_mb=loaded.settings.ingest.parse_memory_mb)
    try:
        walls = await SandboxedParser(limits).walls()
    except RagstoneError as error:
        fix = (
            "Without them no document is parsed: install Ragstone again, or look at the limits of the system."
        )
        return [Finding("parser processes", "failed", error.message, fix)]
    built = [f"{limits.memory_mb:,} MiB of memory"]
    if walls.network != "open":
        built.append("a network of their own with nothing in it")
    if walls.system_calls != "open":
        built.append("no sockets, programs, signals or written files")
        return [Finding("parser processes", "ok", f"walled: {'; '.join(built)}")]
    detail = f"{'; '.join(built)}, but this kernel filters no system calls for them"
    status: FindingStatus = "note" if walls.network == "open" else "ok"
    return [Finding("parser processes", status, detail)]


def _grammars() -> list[Finding]:
    from ragstone.ingest.syntax import GRAMMARS, INSTALL, missing_grammars

    missing = missing_grammars()
    if missing:
        detail = f"missing: {', '.join(missing)}; such code is cut by indentation"
        return [Finding("grammars", "note", detail, f"Run `{INSTALL}`." if " " in INSTALL else INSTALL)]
    return [Finding("grammars", "ok", f"{len(GRAMMARS)} for source code")]


async def _generators(loaded: Loaded) -> list[Finding]:
    generators = configured_generators(loaded.settings.generator)
    if not generators:
        fix = "Set generator.base_url and generator.model for written answers."
        return [Finding("generator", "note", "none configured: answers quote the documents", fix)]
    return await asyncio.gather(*map(_generator, generators))


async def _generator(generator: ConfiguredGenerator) -> Finding:
    status, detail = await reach_generator(generator)
    place = hide_credentials(generator.base_url)
    if status == "ok":
        return Finding(generator.setting, "ok", f"{generator.model!r} at {place}")
    fix = f"Start it, or mend {generator.setting}.base_url and {generator.setting}.api_key."
    # The first one is what was asked for; a fallback is only missed when that fails, too.
    is_first = generator.setting == "generator"
    return Finding(generator.setting, "failed" if is_first else "note", f"{place} {detail}", fix)


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
        return [Finding("cache", "failed", error.message, "Start it, or mend cache.redis_url.")]
    except RagstoneError as error:
        return [Finding("cache", "failed", error.message, "Mend cache.redis_url, or unset it.")]
    return [Finding("cache", "ok", f"Redis at {redis.place}: {keys:,} keys, {size_bytes / 2**20:.1f} MiB")]
