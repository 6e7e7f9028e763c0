"""The English words that `ragstone.answer.agreement` knows: the fewer it may overlook, the safer it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

_SILENT = "a an the is are was were be been being am has have had having of in on at that which its their"
SILENT = frozenset(_SILENT.split())
"""Articles, forms of be and have, prepositions of place, `its`, `their`: dropped behind the question word."""
DO_SUPPORT = frozenset({"do", "does", "did"})
"""`Who did Denver beat?` and `Who beat Denver?` differ in nothing else, so it has to be in both."""
_AUXILIARIES = """
is are was were am do does did has have had can could will would shall should may might must
"""
AUXILIARIES = frozenset(_AUXILIARIES.split())
"""A question that begins with one asks whether."""
_NEGATIONS = "not no never none neither nor nobody nothing nowhere cannot without except hardly barely"
NEGATIONS = frozenset(_NEGATIONS.split())

_FRAMES = """
please
can you tell me
could you tell me
tell me
do you know
i want to know
i would like to know
"""
FRAMES = tuple(tuple(line.split()) for line in _FRAMES.strip().splitlines())
"""Said before a question."""

_CONTRACTIONS = """
what's what is
who's who is
where's where is
when's when is
why's why is
how's how is
it's it is
that's that is
can't can not
won't will not
shan't shall not
"""
CONTRACTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {line.split()[0]: tuple(line.split()[1:]) for line in _CONTRACTIONS.strip().splitlines()}
)

_ASKING = """
how many: how many, what number of, what is the number of, what was the number of
how much: how much
how: how
why: why, for what reason, what is the reason, what was the reason
where: where, at what location, in what location, in what place, in which place
when: when
whose: whose
who: who, whom
what: what, which, what is the name of, what was the name of
"""


def _asking() -> Iterator[tuple[tuple[str, ...], str]]:
    for line in _ASKING.strip().splitlines():
        asked, wordings = line.split(": ")
        for wording in wordings.split(", "):
            yield tuple(wording.split()), asked


ASKING: Mapping[tuple[str, ...], str] = MappingProxyType(dict(_asking()))
"""What a question asks for, by its wording; the longest that fits counts."""
LONGEST_ASKING = max(map(len, ASKING))

_SAME = """
start begin commence
started began begun commenced
starting beginning
end finish conclude complete
ended finished concluded completed
located situated
called named
big large
bigger larger
biggest largest
quick fast
quickest fastest
buy purchase
bought purchased
create make
created made
movie film
car automobile
doctor physician
us usa u.s u.s.a
uk u.k
tv television
percent percentage %
kind type sort
writer author
wrote authored
"""
_MONTHS = "january february april june july august september october november december"
"""Without May and March, which are verbs as well and are written out as a rule."""
_ONES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = """
zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth
"""


def _same() -> Iterator[tuple[str, str]]:
    for line in _SAME.strip().splitlines():
        first, *others = line.split()
        for word in (first, *others):
            yield word, first
    for month in _MONTHS.split():
        yield month[:3], month
    for value, word in enumerate(_ONES.split()):
        yield word, str(value)
    for value, word in enumerate(_ORDINALS.split()):
        yield word, f"{value}th"
    for at, word in enumerate(_TENS.split()):
        yield word, str(20 + 10 * at)
        yield f"{word[:-1]}ieth", f"{20 + 10 * at}th"


SAME: Mapping[str, str] = MappingProxyType(dict(_same()))
"""Words by the one that stands for them: synonyms, numbers by value, ordinals as `2th`, months in full."""
