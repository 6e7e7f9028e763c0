"""Choosing what goes into the prompt: full passages, best first, within a token budget (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from ragstone.types import Hit, TokenCounter


def pack(hits: Sequence[Hit], budget_tokens: int, tokens: TokenCounter) -> tuple[Hit, ...]:
    """The longest prefix of `hits` that fits, never less than the first hit, overlapping spans left out."""
    packed: list[Hit] = []
    left = budget_tokens
    for hit in hits:
        if any(_covers(other, hit) for other in packed):
            continue
        cost = tokens.count(hit.text)
        if packed and cost > left:
            break
        packed.append(hit)
        left -= cost
    return tuple(packed)


def _covers(other: Hit, hit: Hit) -> bool:
    return (
        other.document_id == hit.document_id
        and other.span.start <= hit.span.start
        and hit.span.end <= other.span.end
    )
