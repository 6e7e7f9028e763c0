"""How results look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from ragstone.entrypoints.wire import Wire

SNIPPET_CHARS = 320


def document_table(documents: Sequence[Wire]) -> Table:
    """Documents, one per row."""
    table = Table(box=None, header_style="bold")
    table.add_column("id", no_wrap=True, min_width=36)
    for name in ("title", "collection", "chunks", "source"):
        table.add_column(name, overflow="fold")
    for found in documents:
        cells = (
            found["id"],
            found["title"],
            found["collection"],
            found["chunk_count"],
            found["source"] or "",
        )
        table.add_row(*(escape(str(cell)) for cell in cells))
    return table


def document_card(console: Console, document: Wire, passage: Wire) -> None:
    """A document's properties, then its text."""
    table = Table.grid(padding=(0, 2))
    for name, value in document.items():
        table.add_row(f"[bold]{name}[/]", escape(str(value)))
    console.print(table)
    span = _object(passage["span"])
    console.print(f"\n[dim]characters {span['start']}–{span['end']} of {passage['char_count']}[/]")
    console.print(Text(str(passage["text"])))


def removal(console: Console, result: Wire) -> None:
    """The receipt of a removal."""
    receipt = _object(result["receipt"])
    documents, originals = _objects(receipt["documents"]), cast("Sequence[str]", receipt["originals"])
    for gone in documents:
        console.print(f"removed {gone['id']}  [bold]{escape(str(gone['title']))}[/]", soft_wrap=True)
    count = cast("int", receipt["document_count"])
    if count > len(documents):
        console.print(f"… and {count - len(documents)} more")
    chunks = cast("int", receipt["chunk_count"])
    kept = f" and {len(originals)} kept original{_s(len(originals))}" if originals else ""
    console.print(
        f"{count} document{_s(count)} with {chunks} chunk{_s(chunks)}{kept} removed "
        f"from {escape(str(receipt['collection']))}.",
        soft_wrap=True,
    )


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def collection_table(found: Wire) -> Table:
    """Collections with their counts."""
    table = Table("collection", "documents", "chunks", "language", "model", box=None, header_style="bold")
    for collection in _objects(found["collections"]):
        cells = [collection[name] for name in ("name", "document_count", "chunk_count", "language")]
        cells.append(_object(collection["embedding"])["model"])
        table.add_row(*(escape(str(cell)) for cell in cells))
    return table


def count_table(found: Wire) -> Table:
    """A collection's documents by the values of a key, the whole below."""
    table = Table(str(found["by"]), box=None, header_style="bold", show_footer=True)
    table.columns[0].footer = str(found["collection"])
    for name in ("document_count", "chunk_count", "size_bytes"):
        title = name.removesuffix("_count").removesuffix("_bytes")
        table.add_column(title, justify="right", footer=str(found[name]))
    for count in _objects(found["counts"]):
        value = "(none)" if count["value"] is None else str(count["value"])
        numbers = (count["document_count"], count["chunk_count"], count["size_bytes"])
        table.add_row(escape(value), *(str(number) for number in numbers))
    return table


def job_table(jobs: Sequence[Wire]) -> Table:
    """Jobs, one per row."""
    table = Table(box=None, header_style="bold")
    table.add_column("id", no_wrap=True, min_width=36)
    for name in ("state", "stage", "attempts", "name", "collection", "error"):
        table.add_column(name, overflow="fold")
    for found in jobs:
        error = found["error"]
        cells = (
            found["id"],
            found["state"],
            _stage(found),
            found["attempts"],
            found["name"],
            found["collection"],
            error["code"] if isinstance(error, dict) else "",
        )
        table.add_row(*(escape(str(cell)) for cell in cells))
    return table


def job_card(console: Console, job: Wire) -> None:
    """A job's properties, the paragraph that explains it last."""
    table = Table.grid(padding=(0, 2))
    for name, value in job.items():
        if name not in ("explanation", "history") and value is not None:
            table.add_row(f"[bold]{name}[/]", escape(str(value)))
    for attempt in _objects(job["history"]):
        line = f"{attempt['number']}: {attempt['stage']} [{attempt['code']}] {attempt['message']}"
        table.add_row("[bold]attempt[/]", escape(line))
    console.print(table)
    console.print(Text(f"\n{job['explanation']}"))


def _stage(job: Wire) -> str:
    progress = job["progress"]
    if job["state"] == "running" and isinstance(progress, dict):
        return f"{job['stage']} {progress['done']}/{progress['total']}"
    return str(job["stage"]) if job["state"] in ("running", "failed") else ""


def chunk_preview(console: Console, found: Wire) -> None:
    """Each chunk under its place, then the figures."""
    chunks = _objects(found["chunks"])
    for number, shown in enumerate(chunks, start=1):
        span = _object(shown["span"])
        names = " > ".join(cast("list[str]", shown["section"] or []))
        head = f"{number}. {span['start']}–{span['end']}, {shown['token_count']} tokens"
        console.print(f"[bold]{head}[/]  [cyan]{escape(names)}[/]")
        console.print(Text(str(shown["text"])))
    for warning in cast("list[str]", found["warnings"]):
        console.print(f"[yellow]note[/] {escape(warning)}")
    figures = _object(found["statistics"])
    if len(chunks) < cast("int", figures["chunk_count"]):
        console.print(f"[dim]the first {len(chunks)} are shown; --limit shows more[/]")
    console.print(chunk_statistics(figures))


