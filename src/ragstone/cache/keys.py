"""The keys of every cache: typed, versioned, and made here only.

A key holds everything that may change the value behind it. A request is normalised no further than the
pipeline itself does it (NFC, white space folded): what may be answered differently has another key.
"""

from __future__ import annotations

import hashlib

import msgspec

from ragstone.cache.ports import CacheName
from ragstone.types import AnswerMode, Expansion, Filter, Fusion, Principal, SearchMode, SearchRequest

KEY_VERSION = 1
"""Part of every key; raise it when the meaning of a field or the form of a stored value changes."""
_DIGEST_BYTES = 20


class Reader(msgspec.Struct, frozen=True, tag=True):
    """Who may see a value: an incarnation of the database, a tenant in it, and that tenant's groups."""

    epoch: str
    tenant_id: str
    access_groups: tuple[str, ...] | None

    @classmethod
    def of(cls, epoch: str, principal: Principal) -> Reader:
        """The reader that a caller is; the order of its groups does not matter."""
        groups = principal.access_groups
        return cls(epoch, principal.tenant_id, None if groups is None else tuple(sorted(groups)))


class RetrievalKey(msgspec.Struct, frozen=True, tag=True):
    """A search at one version of its collections."""

    reader: Reader
    collection_ids: tuple[str, ...]
    """In the order asked: it decides between equal ranks."""
    corpus_version: int
    """The newest change of these collections that the indexes had applied."""
    query: str
    mode: SearchMode
    top_k: int
    filters: Filter | None
    weights: tuple[float, float] | None
    fusion: Fusion | None
    expand: Expansion | None
    recipe: str

    @classmethod
    def of(
        cls,
        reader: Reader,
        request: SearchRequest,
        collection_ids: tuple[str, ...],
        corpus_version: int,
        recipe: str,
    ) -> RetrievalKey:
        """The key of a request whose query is normalised already."""
        weights = request.weights
        return cls(
            reader,
            collection_ids,
            corpus_version,
            request.query,
            request.mode,
            request.top_k,
            request.filters,
            None if weights is None else (float(weights.lexical), float(weights.dense)),
            request.fusion,
            request.expand,
            recipe,
        )


class AnswerKey(msgspec.Struct, frozen=True, tag=True):
    """Level 1: a question at one version of its collections."""

    retrieval: RetrievalKey
    temperature: float | None
    recipe: str


class EvidenceKey(msgspec.Struct, frozen=True, tag=True):
    """Level 2: what an answer is made from, whatever the version: the question and its passages."""

    reader: Reader
    question: str
    passages: tuple[str, ...]
    """As they are rendered, in order."""
    temperature: float | None
    recipe: str
    history: tuple[str, ...] = ()
    memories: tuple[str, ...] = ()


class SemanticKey(msgspec.Struct, frozen=True, tag=True):
    """What wordings of one question share: all that an answer is made from but the question."""

    reader: Reader
    collection_ids: tuple[str, ...]
    corpus_version: int
    """Not all passages need be the same: nothing may have changed between the two questions."""
    mode: AnswerMode
    evidence: tuple[str, ...]
    """Digests of the leading passages as they are rendered, in an order of their own."""
    temperature: float | None
    recipe: str


class EmbeddingKey(msgspec.Struct, frozen=True, tag=True):
    """A text under one model revision."""

    revision: str
    text: bytes


class DescribedKey(msgspec.Struct, frozen=True, tag=True):
    """A document without its text, at a version of the whole corpus."""

    reader: Reader
    document_id: str
    corpus_version: int


CacheKey = RetrievalKey | AnswerKey | EvidenceKey | SemanticKey | EmbeddingKey | DescribedKey


def recipe_of(*parts: object) -> str:
    """A digest of what makes values besides the request: settings, models, versions of prompts."""
    return digest_of(*parts)


def digest_of(*parts: object) -> str:
    """A digest of plain values, in hex."""
    return hashlib.blake2b(_encode(parts), digest_size=_DIGEST_BYTES).hexdigest()


def key_of(cache: CacheName, key: CacheKey) -> str:
    """The key as tiers take it: `{cache}:{hex}`."""
    return f"{cache}:{hashlib.blake2b(_encode((KEY_VERSION, key)), digest_size=_DIGEST_BYTES).hexdigest()}"


def _encode(content: object) -> bytes:
    try:
        return msgspec.msgpack.encode(content, order="deterministic")
    except (OverflowError, UnicodeEncodeError):
        # A number beyond 64 bits or a lone surrogate in a filter: the search says what is wrong with it.
        return repr(content).encode("ascii", "backslashreplace")


def rendered_key(key: str, form: str) -> str:
    """The key of a value's response in one form, such as `json` or `json+scores`."""
    return f"rendered:{form}:{key}"
