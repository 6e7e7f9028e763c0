"""What requests look like; unknown fields are refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from ragstone.entrypoints.requests import read_expansion, read_filter

Strategy = Literal["structure", "semantic", "code", "table"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["default"])]


def _checked(read: Callable[[object], object]) -> BeforeValidator:
    """Judged by the reader that all doors share: its sentences name what is wrong, a union's do not."""

    def check(value: object) -> object:
        if value is not None:
            read(value)
        return value

    return BeforeValidator(check)


FilterObject = Annotated[
    dict[str, JsonValue],
    _checked(read_filter),
    Field(
        description="eq, ne, gt, gte, lt, lte, in, nin, exists on a metadata key; and, or, not over filters.",
        examples=[{"type": "and", "filters": [{"type": "eq", "key": "year", "value": 2024}]}],
    ),
]


class RequestModel(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid")


class AddText(RequestModel):
    """A document as inline text; searchable when the response comes."""

    text: str = Field(examples=["# Opening hours\n\nThe library opens at nine."])
    title: str | None = Field(None, max_length=1000, examples=["Opening hours"])
    collection: Name = "default"
    metadata: dict[str, JsonValue] | None = Field(None, examples=[{"year": 2024}])
    source: str | None = Field(
        None,
        max_length=4000,
        description="Where it comes from; adding the same source again replaces the document.",
        examples=["https://library.example/hours"],
    )


class ReplaceText(RequestModel):
    """New text for a document; its id stays."""

    text: str = Field(examples=["# Opening hours\n\nThe library opens at ten."])
    title: str | None = Field(None, max_length=1000)
    metadata: dict[str, JsonValue] | None = Field(None, description="Left out, it stays as it is.")


class EditDocument(RequestModel):
    """A new title or new metadata; nothing is embedded again."""

    title: str | None = Field(None, max_length=1000)
    metadata: dict[str, JsonValue] | None = None


class LegWeights(RequestModel):
    """Weight of each leg in the fusion."""

    lexical: float = Field(1.0, ge=0, le=100)
    dense: float = Field(1.0, ge=0, le=100)


class Neighbours(RequestModel):
    """So many chunks before and after a hit."""

    neighbours: int = Field(ge=0, le=10)


class SearchBody(RequestModel):
    """A search."""

    query: str = Field(examples=["When does the library open?"])
    collections: list[Name] | None = Field(None, min_length=1, max_length=100)
    mode: Literal["hybrid", "lexical", "dense"] = "hybrid"
    top_k: int | None = Field(None, ge=1, le=100)
    filters: FilterObject | None = None
    weights: LegWeights | None = None
    fusion: Literal["score", "rrf"] | None = Field(None, description="How the legs are fused.")
    expand: Annotated[Literal["section"] | Neighbours | None, _checked(read_expansion)] = Field(
        None, description="Show what stands around each hit, too: its sections, or so many chunks."
    )
    explain: bool = Field(False, description="Show each leg's rank and score.")
    cache: bool = Field(True, description="False makes the result anew and keeps nothing of it.")


class AskBody(RequestModel):
    """A question."""

    question: str = Field(examples=["When does the library open?"])
    collections: list[Name] | None = Field(None, min_length=1, max_length=100)
    mode: Literal["hybrid", "lexical", "dense"] = "hybrid"
    top_k: int | None = Field(None, ge=1, le=100)
    filters: FilterObject | None = None
    weights: LegWeights | None = None
    fusion: Literal["score", "rrf"] | None = Field(None, description="How the legs are fused.")
    explain: bool = False
    temperature: float | None = Field(None, ge=0, le=2, description="For the generator, if there is one.")
    stream: bool = Field(False, description="Answer as server-sent events (or NDJSON, by Accept).")
    cache: bool = Field(True, description="False makes the answer anew and keeps nothing of it.")


class CreateCollection(RequestModel):
    """A collection."""

    name: Name
    language: str = Field("en", pattern=r"^[a-z]{2}$", description="ISO 639-1; decides the stemmer.")
    chunk_strategy: Strategy | None = Field(None, description="Where documents are cut.")
    chunk_max_tokens: int | None = Field(None, ge=16, le=8192)
    chunk_overlap_tokens: int | None = Field(None, ge=0, le=4096)


class PreviewOptions(RequestModel):
    """How to cut a file without storing it; what is left out is as the settings say."""

    title: str | None = Field(None, max_length=1000)
    chunk_strategy: Strategy | None = None
    chunk_max_tokens: int | None = Field(None, ge=16, le=8192)
    chunk_overlap_tokens: int | None = Field(None, ge=0, le=4096)
    limit: int = Field(1000, ge=0, le=1000, description="Chunks shown; the statistics cover all.")


class PreviewText(PreviewOptions):
    """A text to cut without storing it."""

    text: str = Field(examples=["# Opening hours\n\nThe library opens at nine."])


class FetchPage(RequestModel):
    """A page to fetch and take in."""

    url: str = Field(max_length=4000, examples=["https://library.example/hours"])
    title: str | None = Field(None, max_length=1000)
    collection: Name = "default"
    metadata: dict[str, JsonValue] | None = Field(None, examples=[{"team": "front desk"}])


class ImportPath(RequestModel):
    """A file or folder of the server's machine to take in, below one of `ingest.allowed_roots`."""

    path: str = Field(max_length=4000, examples=["/srv/handbook"])
    collection: Name = "default"
    include: list[str] = Field(default_factory=list, max_length=100, examples=[["*.md"]])
    exclude: list[str] = Field(default_factory=list, max_length=100, examples=[["drafts/"]])
    metadata: dict[str, JsonValue] | None = None


class SyncSource(RequestModel):
    """How to sync."""

    force: bool = Field(False, description="Remove vanished documents however many they are.")
    wait_s: float | None = Field(
        None, ge=0, le=600, description="Seconds to wait before answering 202; `ingest.wait_s` when left out."
    )


class PopularQuery(RequestModel):
    """Which popular questions to list."""

    limit: int = Field(10, ge=1, le=100, description="How many at most.")
    days: int | None = Field(None, ge=1, description="Count the last days only, today included.")
    prefix: str | None = Field(None, description="Only questions that begin so.")
    q: str | None = Field(None, description="Only questions with this in them.")
    collection: str | None = Field(None, description="Only those asked of this collection last.")
    since: datetime | None = Field(None, description="Only those asked since then.")


class EraseQuery(RequestModel):
    """What to erase: one thing, or all when nothing is named."""

    q: str | None = Field(None, description="One question; all when nothing is named.")
    client: str | None = Field(None, max_length=200, description="Everything that this client asked.")
    user: str | None = Field(None, max_length=200, description="Everything that this user asked.")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if sum(value is not None for value in (self.q, self.client, self.user)) > 1:
            raise ValueError("name one of q, client and user")
        return self


class WarmCaches(RequestModel):
    """What to warm."""

    top: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="How many of the most asked questions; `cache.warm_top` when left out.",
    )
    wait: bool = Field(False, description="Answer at the end of the run, instead of 202 at once.")


class BenchmarkGpu(RequestModel):
    """How long to measure."""

    limit_s: float = Field(30.0, ge=1, le=120, description="Seconds after which what is measured is told.")
