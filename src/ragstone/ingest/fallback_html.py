"""HTML to Markdown with the standard library: headings, paragraphs, lists, tables, code; no boilerplate."""

from __future__ import annotations

from html.parser import HTMLParser

from ragstone.ingest.boilerplate import without_boilerplate
from ragstone.ingest.table import markdown_table

_SKIPPED = frozenset({"script", "style", "noscript", "template", "svg"})
_BLOCKS = frozenset(
    "p div section article main ul ol table blockquote header figure dl dt dd li pre".split()  # noqa: SIM905
)
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_VOID = frozenset("br img hr input meta link area base col embed source wbr".split())  # noqa: SIM905


def html_to_markdown(html: str) -> tuple[str | None, str]:
    """The title and the body as Markdown."""
    reader = _Reader()
    reader.feed(without_boilerplate(html))
    reader.close()
    reader.end_block()
    return " ".join(reader.title.split()) or None, "\n\n".join(reader.blocks)


class _Reader(HTMLParser):
    """Collects blocks of text; what lies in boilerplate is passed over."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self.title = ""
        self._text: list[str] = []
        self._prefix = ""
        self._skipped: list[str] = []
        self._is_title = False
        self._is_code = False
        self._rows: list[list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if self._skipped or tag in _SKIPPED:
            if tag not in _VOID:
                self._skipped.append(tag)
        elif tag == "title":
            self._is_title = True
        elif tag == "table":
            self.end_block()
            self._rows = []
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in _BLOCKS or tag in _HEADINGS:
            self._begin(tag)
        elif tag == "br":
            self._text.append("\n")

    def _begin(self, tag: str) -> None:
        if self._rows is None:
            self.end_block()
            self._prefix = _HEADINGS.get(tag, "- " if tag == "li" else "")
            self._is_code = tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            # Tags within may be left open: close up to the one that matches.
            if tag in self._skipped:
                del self._skipped[len(self._skipped) - 1 - self._skipped[::-1].index(tag) :]
        elif tag == "title":
            self._is_title = False
        elif tag in ("td", "th") and self._rows:
            self._rows[-1].append(" ".join("".join(self._text).split()))
            self._text = []
        elif tag == "table" and self._rows is not None:
            self._end_table(self._rows)
        elif (tag in _BLOCKS or tag in _HEADINGS) and self._rows is None:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if self._is_title:
            self.title += data
        elif not self._skipped:
            self._text.append(data)

    def end_block(self) -> None:
        """Close the block being collected."""
        text = "".join(self._text)
        if self._is_code and text.strip():
            self.blocks.append(f"```\n{text.strip(chr(10))}\n```")
        elif words := " ".join(text.split()):
            self.blocks.append(self._prefix + words)
        self._text, self._prefix, self._is_code = [], "", False

    def _end_table(self, rows: list[list[str]]) -> None:
        self._rows = None
        if filled := [row for row in rows if any(row)]:
            self.blocks.append(markdown_table(filled))
