"""What is written and asked. The token of a text says whose it is, who may read it, which write made it."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from ragstone.types import Principal, SearchMode, TenantId

TENANTS = ("default", "other")
COLLECTIONS = ("alpha", "beta")
DOCUMENTS = 4
"""Sources that change, per tenant and collection."""
GROUPS: tuple[frozenset[str] | None, ...] = (None, frozenset({"red"}), frozenset({"blue"}))
"""By the number in a token: who may read the text."""
TOKEN = re.compile(r"x(\d)c(\d)d(\d)g(\d)n(\d+)x")
GENERATION = re.compile(r"made\d+x\d+")
WORDS = ("harbour", "violin", "comet", "beehive", "granite", "vineyard", "ferry", "glacier", "printing")
HANDBOOK = "The handbook says that visitors sign in at the gate. Lunch is served at noon."
"""Stands in every collection of both tenants and never changes: the same passages for every reader."""


@dataclass(frozen=True, slots=True)
class Place:
    """A source in a collection of a tenant, by numbers: where a document is, was or will be."""

    tenant: int
    collection: int
    document: int

    def __str__(self) -> str:
        return f"{TENANTS[self.tenant]}/{self.collection_name}/{self.source}"

    @property
    def collection_name(self) -> str:
        """The collection it is in."""
        return COLLECTIONS[self.collection]

    @property
    def source(self) -> str:
        """The source that the document has."""
        return f"source-{self.document}"

    @property
    def owner(self) -> Principal:
        """Who writes here."""
        return Principal(TenantId(TENANTS[self.tenant]))


PLACES = tuple(
    Place(tenant, collection, document)
    for tenant in range(len(TENANTS))
    for collection in range(len(COLLECTIONS))
    for document in range(DOCUMENTS)
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word that stands in the text of one write and nowhere else."""

    place: Place
    group: int
    serial: int

    def __str__(self) -> str:
        place = self.place
        return f"x{place.tenant}c{place.collection}d{place.document}g{self.group}n{self.serial}x"

    @classmethod
    def parse(cls, text: str) -> Token:
        """The token that a word is."""
        found = TOKEN.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no token")
        tenant, collection, document, group, serial = map(int, found.groups())
        return cls(Place(tenant, collection, document), group, serial)

    def is_for(self, tenant: str, groups: frozenset[str] | None) -> bool:
        """Whether a reader may see the text."""
        needed = GROUPS[self.group]
        is_granted = groups is None or needed is None or bool(needed & groups)
        return TENANTS[self.place.tenant] == tenant and is_granted


def text_of(token: Token, choice: random.Random) -> str:
    """One or two paragraphs, each with the token."""
    count = choice.choice((1, 1, 2))
    return "\n\n".join(
        f"The archive of {token} holds {' and '.join(choice.sample(WORDS, 3))}." for _ in range(count)
    )


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; with `finds_all`, every text that changes and may be read must be among the hits."""

    words: str
    mode: SearchMode
    finds_all: bool


QUESTIONS = (
    Question("archive", "lexical", finds_all=True),
    Question("What does the archive hold?", "hybrid", finds_all=True),
    Question("the archive of the harbour", "dense", finds_all=True),
    Question("handbook visitors", "lexical", finds_all=False),
)
QUESTION_WEIGHTS = (3, 4, 1, 3)
SCOPES = (("alpha",), ("beta",), ("alpha", "beta"))
SCOPE_WEIGHTS = (5, 3, 2)
READERS = tuple(
    Principal(TenantId(tenant), groups)
    for tenant, groups in (
        ("default", None),
        ("default", frozenset({"red"})),
        ("default", frozenset[str]()),
        ("default", frozenset({"blue", "red"})),
        ("other", None),
        ("other", frozenset({"red"})),
    )
)
READER_WEIGHTS = (8, 3, 1, 1, 4, 2)
