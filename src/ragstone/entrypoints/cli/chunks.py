"""`ragstone chunks`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    with_backend,
)

if TYPE_CHECKING:
    from ragstone.entrypoints.cli.backend import Backend, ChunkingOptions
    from ragstone.entrypoints.wire import Wire

app = typer.Typer(
    help="How documents are cut: preview, figures, reading around a chunk.", no_args_is_help=True
)

StrategyOption = Annotated[
    Literal["structure", "semantic", "code", "table"] | None,
    typer.Option("--chunking", help="Where to cut; ingest.chunk_strategy when left out."),
]
TokensOption = Annotated[int | None, typer.Option("--chunk-tokens", min=16, help="Longest chunk, in tokens.")]
OverlapOption = Annotated[
    int | None, typer.Option("--chunk-overlap", min=0, help="Tokens shared by neighbours.")
]


@dataclass(frozen=True, slots=True)
class PreviewFile:
    """A file to cut without storing it."""

    content: bytes
    name: str
    chunking: ChunkingOptions
    limit: int


@app.command("preview")
def preview(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="The file to cut; nothing is stored.")],
    chunking: StrategyOption = None,
    chunk_tokens: TokensOption = None,
    chunk_overlap: OverlapOption = None,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="Chunks shown; figures cover all.")] = 20,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show how a file would be cut, and figures of its chunks; nothing is stored.

    Examples:

        ragstone chunks preview report.md

        ragstone chunks preview main.py --chunk-tokens 128 --json
    """
    from ragstone.entrypoints.cli.backend import ChunkingOptions
    from ragstone.entrypoints.cli.show import chunk_preview
    from ragstone.errors import PathNotFound
    from ragstone.ingest.load import FoundFile, read

    if not path.is_file():
        raise PathNotFound(f"There is no file at {str(path)!r}; name one file.")
    loaded = load_settings(context, home)
    file = read(FoundFile(path, path.name), loaded.settings.ingest.max_file_bytes)
    asked = PreviewFile(
        file.content, file.name, ChunkingOptions(chunking, chunk_tokens, chunk_overlap), limit
    )
    found = with_backend(loaded, lambda backend: backend.preview_chunks(asked))
    if as_json:
        print_json(found)
    else:
        chunk_preview(console(), found)


@app.command("stats")
def statistics(
    context: typer.Context,
    collection: Annotated[
        str, typer.Option("-c", "--collection", help="Whose chunks are counted.")
    ] = "default",
    document_id: Annotated[
        str | None, typer.Option("--document", metavar="ID", help="Only this document's.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show how many chunks a collection or a document has, how long they are and what they share."""
    from ragstone.entrypoints.cli.show import chunk_statistics

    async def counted(backend: Backend) -> Wire:
        if document_id is not None:
            return await backend.document_statistics(document_id)
        return await backend.collection_statistics(collection)

    found = with_backend(load_settings(context, home), counted)
    if as_json:
        print_json(found)
    else:
        console().print(chunk_statistics(found))


@app.command("show")
def show(
    context: typer.Context,
    chunk_id: Annotated[str, typer.Argument(help="The chunk's id, as in a hit.")],
    neighbours: Annotated[int, typer.Option(min=0, max=10, help="So many chunks before and after it.")] = 1,
    is_section: Annotated[bool, typer.Option("--section", help="The whole sections it touches.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show a chunk with what stands around it."""
    from rich.text import Text

    loaded = load_settings(context, home)
    found = with_backend(loaded, lambda backend: backend.read_chunk(chunk_id, neighbours, is_section))
    if as_json:
        print_json(found)
    else:
        console().print(Text(str(found["text"])))
