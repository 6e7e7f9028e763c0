"""Settings of searching, answering and their caches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from ragstone.settings.section import Section


class SearchSettings(Section):
    """How questions are searched."""

    top_k: int = Field(10, ge=1, le=100, description="Hits returned when the request does not say.")
    candidates: int = Field(100, ge=1, le=1000, description="Candidates fetched from each leg.")
    fusion: Literal["score", "rrf"] = Field(
        "score", description="Fuse the legs by shares of their best score, or by reciprocal ranks."
    )
    rrf_k: int = Field(60, ge=1, description="The constant of reciprocal rank fusion.")
    lexical_weight: float = Field(1.0, ge=0, le=100, description="Weight of the lexical leg.")
    dense_weight: float = Field(1.0, ge=0, le=100, description="Weight of the dense leg.")
    leg_timeout_s: float = Field(5.0, gt=0, description="Time a leg gets before the other answers alone.")
    timeout_s: float = Field(10.0, gt=0, description="Time a search gets.")


class AnswerSettings(Section):
    """How answers are made."""

    context_tokens: int = Field(3000, ge=100, description="Budget for passages in the prompt, in tokens.")
    max_quotes: int = Field(3, ge=1, le=20, description="Most sentences an extractive answer quotes.")
    max_quote_chars: int = Field(600, ge=50, description="Most characters an extractive answer quotes.")
    timeout_s: float = Field(120.0, gt=0, description="Time an answer gets.")


class CacheSettings(Section):
    """What is remembered, how long, and how much of it; the questions that caches are warmed with."""

    enabled: bool = Field(True, description="Remember embeddings, results and answers at all.")
    query_embedding_ttl_s: float = Field(86_400.0, gt=0, description="Seconds a query embedding is kept.")
    query_embedding_max_bytes: int = Field(
        16 * 2**20, ge=0, description="Query embeddings kept in memory, in bytes; 0 turns this cache off."
    )
    retrieval_ttl_s: float = Field(3600.0, gt=0, description="Seconds a search result is kept.")
    retrieval_max_bytes: int = Field(
        32 * 2**20, ge=0, description="Search results kept in memory, in bytes; 0 turns this cache off."
    )
    answer_ttl_s: float = Field(1800.0, gt=0, description="Seconds an answer is kept.")
    answer_max_bytes: int = Field(
        32 * 2**20, ge=0, description="Answers kept in memory, in bytes; 0 turns this cache off."
    )
    generation_ttl_s: float = Field(
        86_400.0, gt=0, description="Seconds a generation is kept for the same question and passages."
    )
    generation_max_bytes: int = Field(
        16 * 2**20, ge=0, description="Generations kept in memory, in bytes; 0 turns this cache off."
    )
    semantic: bool = Field(
        False, description="Answer another wording of a question from a generation for the same evidence."
    )
    semantic_threshold: float = Field(
        0.9, ge=0, le=1, description="Least cosine between the embeddings of two wordings of one question."
    )
    semantic_max_bytes: int = Field(
        4 * 2**20, ge=0, description="Wordings of answered questions kept in memory, in bytes; 0 keeps none."
    )
    rendered_max_bytes: int = Field(
        16 * 2**20, ge=0, description="Responses kept as JSON, in bytes; 0 turns this cache off."
    )
    document_ttl_s: float = Field(
        3600.0, gt=0, description="Seconds that what is told of a document by its id is kept."
    )
    document_max_bytes: int = Field(
        4 * 2**20, ge=0, description="Documents without their texts kept in memory, in bytes; 0 keeps none."
    )
    values_ttl_s: float = Field(
        3600.0, gt=0, description="Seconds a program's own value is kept unless it says otherwise."
    )
    values_max_bytes: int = Field(
        16 * 2**20,
        ge=0,
        description="Programs' own values, in bytes of memory where nothing lies behind it; 0 keeps none.",
    )
    disk_max_bytes: int = Field(
        256 * 2**20, ge=0, description="Size of home/cache.db, used without Redis; 0 turns it off."
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis shared by all processes: redis://, rediss://, redis+sentinel://host:26379/service "
        "or redis+cluster://host:6379.",
    )
    redis_connections: int = Field(
        50, ge=1, le=10_000, description="Connections to Redis, and calls to it at once; more wait."
    )
    redis_timeout_s: float = Field(
        0.25, gt=0, le=60, description="Time of one call to Redis, the wait for a connection included."
    )
    redis_retry_s: float = Field(
        2.0, gt=0, description="Seconds that Redis is left alone after it failed; then one call tries it."
    )
    tracked_queries: int = Field(
        1_000_000,
        ge=0,
        le=4_000_000,
        description="Different questions counted for each tenant and audience; 0 tracks none.",
    )
    query_days: int = Field(30, ge=1, le=90, description="Days for which questions are counted by day, too.")
    warm_top: int = Field(100, ge=1, le=1000, description="Most asked questions that a warming asks again.")
    warm_at_start: bool = Field(False, description="Warm the caches in the background when a server starts.")
    warm_every_s: float = Field(0.0, ge=0, description="Seconds between two warmings; 0 does without.")
    warm_after_change_s: float = Field(
        0.0,
        ge=0,
        description="Warm when the corpus has been at rest for so long after a change; 0 never does.",
    )
    prefetch_follow_ups: int = Field(
        0,
        ge=0,
        le=10,
        description="Questions that are answered ahead, at rest, as most often asked next; 0 does without.",
    )
    warm_answers: bool = Field(
        False, description="Warm answers of a generator, too, which costs tokens; else only their searches."
    )
