"""What the semantic cache serves, rightly and wrongly: pairs of questions from SQuAD 1.1 dev.

    RAGSTONE_DATA=DIR python benchmarks/semantic_cache.py [--home DIR] [--sample N] [--quick]

Two questions on one paragraph are a paraphrase when their known answers have one in common, and a near miss
when no known answers of the two share a word; what lies between is counted as unclear and left out. Questions
edited by rule are near misses, reworded ones paraphrases, both told apart from those of the data.
Unsafe is a near miss that is served, whatever the served text holds.

Half of the articles, by a hash of their titles, choose the rule: how many words may differ, how many leading
passages have to be the same, and the least cosine. The rates come from the other half, through the engine:
the first question of a pair is asked of empty caches, then the second. Only where words agree can one be
served, so all those pairs are asked, and `--sample` of the other paraphrases and near misses.
"""

from __future__ import annotations

import asyncio
import math
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from question_pairs import EDITS, REWORDINGS, Half, Pair, Question, read_halves
from ragstone.answer.agreement import agree, read
from ragstone.answer.semantic import LEADING
from ragstone.config import Loaded
from ragstone.deadline import Deadline
from ragstone.evaluate.answers import contains_answer
from ragstone.evaluate.corpus import ingest
from ragstone.evaluate.datasets import read_dataset
from ragstone.ingest.request import IngestRequest
from ragstone.runtime.engine import Engine, open_engine
from ragstone.settings import CacheSettings, Settings
from ragstone.types import (
    LOCAL_OWNER,
    Answer,
    AnswerRequest,
    Principal,
    RawFile,
    SearchRequest,
    TenantId,
    Vector,
)
from record import arguments, data_folder, keep, quiet

COLLECTION = "squad"
SLACKS: tuple[int | None, ...] = (0, 1, 2, 4, None)
"""Words that may differ; None for any, the question word included."""
LEADINGS = (1, 3, 6, 10)
THRESHOLDS = (0.0, 0.8, 0.85, 0.9, 0.95)
HIT_TARGET = 0.10
Z = 1.96
Features = dict[str, tuple[tuple[int, ...], Vector]]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--home", type=Path, help="fill and keep this home instead of a temporary one")
    parser.add_argument("--sample", type=int, default=40, help="pairs asked of each group that is sampled")
    options = parser.parse_args()
    quiet()
    settings = Settings(cache=CacheSettings(semantic=True))
    with tempfile.TemporaryDirectory() as folder:
        loaded = Loaded(settings, options.home or Path(folder), {})
        figures = asyncio.run(
            _measure(loaded, 5 if options.quick else options.sample, is_quick=options.quick)
        )
    keep("semantic_cache", figures, is_quick=options.quick)


async def _measure(loaded: Loaded, sample: int, *, is_quick: bool) -> dict[str, object]:
    folder = data_folder("retrieval", "squad_v1_dev")
    tuning, reported = read_halves(folder)
    chance = random.Random(4)
    async with open_engine(loaded) as engine:
        if COLLECTION not in engine.follower.collections_of(LOCAL_OWNER.tenant_id):
            corpus = read_dataset(folder, "test").corpus
            await engine.collections.create(COLLECTION)
            await ingest(engine, COLLECTION, corpus[:100] if is_quick else corpus)
        return {
            "rule": {
                "words_that_differ": 0,
                "leading_passages": LEADING,
                "threshold": loaded.settings.cache.semantic_threshold,
            },
            "tuning": await _tune(engine, tuning, most=20 if is_quick else None),
            "reported": {
                "articles": reported.articles,
                "unclear_pairs": reported.unclear,
                **await _rates(engine, reported, sample, chance),
                **await _changes(engine, reported, sample, chance),
            },
        }


