"""Places for work at one time."""

from __future__ import annotations

import pytest

from ragstone.errors import InvalidRequest, Overloaded
from ragstone.resilience.limiter import Limiter, LimiterFigures


def test_whoever_finds_no_place_is_told_the_fix() -> None:
    """The third is refused and named the setting; a place that was left, even by an error, is free again."""
    places = Limiter("searches", 2, "limits.max_concurrent_searches")
    with places.place(), places.place():
        with (
            pytest.raises(Overloaded, match=r"2 searches .*limits\.max_concurrent_searches") as caught,
            places.place(),
        ):
            pass
        assert places.figures() == LimiterFigures("searches", 2, 2, 1)
    with pytest.raises(InvalidRequest), places.place():
        raise InvalidRequest("wrong")

    assert caught.value.retryable
    assert places.figures() == LimiterFigures("searches", 0, 2, 1)
