"""Word, PowerPoint and Excel files with zipfile and ElementTree."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from ragstone.ingest.extraction import Extraction
from ragstone.ingest.table import markdown_table

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_NUMBER = re.compile(r"(\d+)\.xml$")
_HEADING_STYLE = re.compile(r"(?:heading|title)\s*([1-6])?$", re.IGNORECASE)


def read_docx(archive: zipfile.ZipFile) -> Extraction:
    """Paragraphs, headings by their style's name, and tables."""
    body = _xml(archive, "word/document.xml").find(_W + "body")
    blocks = list(_word_blocks(body)) if body is not None else []
    return Extraction(("\n\n".join(blocks),), title=_title(archive))


def _word_blocks(body: ET.Element) -> Iterator[str]:
    for element in body:
        if element.tag == _W + "tbl":
            rows = [[_words(cell, _W) for cell in row.iter(_W + "tc")] for row in element.iter(_W + "tr")]
            if filled := [row for row in rows if row]:
                yield markdown_table(filled)
        elif words := _words(element, _W):
            style = element.find(f"{_W}pPr/{_W}pStyle")
            heading = _HEADING_STYLE.match(style.get(_W + "val", "")) if style is not None else None
            yield f"{'#' * int(heading[1] or 1)} {words}" if heading else words


def read_pptx(archive: zipfile.ZipFile) -> Extraction:
    """One text a slide, its speaker notes at the end."""
    notes = {
        slide: name
        for name in archive.namelist()
        if name.startswith("ppt/notesSlides/_rels/")
        for slide in re.findall(r"slides/(slide\d+\.xml)", archive.read(name).decode("utf-8", "replace"))
    }
    texts: list[str] = []
    for name in _numbered(archive, "ppt/slides/slide"):
        text = "\n\n".join(_paragraphs(archive, name))
        rels = notes.get(name.rpartition("/")[2])
        spoken = _paragraphs(archive, rels.replace("_rels/", "").removesuffix(".rels")) if rels else []
        texts.append("\n\n".join([text, "Notes: " + " ".join(spoken)]) if spoken else text)
    return Extraction(tuple(texts), "slide", title=_title(archive))


def _paragraphs(archive: zipfile.ZipFile, name: str) -> list[str]:
    root = _xml(archive, name)
    return [words for paragraph in root.iter(_A + "p") if (words := _words(paragraph, _A))]


def read_xlsx(archive: zipfile.ZipFile) -> Extraction:
    """One table a sheet, under the sheet's name."""
    names = [sheet.get("name", "") for sheet in _xml(archive, "xl/workbook.xml").iter(_S + "sheet")]
    shared = _shared_strings(archive)
    texts: list[str] = []
    for index, entry in enumerate(_numbered(archive, "xl/worksheets/sheet")):
        rows = [[_cell(cell, shared) for cell in row] for row in _xml(archive, entry).iter(_S + "row")]
        filled = [row for row in rows if any(row)]
        name = names[index] if index < len(names) else f"Sheet {index + 1}"
        texts.append(f"## {name}\n\n{markdown_table(filled)}" if filled else "")
    return Extraction(tuple(texts), "sheet", title=_title(archive))


def _shared_strings(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_words(item, _S) for item in _xml(archive, "xl/sharedStrings.xml").iter(_S + "si")]


def _cell(cell: ET.Element, shared: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return _words(cell, _S)
    value = cell.findtext(_S + "v") or ""
    return shared[int(value)] if cell.get("t") == "s" and value else value


def _words(element: ET.Element, namespace: str) -> str:
    return " ".join("".join(text.text or "" for text in element.iter(namespace + "t")).split())


def _title(archive: zipfile.ZipFile) -> str | None:
    if "docProps/core.xml" not in archive.namelist():
        return None
    return _xml(archive, "docProps/core.xml").findtext(_DC + "title") or None


def _numbered(archive: zipfile.ZipFile, prefix: str) -> list[str]:
    """Entries `<prefix>1.xml`, `<prefix>2.xml`, ... in the order of their numbers."""
    entries = (name for name in archive.namelist() if name.startswith(prefix))
    found = {int(match[1]): name for name in entries if (match := _NUMBER.search(name))}
    return [found[number] for number in sorted(found)]


def _xml(archive: zipfile.ZipFile, name: str) -> ET.Element:
    content = archive.read(name)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError(f"{name} declares a document type, which Office files never do")
    return ET.fromstring(content)  # noqa: S314 - without a document type nothing can expand or be fetched