def wilson(count: int, total: int) -> dict[str, object]:
    """A share with its 95 % interval.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if not total:
        return {"count": 0, "of": 0, "share": None, "interval": None}
    share, weight = count / total, Z * Z / total
    middle = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    interval = [max(0.0, middle - half), min(1.0, middle + half)]
    return {
        "count": count,
        "of": total,
        "share": round(share, 5),
        "interval": [round(edge, 5) for edge in interval],
    }


async def _tune(engine: Engine, half: Half, most: int | None) -> dict[str, object]:
    """What each rule would serve on the half that chooses."""
    right = half.paraphrases[:most]
    paragraphs = {pair[0].paragraph for pair in right}
    wrong = [pair for pair in half.near_misses if pair[0].paragraph in paragraphs]
    features: Features = {}
    for text in sorted({question.text for pair in (*right, *wrong) for question in pair}):
        result = await engine.search.search(SearchRequest(text, (COLLECTION,)), Deadline.never())
        vector = await engine.embedder.embed_query(text, Deadline.never())
        features[text] = (tuple(hit.chunk_key for hit in result.hits), vector)
    rules = [
        {
            "words_that_differ": "any" if slack is None else slack,
            "leading_passages": leading,
            "threshold": threshold,
            "paraphrases_served": served[0],
            "unsafe_served": served[1],
        }
        for slack in SLACKS
        for leading in LEADINGS
        for threshold in THRESHOLDS
        for served in [
            tuple(
                sum(_would_serve(pair, features, slack, leading, threshold) for pair in pairs)
                for pairs in (right, wrong)
            )
        ]
    ]
    return {"articles": half.articles, "paraphrases": len(right), "near_misses": len(wrong), "rules": rules}


def _would_serve(pair: Pair, features: Features, slack: int | None, leading: int, threshold: float) -> bool:
    (first, a), (second, b) = (features[question.text] for question in pair)
    if set(first[:leading]) != set(second[:leading]) or float(a @ b) < threshold:
        return False
    return slack is None or _difference(pair) <= slack


def _difference(pair: Pair) -> float:
    """Words of either question that the other lacks; infinite where they ask for different things."""
    a, b = (read(question.text) for question in pair)
    if a is None or b is None or (a.asks_for, a.negations) != (b.asks_for, b.negations):
        return math.inf
    if a == b:
        return 0
    words = (Counter(a.content) - Counter(b.content)) + (Counter(b.content) - Counter(a.content))
    return max(1, words.total())


async def _rates(engine: Engine, half: Half, sample: int, chance: random.Random) -> dict[str, object]:
    """Hits on paraphrases and unsafe hits on near misses; what cannot be served is asked by sample."""
    groups: dict[str, list[Pair]] = {
        "paraphrase": list(half.paraphrases),
        "near miss": list(half.near_misses),
    }
    for name, pair in half.edited(EDITS):
        groups.setdefault(name, []).append(pair)
    rows: dict[str, dict[str, object]] = {}
    others: dict[bool, list[Pair]] = {True: [], False: []}
    counts = Counter[str]()
    for name, pairs in groups.items():
        agreeing = [pair for pair in pairs if _agree(pair)]
        others[name == "paraphrase"] += [pair for pair in pairs if not _agree(pair)]
        served = await _all_served(engine, agreeing)
        rows[name] = {
            **wilson(len(served), len(pairs)),
            "words_agree": len(agreeing),
            "with_a_known_answer": sum(contains_answer(text, pair[1].answers) for pair, text in served),
            "examples": [[question.text for question in pair] for pair, _ in served[:20]],
        }
        counts[name] = len(served)
    astray = {
        is_right: await _all_served(engine, chance.sample(pairs, min(sample, len(pairs))))
        for is_right, pairs in others.items()
    }
    wrong = [name for name in groups if name != "paraphrase"]
    unsafe = sum(counts[name] for name in wrong) + len(astray[False])
    right = counts["paraphrase"] + len(astray[True])
    reworded = [pair for _, pair in half.edited(REWORDINGS)]
    asked = chance.sample(reworded, min(sample, len(reworded)))
    return {
        "hit_rate_on_paraphrases": wilson(right, len(groups["paraphrase"])),
        "unsafe_of_near_misses": wilson(unsafe, sum(len(groups[name]) for name in wrong)),
        "unsafe_of_served": wilson(unsafe, unsafe + right),
        "hit_rate_on_rewordings": wilson(len(await _all_served(engine, asked)), len(asked)),
        "words_of_rewordings_agree": wilson(sum(map(_agree, reworded)), len(reworded)),
        "asked_though_words_differ": {
            "paraphrases": wilson(len(astray[True]), min(sample, len(others[True]))),
            "near_misses": wilson(len(astray[False]), min(sample, len(others[False]))),
        },
        "kinds": rows,
    }


def _agree(pair: Pair) -> bool:
    return agree(pair[0].text, pair[1].text)


async def _all_served(engine: Engine, pairs: Sequence[Pair]) -> list[tuple[Pair, str]]:
    """The pairs whose second question was served from the answer to the first, with what was served."""
    served = []
    for pair in pairs:
        await _forget(engine)
        await _ask(engine, pair[0].text)
        answer = await _ask(engine, pair[1].text)
        if answer.cache == "semantic":
            served.append((pair, answer.text))
    return served


async def _forget(engine: Engine) -> None:
    for name in ("answer", "generation", "semantic"):
        await engine.caches.clear(name)


async def _ask(
    engine: Engine, text: str, collection: str = COLLECTION, principal: Principal = LOCAL_OWNER
) -> Answer:
    request = AnswerRequest(SearchRequest(text, (collection,), principal=principal))
    return await engine.answers.ask(request, Deadline.never())


async def _changes(engine: Engine, half: Half, sample: int, chance: random.Random) -> dict[str, object]:
    """What may never be served: after a change, for another document, to another reader."""
    chosen = chance.sample(half.questions, min(sample, len(half.questions)))
    counts = Counter[str]()
    for at, question in enumerate(chosen):
        other = chance.choice(half.questions).answers[0]
        edited = question.paragraph.replace(question.answers[0], other)
        counts["drift"] += await _drifted(engine, f"d{at}", question, edited)
        counts["shared document"] += await _shared(engine, f"s{at}", question, edited)
        counts["another tenant"] += await _foreign(engine, f"f{at}", question)
        counts["another group"] += await _grouped(engine, f"g{at}", question)
    kinds = ("drift", "shared document", "another tenant", "another group")
    return {"never": {kind: wilson(counts[kind], len(chosen)) for kind in kinds}}


async def _drifted(engine: Engine, collection: str, question: Question, edited: str) -> bool:
    """The document says another answer when the second wording is asked."""
    await _put(engine, collection, "one", question.paragraph)
    await _ask(engine, question.text, collection)
    await _put(engine, collection, "one", edited)
    return (await _ask(engine, _polite(question), collection)).cache == "semantic"


async def _shared(engine: Engine, collection: str, question: Question, edited: str) -> bool:
    """Two documents share a text but for the answer; each is asked for by its name."""
    for name, text in (("Northbank", question.paragraph), ("Southbank", edited)):
        await _put(engine, collection, name, f"The report from {name}. {text}")
    asked = [f"In the report from {name}, {question.text}" for name in ("Northbank", "Southbank")]
    await _ask(engine, asked[0], collection)
    return (await _ask(engine, asked[1], collection)).cache == "semantic"


async def _foreign(engine: Engine, collection: str, question: Question) -> bool:
    """Another tenant with the same document asks the very same."""
    tenants = [Principal(TenantId(f"{collection}-{name}")) for name in ("a", "b")]
    for principal in tenants:
        await _put(engine, collection, "one", question.paragraph, principal)
    await _ask(engine, question.text, collection, tenants[0])
    return (await _ask(engine, question.text, collection, tenants[1])).cache != "miss"


async def _grouped(engine: Engine, collection: str, question: Question) -> bool:
    """A reader in another access group asks another wording of the same document, which both may read."""
    await _put(engine, collection, "one", question.paragraph)
    readers = [Principal(access_groups=frozenset({name})) for name in ("a", "b")]
    await _ask(engine, question.text, collection, readers[0])
    return (await _ask(engine, _polite(question), collection, readers[1])).cache != "miss"


def _polite(question: Question) -> str:
    return str(REWORDINGS["polite"](question.text, question.paragraph))


async def _put(
    engine: Engine, collection: str, source: str, text: str, principal: Principal = LOCAL_OWNER
) -> None:
    await engine.collections.create(collection, principal=principal)
    file = RawFile(text.encode(), "", "text/plain")
    request = IngestRequest(file, collection, title=source, source=source, principal=principal)
    await engine.documents.add(request, Deadline.never())


if __name__ == "__main__":
    main()
