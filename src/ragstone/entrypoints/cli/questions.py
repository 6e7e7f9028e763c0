"""`ragstone search` and `ragstone ask`."""

from __future__ import annotations

import contextlib
from dataclasses import replace
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
from ragstone.entrypoints.cli.documents import read_json_option

if TYPE_CHECKING:
    from ragstone.entrypoints.cli.backend import Backend, Question
    from ragstone.entrypoints.wire import Wire
    from ragstone.types import JsonValue

CollectionsOption = Annotated[
    list[str] | None, typer.Option("-c", "--collection", help="Where to look; may be given several times.")
]
ModeOption = Annotated[
    Literal["hybrid", "lexical", "dense"], typer.Option(help="Words and meaning, or one of them.")
]
TopKOption = Annotated[int | None, typer.Option("-k", "--top-k", help="How many hits.")]
FilterOption = Annotated[
    str | None,
    typer.Option(
        "--filter", metavar="JSON", help="""Such as '{"type": "eq", "key": "year", "value": 2024}'."""
    ),
]
ExplainOption = Annotated[bool, typer.Option("--explain", help="Show the score of each stage.")]
LexicalOption = Annotated[float | None, typer.Option(help="Weight of the lexical leg.")]
FusionOption = Annotated[
    Literal["score", "rrf"] | None, typer.Option(help="Fuse by scores or by reciprocal ranks.")
]
ExpandOption = Annotated[
    str | None,
    typer.Option("--expand", metavar="N|section", help="Show N chunks around each hit, or its sections."),
]
CacheOption = Annotated[
    bool, typer.Option("--no-cache", help="Make the result anew, and keep nothing of it.")
]
DenseOption = Annotated[float | None, typer.Option(help="Weight of the dense leg.")]


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    collection: CollectionsOption = None,
    mode: ModeOption = "hybrid",
    top_k: TopKOption = None,
    filters: FilterOption = None,
    lexical_weight: LexicalOption = None,
    dense_weight: DenseOption = None,
    fusion: FusionOption = None,
    expand: ExpandOption = None,
    explain: ExplainOption = False,
    no_cache: CacheOption = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Find the passages that fit a query best.

    Examples:

        ragstone search "how are chunks cut" --explain

        ragstone search ISSUE-1234 --mode lexical -k 3 --json
    """
    from ragstone.entrypoints.cli.show import search_result

    asked = _question(
        query, collection, mode, top_k, filters, explain, (lexical_weight, dense_weight), fusion
    )
    asked = replace(asked, use_cache=not no_cache)
    if expand is not None:
        around: JsonValue = {"neighbours": int(expand)} if expand.isdecimal() else expand
        asked = replace(asked, expand=around)
    result = with_backend(load_settings(context, home), lambda backend: backend.search(asked))
    if as_json:
        print_json(result)
    else:
        search_result(console(), result, explain=explain)


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="A question in plain words.")],
    collection: CollectionsOption = None,
    mode: ModeOption = "hybrid",
    top_k: TopKOption = None,
    filters: FilterOption = None,
    no_cache: CacheOption = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Answer a question from the documents, with numbered citations.

    Without a generator the best sentences are quoted; with one (generator.base_url) it writes the answer.

    Examples:

        ragstone ask "When does the library open?"

        ragstone ask "What does clause 7 say?" -c contracts --json
    """
    from ragstone.entrypoints.cli.show import AnswerPrinter

    asked = _question(question, collection, mode, top_k, filters, False, (None, None), None)
    asked = replace(asked, use_cache=not no_cache)
    printer = None if as_json else AnswerPrinter(console())

    async def answered(backend: Backend) -> Wire:
        last: Wire = {}
        async with contextlib.aclosing(backend.ask(asked)) as events:
            async for event in events:
                last = event
                if printer is not None:
                    printer.show(event)
        return last

    last = with_backend(load_settings(context, home), answered)
    if last.get("event") == "failed":
        from ragstone.errors import error_of

        raise error_of(str(last["code"]), str(last["message"]))
    if as_json:
        print_json({name: value for name, value in last.items() if name not in ("event", "seq")})


def _question(
    text: str,
    collections: list[str] | None,
    mode: str,
    top_k: int | None,
    filters: str | None,
    explain: bool,
    weights: tuple[float | None, float | None],
    fusion: str | None,
) -> Question:
    from ragstone.entrypoints.cli.backend import Question

    lexical, dense = weights
    given = {"lexical": 1.0 if lexical is None else lexical, "dense": 1.0 if dense is None else dense}
    return Question(
        text=text,
        collections=tuple(collections) if collections else None,
        mode=mode,
        top_k=top_k,
        filters=None if filters is None else read_json_option("--filter", filters),
        weights=given if weights != (None, None) else None,
        fusion=fusion,
        explain=explain,
    )
