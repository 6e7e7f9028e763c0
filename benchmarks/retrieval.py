"""Retrieval quality of the bundled model on public test collections, through the whole product.

    RAGSTONE_DATA=DIR python benchmarks/retrieval.py [--sets nfcorpus squad_v1_dev ...] [--quick]

English: NFCorpus (medical), SQuAD 1.1 dev (encyclopaedic), CoSQA (code); other languages: XQuAD. Each is
ingested twice: as a user's documents would be, and as one chunk a document (the control). Squad's 10,570
questions are thinned to every fourth. Raw figures go to benchmarks/results/retrieval.json; a run with
--sets replaces only those sets.
"""

from __future__ import annotations

import asyncio
import json

from ragstone.evaluate.retrieval import (
    RetrievalOptions,
    evaluate_retrieval,
    retrieval_table,
    retrieval_wire,
)
from ragstone.settings import Settings
from record import RESULTS, arguments, console, data_folder, keep, quiet

SETS = {
    "nfcorpus": ("en", 1),
    "squad_v1_dev": ("en", 4),
    "cosqa": ("en", 1),
    "xquad/zh": ("zh", 1),
    "xquad/de": ("de", 1),
    "xquad/ru": ("ru", 1),
    "xquad/ar": ("ar", 1),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--no-control", action="store_true", help="leave the control out")
    options = parser.parse_args()
    quiet()
    kept = RESULTS / "retrieval.json"
    figures = json.loads(kept.read_text())["sets"] if kept.is_file() else {}
    for name in ["xquad/de"] if options.quick else options.sets:
        language, step = SETS[name]
        chosen = RetrievalOptions(not options.no_control, step * (10 if options.quick else 1))
        folder = data_folder("retrieval", name)
        report = asyncio.run(evaluate_retrieval(Settings(), folder, language=language, options=chosen))
        console().print(retrieval_table(report))
        figures[name] = retrieval_wire(report)
        keep("retrieval", {"sets": figures}, is_quick=options.quick)


if __name__ == "__main__":
    main()
