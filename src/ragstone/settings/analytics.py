"""Settings of the query log and what is made of it."""

from __future__ import annotations

import json

from pydantic import Field, field_validator

from ragstone.settings.section import Section


class TokenPrice(Section):
    """What a million tokens of a model cost, in whatever currency the whole report is to be in."""

    prompt: float = Field(0.0, ge=0, description="A million tokens read.")
    completion: float = Field(0.0, ge=0, description="A million tokens written.")


class AnalyticsSettings(Section):
    """What is kept of every request, for how long, and what is made of it."""

    enabled: bool = Field(True, description="Keep a row of every search, answer and error in home/log.db.")
    store_text: bool = Field(
        True,
        description="Keep questions, here and in traces of answers; without it only their hashes.",
    )
    retention_days: int = Field(90, ge=1, le=3660, description="Days after which rows are removed.")
    accesses_per_query: int = Field(
        10, ge=0, le=100, description="Hits of a request that are kept as accesses of their documents."
    )
    low_relevance: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Relevance of the best hit below which a question counts as ill answered.",
    )
    metrics_every_s: float = Field(
        60.0, ge=0, le=300, description="Seconds between two rows of system metrics; 0 keeps none."
    )
    user_header: str = Field(
        "",
        pattern=r"^[A-Za-z0-9-]*$",
        description="Request header in which a proxy with authentication names the user; none when empty.",
    )
    prices: dict[str, TokenPrice] = Field(
        default_factory=dict,
        description="What a million tokens of a model cost, prompt and completion; JSON in the environment.",
    )

    @field_validator("prices", mode="before")
    @classmethod
    def _from_json(cls, given: object) -> object:
        """A variable of the environment is text."""
        return json.loads(given) if isinstance(given, str) else given
