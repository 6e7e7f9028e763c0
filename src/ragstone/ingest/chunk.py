"""Cut a parsed document into chunks: sections first, then the best seams within them (pure).

The text is tokenised once and measured by where tokens begin. semantic-text-splitter, which measures
every candidate anew, reached 0.17 million characters a second on the same files and machine where this
reaches more than 1 (docs/ingest.md has the figures).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from ragstone.ingest.cut import Budget, Cutter
from ragstone.ingest.former import FormerSeams
from ragstone.ingest.parts import UNDERLINES, Part, parts_of
from ragstone.ingest.seams import CodeSeams, LineSeams, ProseSeams, Seams, indentation_breaks
from ragstone.ingest.sections import plain_words
from ragstone.ingest.semantic import cuts_by_meaning, units_of
from ragstone.ingest.table import CELL_SEPARATOR, Tables
from ragstone.ingest.token_ruler import TokenRuler
from ragstone.types import ChunkDraft, ChunkingSpec, Matrix, PageSpan, ParsedDocument, Span, TokenCounter

_SPECIAL_TOKENS = 2
_MAX_TITLE_CHARS = 120
_SEPARATOR = " > "


def chunk(
    document: ParsedDocument,
    spec: ChunkingSpec,
    tokens: TokenCounter,
    *,
    title: str | None = None,
    window_tokens: int | None = None,
) -> list[ChunkDraft]:
    """The chunks of a document, in order; where meaning should decide, `lay_out` says what to embed first."""
    return lay_out(document, spec, tokens, title=title, window_tokens=window_tokens).drafts(None)


def lay_out(
    document: ParsedDocument,
    spec: ChunkingSpec,
    tokens: TokenCounter,
    *,
    title: str | None = None,
    window_tokens: int | None = None,
    former_ends: Sequence[int] = (),
) -> Layout:
    """The document measured and ready to be cut; where it was cut before (`former_ends`) goes before seams.

    Cost: about one tokenisation.
    """
    ruler = TokenRuler(document.text, tokens)
    headings = _Headings(title or "", spec, tokens, window_tokens)
    tables = Tables(document.text, headings.shortened)
    parts = []
    for part in parts_of(document, ruler, spec.max_tokens):
        longest = max(tables.headers(part.span), key=tokens.count, default="")
        parts.append(_Plan(part, *headings.fit(part.path, longest)))
    seams = _seams(document, spec, tables)
    cutter = Cutter(document.text, ruler, FormerSeams(seams, former_ends) if former_ends else seams)
    return Layout(document, spec, cutter, tables, tuple(parts))


@dataclass(frozen=True, slots=True)
class _Plan:
    """A part with the headings that its chunks keep and what that leaves for the text."""

    part: Part
    path: tuple[str, ...]
    budget: Budget


@dataclass(frozen=True, slots=True)
class Layout:
    """A document before it is cut. Build with `lay_out`."""

    document: ParsedDocument
    spec: ChunkingSpec
    _cutter: Cutter
    _tables: Tables
    _plans: tuple[_Plan, ...]

    @property
    def token_count(self) -> int:
        """Tokens of the whole text."""
        return self._cutter.ruler.between(0, len(self.document.text))

    @property
    def units(self) -> list[Span]:
        """What must be embedded before a semantic cut: sentences of the parts that need one. Else empty."""
        return [unit for plan in self._plans for unit in self._units_of(plan)]

    def drafts(self, vectors: Matrix | None) -> list[ChunkDraft]:
        """The chunks in order; `vectors` holds a unit row for each of `units`, None where they are not known.

        Together they hold every character but the white space between them and stretches of no token at
        all; neighbours share at most `spec.overlap_tokens`, and only where one section had to be cut. A
        chunk stays within one section, save that neighbours under one parent are joined while they fit,
        under the headings they share, and so are neighbours without a parent when each is below a quarter of
        the budget. A chunk that begins inside a table has the table's header at the end of its path. Where
        the heading line would push a chunk out of the model's window (special tokens included), its path
        loses headings, outermost first, and then the chunk gives way.
        """
        starts = [page.span.start for page in self.document.pages]
        drafts: list[ChunkDraft] = []
        done = 0
        for plan in self._plans:
            units = self._units_of(plan) if vectors is not None else []
            rows = None if vectors is None else vectors[done : done + len(units)]
            done += len(units)
            for span in self._spans(plan, units, rows):
                page = _page_at(span.start, self.document.pages, starts)
                count = self._cutter.ruler.exact(span.start, span.end)
                drafts.append(ChunkDraft(span, self._path(plan.path, span.start), page, count))
        return drafts

    def _units_of(self, plan: _Plan) -> list[Span]:
        span, ruler = plan.part.span, self._cutter.ruler
        is_cut = ruler.between(span.start, span.end) > plan.budget.max_tokens
        if self.spec.strategy != "semantic" or self.document.breaks or not is_cut:
            return []
        return list(units_of(self.document.text, span, plan.budget.max_tokens, ruler, self._tables))

    def _spans(self, plan: _Plan, units: Sequence[Span], vectors: Matrix | None) -> Iterator[Span]:
        if not units or vectors is None:
            yield from self._cutter.pieces(plan.part.span, plan.budget)
            return
        own = plan.budget.max_tokens - min(plan.budget.overlap_tokens, plan.budget.max_tokens // 2)
        before: Span | None = None
        for span in cuts_by_meaning(units, vectors, own, self._cutter.ruler):
            shared = self._cutter.overlapped(before, plan.budget) if before else span.start
            for piece in self._cutter.pieces(Span(min(shared, span.start), span.end), plan.budget):
                if before is None or piece.end > before.end:
                    yield piece
                    before = piece

    def _path(self, path: tuple[str, ...], start: int) -> tuple[str, ...]:
        table = self._tables.around(start)
        is_said = table is None or not table.header or table.header in path
        return path if table is None or is_said else (*path, table.header)


def heading_line(title: str, path: Sequence[str]) -> str:
    """Title and headings, outermost first, joined by " > "; a title that repeats the first heading once."""
    short = title if len(title) <= _MAX_TITLE_CHARS else title[: _MAX_TITLE_CHARS - 1] + "…"
    names = [short, *path] if short and (not path or path[0] != title) else list(path)
    return _SEPARATOR.join(name for name in names if name)


def embedding_text(title: str, heading_path: Sequence[str], body: str) -> str:
    """What is embedded for a chunk: its heading line, then its text.

    Headings that the text itself begins with are not said twice.
    """
    opening = set(takewhile(lambda line: line in heading_path, _opening_lines(body)))
    path = [name for name in heading_path if name not in opening]
    line = heading_line("" if title in opening else title, path)
    return f"{line}\n{body}" if line else body


def _opening_lines(body: str) -> Iterator[str]:
    for line in body.split("\n", 12)[:12]:
        words = plain_words(line.strip().strip("#").strip())
        if words.strip(UNDERLINES):
            yield words


def _seams(document: ParsedDocument, spec: ChunkingSpec, tables: Tables) -> Seams:
    match spec.strategy:
        case "table":
            return LineSeams(document.text, tables)
        case "code":
            return CodeSeams(document.text, document.breaks or indentation_breaks(document.text))
        case "structure" | "semantic":
            is_code = bool(document.breaks)
            return CodeSeams(document.text, document.breaks) if is_code else ProseSeams(document.text, tables)


class _Headings:
    """Decides how much of a heading path is kept, and what that leaves for the text."""

    def __init__(
        self, title: str, spec: ChunkingSpec, tokens: TokenCounter, window_tokens: int | None
    ) -> None:
        self._title = title
        self._spec = spec
        self._tokens = tokens
        self._room = None if window_tokens is None else max(1, window_tokens - _SPECIAL_TOKENS)

    def fit(self, path: tuple[str, ...], table_header: str) -> tuple[tuple[str, ...], Budget]:
        """The path without the outermost headings that do not fit, and the budget of the text below it.

        There is room for `table_header`, which follows the path where a table is cut.
        """
        if self._room is None:
            return path, Budget(self._spec.max_tokens, self._spec.overlap_tokens)
        allowed = self._room - self._spec.max_tokens
        header = (table_header,) if table_header and table_header not in path else ()
        cost = self._cost((*path, *header))
        while path and cost > allowed:
            path = path[1:]
            cost = self._cost((*path, *header))
        max_tokens = max(1, min(self._spec.max_tokens, self._room - cost))
        return path, Budget(max_tokens, self._spec.overlap_tokens)

    def shortened(self, table_header: str) -> str:
        """A table's header without the last cells that would take more than a third of the window."""
        cells = table_header.split(CELL_SEPARATOR)
        while (
            self._room is not None and cells and self._cost((CELL_SEPARATOR.join(cells),)) > self._room // 3
        ):
            cells = cells[: len(cells) // 2]
        return CELL_SEPARATOR.join(cells)

    def _cost(self, path: tuple[str, ...]) -> int:
        line = heading_line(self._title, path)
        return self._tokens.count(line) if line else 0


def _page_at(offset: int, pages: Sequence[PageSpan], starts: Sequence[int]) -> int | None:
    index = bisect_right(starts, offset) - 1
    return pages[index].page if index >= 0 else None
