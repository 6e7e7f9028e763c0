"""What somebody else needs to see in order to help: findings, settings, versions, figures, a log.

No document, no question and no key goes in: nothing of the home's contents is read but sizes, and whatever
is put in loses the values of all secrets once more at the end.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from anyio import to_thread

from ragstone.config import HIDDEN, Loaded, secrets_in, secrets_of, setting_names, shown_value, texts_in
from ragstone.home import Home, read_server_url
from ragstone.net.probe import probe
from ragstone.operate.findings import Finding
from ragstone.operate.versions import all_versions, main_versions

LOG_LINES = 2000
LONGEST_LINE = 4000
SHORTEST_SECRET = 4
"""A shorter one would blot out half of the text."""
SERVER_PAGES = {"health.json": "/health/detailed", "gpu.json": "/v1/gpu", "metrics.txt": "/metrics"}
README = """Made by `ragstone support-bundle`: no documents, questions or keys. Look before you send it.

doctor.json         what `ragstone doctor` found
configuration.json  every setting with its value and origin, secrets hidden
versions.json       Python, SQLite and every installed library
home.json           sizes of what lies in the home folder
health.json, gpu.json, metrics.txt   of the running server, if there is one
log.txt             the last lines of telemetry.log_file, if that is set
"""


async def collect(loaded: Loaded, findings: Sequence[Finding]) -> dict[str, bytes]:
    """The files of a bundle, by name."""
    entries = {
        "README.txt": README,
        "doctor.json": _json([_finding(one) for one in findings]),
        "configuration.json": _json(explained(loaded)),
        "versions.json": _json({"main": main_versions(), "all": all_versions()}),
        "home.json": _json(await to_thread.run_sync(sizes, loaded.home)),
    }
    url = read_server_url(Home(loaded.home))
    for name, path in SERVER_PAGES.items() if url else ():
        entries[name] = await _page(f"{url}{path}")
    # Only there where logs go to a file.
    if (log_file := loaded.settings.telemetry.log_file) is not None:
        entries["log.txt"] = await to_thread.run_sync(last_lines, log_file)
    secrets = secret_values(loaded)
    return {name: without(text, secrets).encode("utf-8", "replace") for name, text in entries.items()}


def write_bundle(path: Path, entries: Mapping[str, bytes]) -> None:
    """Write the files as a .tar.gz that only this user can read.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(f"ragstone-support/{name}")
            member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
            archive.addfile(member, io.BytesIO(content))
    fresh.replace(path)


def explained(loaded: Loaded) -> list[dict[str, object]]:
    """Every setting as `ragstone config explain` shows it."""
    return [
        {"name": name, "value": shown_value(loaded, name), "origin": loaded.origins.get(name, "default")}
        for name in setting_names()
    ]


def sizes(folder: Path) -> dict[str, dict[str, int]]:
    """Files and bytes of each entry of the home; names of what lies deeper are not told."""
    found = {}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        files = [entry] if entry.is_file() else [part for part in entry.rglob("*") if part.is_file()]
        found[entry.name] = {"files": len(files), "bytes": sum(_size(file) for file in files)}
    return found


def last_lines(path: Path) -> str:
    """The end of a log; why there is none, otherwise."""
    try:
        with path.open(encoding="utf-8", errors="replace") as log:
            return "".join(line[:LONGEST_LINE] for line in deque(log, LOG_LINES))
    except OSError as error:
        return f"{path} cannot be read: {error}\n"


def secret_values(loaded: Loaded) -> list[str]:
    """What must not be in a bundle, as it is and as it stands in an address; the longest first."""
    values = set(secrets_of(loaded.settings))
    for name in setting_names():
        section, key = name.split(".")
        value: object = getattr(getattr(loaded.settings, section), key)
        values |= set(secrets_in(value))
        for text in texts_in(value):
            if "://" in text:
                values |= _parts_of_address(text)
    values |= {quote(value, safe="") for value in values}
    return sorted((value for value in values if len(value) >= SHORTEST_SECRET), key=len, reverse=True)


def without(text: str, secrets: Sequence[str]) -> str:
    """The text with every secret blotted out."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _parts_of_address(url: str) -> set[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return {url}
    given = {pair.partition("=")[2] for pair in parts.query.split("&")}
    return {part for part in (parts.password, *given) if part}


async def _page(url: str) -> str:
    found = await probe(url)
    return found.body.decode("utf-8", "replace") if found.body else f"{url} {found.problem}\n"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # it went meanwhile
        return 0


def _finding(one: Finding) -> dict[str, str]:
    return {"name": one.name, "status": one.status, "detail": one.detail, "fix": one.fix}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
