"""What the documentation shows works as shown."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ragstone.entrypoints import http
from tests.requirements import verifies

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LIMIT_S = 120


@verifies("OPS-01", "EMB-01")
def test_the_python_example_runs_as_written(tmp_path: Path) -> None:
    """The README's example answers in an empty folder, cut off from every network where that is allowed."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)

    isolated = ["unshare", "--map-root-user", "--net"]
    can_isolate = shutil.which("unshare") and subprocess.run([*isolated, "true"], check=False).returncode == 0
    command = [*(isolated if can_isolate else []), sys.executable, "-c", example]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    assert done.returncode == 0, done.stderr
    assert "“The pool is closed on Mondays.” [1]" in done.stdout
    assert "1 Pool The pool is closed on Mondays." in done.stdout


def test_generated_pages_are_up_to_date() -> None:
    """Settings, metrics, errors and requirements are described as they are."""
    command = [sys.executable, str(ROOT / "scripts/generate_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))

    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_every_route_is_listed() -> None:
    """docs/http.md names each route of the application."""
    page = (ROOT / "docs/http.md").read_text("utf-8")
    names = [found.name for found in pkgutil.iter_modules(http.__path__, f"{http.__name__}.")]
    routers = [getattr(importlib.import_module(name), "router", None) for name in names]
    routes = [route for router in routers if router is not None for route in router.routes]
    paths = {str(getattr(route, "path", "")) for route in routes}

    unlisted = [
        path for path in paths if path != "/" and path.replace("{document_id}", "{id}") not in _spelt(page)
    ]
    assert unlisted == []


def _spelt(page: str) -> str:
    return (
        page.replace("{id}`, `GET .../text`", "{id}` `/v1/documents/{id}/text`")
        .replace("/v1/chunks/{id}", "/v1/chunks/{chunk_id}")
        .replace("/v1/jobs/{id}", "/v1/jobs/{job_id}")
        .replace("/v1/answers/{id}", "/v1/answers/{answer_id}")
    )