def chunk_statistics(found: Wire) -> str:
    """One line of figures."""
    tokens = _object(found["tokens"])
    count = cast("int", found["chunk_count"])
    line = (
        f"{count} chunk{_s(count)}; tokens p50 {tokens['p50']}, p95 {tokens['p95']}, "
        f"max {tokens['max']}; overlap {cast('float', found['overlap_share']):.1%}"
    )
    unmeasured = f"; {found['unmeasured']} stored before tokens were kept" if found["unmeasured"] else ""
    return line + unmeasured


def source_table(found: Wire) -> Table:
    """Sources with their last sync."""
    table = Table(
        "source", "kind", "collection", "documents", "last sync", "where", box=None, header_style="bold"
    )
    for source in _objects(found["sources"]):
        runs = _objects(source["runs"])
        last = f"{runs[0]['state']} {runs[0]['started_at']}" if runs else "never"
        cells = (source["name"], source["kind"], source["collection"], source["document_count"], last)
        table.add_row(*(escape(str(cell)) for cell in (*cells, source["location"])))
    return table


def source_card(console: Console, source: Wire) -> None:
    """A source's properties, then its newest syncs."""
    table = Table.grid(padding=(0, 2))
    for name, value in source.items():
        if name != "runs":
            table.add_row(f"[bold]{name}[/]", escape(str(value)))
    console.print(table)
    for run in _objects(source["runs"]):
        console.print(f"\n[dim]{run['started_at']}[/]  {run_line(run)}")


def run_line(run: Wire) -> str:
    """How a sync went, with what failed below it."""
    colour = {"done": "green", "guarded": "yellow", "failed": "red"}.get(str(run["state"]), "dim")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(_object(run["counts"]).items()))
    lines = [f"[{colour}]{run['state']:<8}[/] {escape(str(run['source']))}: {counts or 'nothing to do'}"]
    if run["note"]:
        lines.append(f"           [yellow]note[/] {escape(str(run['note']))}")
    if run["error"]:
        lines.append(f"           {escape(str(_object(run['error'])['message']))}")
    lines += [
        f"           [red]failed[/] {escape(str(failure['uri']))}: {escape(str(failure['message']))}"
        for failure in _objects(run["failures"])
    ]
    return "\n".join(lines)


def search_result(console: Console, result: Wire, *, explain: bool) -> None:
    """Hits, best first, with their place and a snippet."""
    hits = _objects(result["hits"])
    if not hits:
        console.print("Nothing found.")
    for number, hit in enumerate(hits, start=1):
        console.print(f"[bold]{number}. {escape(place(hit))}[/]  [dim]{cast('float', hit['score']):.4f}[/]")
        if explain:
            console.print(f"   [cyan]{_scores(_object(hit['scores']))}[/]")
        around = hit.get("surroundings")
        if isinstance(around, dict):
            console.print(Text(str(around["text"])))
            continue
        text = " ".join(str(hit["text"]).split())
        console.print(Text("   " + (text if len(text) <= SNIPPET_CHARS else text[:SNIPPET_CHARS] + "…")))
    _footer(console, result)


class AnswerPrinter:
    """Prints the events of an answer as they come."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, event: Wire) -> None:
        """Print what one event adds."""
        match event["event"]:
            case "delta":
                if event["restarts"]:
                    self._console.print(
                        "\n[yellow]The generator failed; here is what the documents say:[/]\n"
                    )
                self._console.print(Text(str(event["text"])), end="")
            case "finished":
                self._finish(event)

    def _finish(self, answer: Wire) -> None:
        self._console.print("\n")
        for citation in _objects(answer["citations"]):
            quote = " ".join(str(citation["quote"]).split())
            marker = escape(f"[{citation['marker']}]")
            self._console.print(f"[bold]{marker} {escape(place(citation))}[/]")
            self._console.print(Text(f"    “{quote}”", style="dim"))
        if answer["mode"] == "extractive" and answer["citations"]:
            self._console.print(
                "\n[dim]Quoted from the documents: no generator is configured or it did not answer "
                "(see generator.base_url).[/]"
            )
        _footer(self._console, answer)


def place(found: Mapping[str, object]) -> str:
    """Where something stands: title or file, page, section."""
    source = str(found.get("source") or found["title"])
    parts = [source]
    if found.get("page") is not None:
        parts.append(f"page {found['page']}")
    section = found.get("section")
    if isinstance(section, list) and section:
        parts.append(" > ".join(str(name) for name in section))
    return ", ".join(parts)


def _footer(console: Console, result: Wire) -> None:
    degraded = result["degraded"]
    if isinstance(degraded, list) and degraded:
        console.print(f"[yellow]Degraded: {escape(', '.join(str(part) for part in degraded))}[/]")
    total_ms = _object(result["timings"]).get("total")
    console.print(f"[dim]corpus version {result['corpus_version']}, {total_ms} ms[/]")


def _scores(scores: Wire) -> str:
    parts = []
    for leg in ("lexical", "dense"):
        found = scores[leg]
        if isinstance(found, dict):
            parts.append(f"{leg} #{found['rank']} ({found['score']:.3f})")
        else:
            parts.append(f"{leg} –")
    return f"{' · '.join(parts)} · fused {cast('float', scores['fused']):.5f}"


def _object(value: object) -> Wire:
    return cast("Wire", value)


def _objects(value: object) -> list[Wire]:
    return cast("list[Wire]", value)
