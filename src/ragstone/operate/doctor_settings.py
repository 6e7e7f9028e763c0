"""Settings that are read well and do not go together."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from ragstone.analytics.follow_ups import followed_of
from ragstone.config import Loaded, secret_names, secrets_in
from ragstone.operate.findings import Finding
from ragstone.settings import Settings


def look_at_settings(loaded: Loaded) -> list[Finding]:
    """Where settings come from, which secrets there are (never their values), and what contradicts itself."""
    origins = Counter(_kind(origin) for origin in loaded.origins.values() if origin != "default")
    shown = ", ".join(f"{count} from {kind}" for kind, count in sorted(origins.items())) or "all defaults"
    given = [name for name in secret_names() if _is_set(loaded.settings, name)]
    secrets = f"; secrets set: {', '.join(given)}" if given else ""
    return [Finding("configuration", "ok", f"{shown}{secrets}"), *_contradictions(loaded.settings)]


def _kind(origin: str) -> str:
    if origin.startswith("--"):
        return "flags"
    return "the environment" if origin.startswith("RAGSTONE_") else origin


def _is_set(settings: Settings, name: str) -> bool:
    section, key = name.split(".")
    return any(secrets_in(getattr(getattr(settings, section), key)))


def _contradictions(settings: Settings) -> Iterator[Finding]:
    generator, cache = settings.generator, settings.cache
    if not is_loopback(settings.server.host):
        detail = f"server.host is {settings.server.host!r}, and the server listens on loopback only"
        yield Finding("server.host", "failed", detail, "Set it to 127.0.0.1 and put a proxy in front.")
    if generator.base_url is not None and not generator.model:
        detail = "generator.base_url is set and generator.model is not: no server starts"
        yield Finding("generator.model", "failed", detail, "Name the model in generator.model.")
    if generator.base_url is None and generator.model:
        detail = (
            f"generator.model is {generator.model!r}, and there is no generator.base_url: nothing generates"
        )
        yield Finding("generator.base_url", "note", detail, "Set generator.base_url, or unset the model.")
    if _sends_key_in_clear(settings):
        detail = "generator.api_key goes over the network unencrypted"
        yield Finding("generator.api_key", "note", detail, "Use https in generator.base_url.")
    if cache.prefetch_follow_ups and not followed_of(cache):
        off = "cache.enabled is false" if not cache.enabled else "cache.tracked_queries is 0"
        detail = f"{off}: nothing is prefetched"
        yield Finding("cache.prefetch_follow_ups", "note", detail, "Change that, or unset it.")
    if not cache.enabled and (cache.redis_url is not None or cache.warm_at_start or cache.warm_every_s):
        detail = "cache.enabled is false: Redis and warming do nothing"
        yield Finding("cache.enabled", "note", detail, "Enable the cache, or unset the other settings.")
    if not settings.ingest.workers:
        detail = "ingest.workers is 0: uploads wait for a process of `ragstone worker`"
        yield Finding("ingest.workers", "note", detail, "Start one, or raise ingest.workers.")
    missing = [str(root) for root in settings.ingest.allowed_roots if not root.is_dir()]
    if missing:
        detail = f"no such folder: {', '.join(missing)}"
        yield Finding("ingest.allowed_roots", "note", detail, "Make it, or take it out of the setting.")


def _sends_key_in_clear(settings: Settings) -> bool:
    configured = settings.generator
    if configured.base_url is None or not configured.api_key.get_secret_value():
        return False
    try:
        parts = urlsplit(configured.base_url)
    except ValueError:
        return False
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether an address stays on this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
