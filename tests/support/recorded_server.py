"""`ragstone serve` whose settings note which of them the product reads; run as `python -m`, HOME and a file.

At its end the file holds, for each setting that was read, the module that read it first. What only shows
settings to people (the doctor, `config explain`, the support bundle) does not count as a reader.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from ragstone.config import Loaded, load
from ragstone.entrypoints.http.serve import serve
from ragstone.settings import Settings
from ragstone.settings.section import Section
from ragstone.telemetry.logs import start_logs

SHOWING = ("ragstone.config", "ragstone.settings", "ragstone.operate.doctor", "ragstone.operate.bundle")

Reads = dict[str, str]


def recorded(settings: Settings, reads: Reads) -> Settings:
    """The same values, in sections that note who reads them."""
    sections = {name: _recording(name, getattr(settings, name), reads) for name in Settings.model_fields}
    return settings.model_copy(update=sections)


def _recording(name: str, section: Section, reads: Reads) -> Section:
    kind = type(section)
    keys = frozenset(kind.model_fields)

    def __getattribute__(self: Section, key: str) -> object:  # noqa: N807 - it is that method
        if key in keys:
            reader = str(sys._getframe(1).f_globals.get("__name__"))
            if reader.startswith("ragstone.") and not reader.startswith(SHOWING):
                reads.setdefault(f"{name}.{key}", reader)
        return kind.__getattribute__(self, key)

    noting: type[Section] = type(f"Noting{kind.__name__}", (kind,), {"__getattribute__": __getattribute__})
    return noting.model_construct(**{key: getattr(section, key) for key in keys})


def main(home: Path, output: Path) -> None:
    """Serve until SIGTERM, then tell."""
    reads: Reads = {}
    loaded = load(home)
    loaded = Loaded(recorded(loaded.settings, reads), loaded.home, loaded.origins)
    start_logs(loaded.settings)
    asyncio.run(serve(loaded, lambda url: print(f"Ragstone answers at {url} ", file=sys.stderr, flush=True)))
    output.write_text(json.dumps(reads), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
