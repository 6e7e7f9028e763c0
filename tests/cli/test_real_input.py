"""Real and hostile files through `ragstone add`, found again with their page and section."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ragstone
from ragstone.ingest.limits import ParsingLimits
from ragstone.types import Hit, Passage
from tests.requirements import verifies
from tests.support.process import Finished, run_command, uncounted

EXPECTED = Path(__file__).parents[1] / "fixtures" / "parsing"
GOLDEN: dict[str, dict[str, object]] = json.loads((EXPECTED / "golden.json").read_text("utf-8"))
HOSTILE: dict[str, str] = json.loads((EXPECTED / "hostile.json").read_text("utf-8"))
ADD_LIMIT_S = 900.0
HAS_OCR = ParsingLimits().find_tessdata() is not None

Result = dict[str, object]

pytestmark = pytest.mark.timeout(1000)


@pytest.fixture(scope="module")
def added(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """A home that took in every real and every hostile file at once."""
    home = tmp_path_factory.mktemp("real") / "home"
    folders = (data_folder / "files", data_folder / "hostile")
    with uncounted():
        return home, run_command("add", *folders, "--json", home=home, limit_s=ADD_LIMIT_S)


@pytest.fixture(scope="module")
def rag(added: tuple[Path, Finished]) -> Iterator[ragstone.Ragstone]:
    """The library on that home."""
    with ragstone.Ragstone(added[0]) as opened:
        yield opened


@verifies("ING-25")
def test_every_file_ends_as_it_should(added: tuple[Path, Finished], data_folder: Path) -> None:
    """Everything readable is in; each refusal has its code and names its file; the exit code tells."""
    done = added[1]
    outcomes = {_name(result, data_folder): _outcome(result) for result in _results(done)}

    assert done.exit_code == 1
    assert {name for name in outcomes if name.startswith("files/")} == {f"files/{name}" for name in GOLDEN}
    assert [
        name for name, outcome in outcomes.items() if name.startswith("files/") and outcome != "parsed"
    ] == []
    assert {
        name.removeprefix("hostile/"): outcome for name, outcome in outcomes.items() if "hostile/" in name
    } == HOSTILE
    for result in _results(done):
        if result["status"] == "failed":
            error = result["error"]
            assert isinstance(error, dict)
            assert Path(str(result["path"])).name in error["message"]


@verifies("ING-01", "ING-05", "ING-06", "ING-23")
@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_phrase_is_found_at_its_place(rag: ragstone.Ragstone, data_folder: Path, name: str) -> None:
    """The phrase is found by search; its exact span resolves, on its page and under its headings."""
    if not HAS_OCR and name.startswith(("jpg/", "png/")):
        pytest.skip("no Tesseract data")
    expected = GOLDEN[name]
    phrase = str(expected["phrase"])
    source = str((data_folder / "files" / name).resolve())
    if "attachment" in expected:
        source += f"#{expected['attachment']}"

    passages = list(_places(rag, phrase, source))

    assert passages
    assert all(" ".join(passage.text.split()) == " ".join(phrase.split()) for passage in passages)
    if "page" in expected:
        assert expected["page"] in [passage.page for passage in passages]
    if "section" in expected:
        assert expected["section"] in [list(passage.section) for passage in passages]


def _places(rag: ragstone.Ragstone, phrase: str, source: str) -> Iterator[Passage]:
    found = rag.search(phrase[:500], top_k=100, filters={"type": "eq", "key": "$source", "value": source})
    pattern = re.compile(r"\s+".join(re.escape(word) for word in phrase.split()))
    for hit in found.hits:
        yield from _passages(rag, hit, pattern)


def _passages(rag: ragstone.Ragstone, hit: Hit, pattern: re.Pattern[str]) -> Iterator[Passage]:
    for match in pattern.finditer(hit.text):
        yield rag.read(hit.document_id, hit.span.start + match.start(), hit.span.start + match.end())


def _results(done: Finished) -> list[Result]:
    results = done.json["results"]
    assert isinstance(results, list)
    return results


def _name(result: Result, data_folder: Path) -> str:
    return str(Path(str(result["path"])).relative_to(data_folder.resolve()))


def _outcome(result: Result) -> str:
    if result["status"] != "failed":
        return "parsed"
    error = result["error"]
    assert isinstance(error, dict)
    return str(error["code"])
