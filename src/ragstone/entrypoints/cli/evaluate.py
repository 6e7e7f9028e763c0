"""`ragstone eval` and `ragstone bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragstone.entrypoints.cli.context import (
    HomeOption,
    JsonOption,
    console,
    load_settings,
    print_json,
    quiet_logs,
    run_async,
)


def evaluate(
    context: typer.Context,
    dataset: Annotated[
        Path, typer.Argument(help="A BEIR-style folder: corpus.jsonl, queries.jsonl, qrels/.")
    ],
    split: Annotated[str, typer.Option(help="Which qrels/SPLIT.tsv.")] = "test",
    language: Annotated[str, typer.Option(help="Language of the documents (ISO 639-1).")] = "en",
    control: Annotated[bool, typer.Option(help="Also measure one chunk a document.")] = True,
    answers_every: Annotated[
        int, typer.Option(min=0, help="Also ask every N-th question of dev-v1.1.json; 0 leaves it out.")
    ] = 0,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Measure retrieval quality: nDCG@10, recall@10, recall@100, MRR@10 per mode, with 95 % intervals.

    The documents go through the whole product into a home of their own, which is removed afterwards.

    Example: ragstone eval data/nfcorpus
    """
    from ragstone.evaluate.retrieval import (
        RetrievalOptions,
        evaluate_retrieval,
        retrieval_table,
        retrieval_wire,
    )

    loaded = load_settings(context, home)
    quiet_logs(loaded)
    options = RetrievalOptions(has_control=control, answers_every=answers_every)
    report = run_async(
        evaluate_retrieval(loaded.settings, dataset, split=split, language=language, options=options)
    )
    if as_json:
        print_json(retrieval_wire(report))
    else:
        console().print(retrieval_table(report))


def bench(
    context: typer.Context,
    chunks: Annotated[int, typer.Option(min=100, max=1_000_000, help="Chunks to search in.")] = 5_000,
    queries: Annotated[int, typer.Option(min=10, max=100_000, help="Queries to time.")] = 200,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Measure this machine: ingest rate, query latency and memory on made-up documents.

    Example: ragstone bench --chunks 10000
    """
    from ragstone.evaluate.bench import bench_table, bench_wire, run_bench

    loaded = load_settings(context, home)
    quiet_logs(loaded)
    report = run_async(run_bench(loaded.settings, chunk_count=chunks, query_count=queries))
    if as_json:
        print_json(bench_wire(report))
    else:
        console().print(bench_table(report))
