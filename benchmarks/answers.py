"""How often an extractive answer's quotes hold a known answer: SQuAD 1.1 dev, every tenth question.

    RAGSTONE_DATA=DIR python benchmarks/answers.py [--every N] [--quick]

The corpus is all 2,067 paragraphs. At most three sentences and 600 characters are quoted. Raw figures go to
benchmarks/results/answers.json.
"""

from __future__ import annotations

import asyncio

from ragstone.evaluate.answers import answers_table, answers_wire, evaluate_answers
from ragstone.settings import Settings
from record import arguments, console, data_folder, keep, quiet


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--every", type=int, default=10, help="ask every N-th question")
    options = parser.parse_args()
    quiet()
    every = 200 if options.quick else options.every
    report = asyncio.run(evaluate_answers(Settings(), data_folder("retrieval", "squad_v1_dev"), every=every))
    console().print(answers_table(report))
    keep("answers", answers_wire(report), is_quick=options.quick)


if __name__ == "__main__":
    main()
