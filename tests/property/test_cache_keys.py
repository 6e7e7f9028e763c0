"""Requests that may be answered differently have different keys; equal ones share one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import fields, replace

import msgspec
from hypothesis import assume, given, strategies as st

from ragstone.answer.recipes import Recipes
from ragstone.cache.keys import (
    AnswerKey,
    DescribedKey,
    EmbeddingKey,
    EvidenceKey,
    Reader,
    key_of,
    rendered_key,
)
from ragstone.models.fakes import HashEmbedder
from ragstone.search.standing import Standing
from ragstone.settings import Settings
from ragstone.types import (
    AnswerRequest,
    CollectionId,
    Combine,
    Compare,
    Expansion,
    Filter,
    JsonValue,
    Principal,
    SearchRequest,
    TenantId,
    Weights,
)

IRRELEVANT = {
    "use_cache": "a request that wants no cache makes no key",
    "collections": "by their ids, which are another tenant's under the same name",
}
"""Fields of a search request that are in no key, and why."""

text = st.text(max_size=5)
values = st.one_of(text, st.integers(), st.booleans(), st.floats(allow_nan=False))
compares = st.builds(
    Compare, st.sampled_from(["eq", "ne", "gt", "in"]), text, st.one_of(values, st.lists(values, max_size=3))
)
filters: st.SearchStrategy[Filter] = st.recursive(
    compares,
    lambda inner: st.builds(
        Combine, st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=4,
)
principals = st.builds(
    Principal,
    text.map(TenantId),
    st.none() | st.frozensets(st.sampled_from(["red", "blue", "a,b", "a", "b"])),
)
weights = st.builds(Weights, st.sampled_from([0.0, 1.0, 2.5]), st.sampled_from([0.0, 1.0, 2.5]))
EXPANSIONS = [Expansion(neighbours=1), Expansion(neighbours=2), Expansion(is_section=True)]
requests = st.builds(
    SearchRequest,
    query=text,
    collections=st.just(("default",)),
    mode=st.sampled_from(["hybrid", "lexical", "dense"]),
    top_k=st.integers(1, 100),
    filters=st.none() | filters,
    weights=st.none() | weights,
    fusion=st.sampled_from([None, "score", "rrf"]),
    principal=principals,
    expand=st.sampled_from([None, *EXPANSIONS]),
)


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    """Any request anywhere at any version."""
    request = draw(requests)
    ids = draw(st.lists(st.sampled_from(["x", "y", "xy", "z"]), unique=True, min_size=1).map(tuple))
    reader = Reader.of(draw(st.sampled_from(["e1", "e2"])), request.principal)
    return Standing(request, reader, tuple(map(CollectionId, ids)), draw(st.integers(0, 3)))


def meaning(standing: Standing) -> object:
    """All that may change an answer, written in another way than the keys are: types tell 1 from True."""
    request = standing.request
    groups = request.principal.access_groups
    return (
        standing.reader.epoch,
        request.principal.tenant_id,
        None if groups is None else sorted(groups),
        standing.collection_ids,
        standing.corpus_version,
        *(_typed(getattr(request, field.name)) for field in fields(SearchRequest) if _counts(field.name)),
    )


def _counts(name: str) -> bool:
    return name not in IRRELEVANT and name != "principal"


def _typed(value: object) -> str:
    """A text in which 1, 1.0, True and "1" differ, and a list is a tuple."""
    if isinstance(value, list | tuple):
        return f"({','.join(map(_typed, value))})"
    if dataclasses.is_dataclass(value):
        inner = ",".join(_typed(getattr(value, field.name)) for field in fields(value))
        return f"{type(value).__name__}({inner})"
    return f"{type(value).__name__}:{value!r}"


def key(standing: Standing, recipe: str = "recipe") -> str:
    """The key of a search."""
    return key_of("retrieval", standing.key(recipe))


@given(standings(), standings())
def test_two_requests_share_a_key_only_when_they_mean_the_same(one: Standing, other: Standing) -> None:
    """Whatever they are."""
    assert (key(one) == key(other)) == (meaning(one) == meaning(other))


@given(standings(), st.data())
def test_every_field_of_a_search_request_is_in_its_key(standing: Standing, data: st.DataObject) -> None:
    """Changing one field alone changes the key. A new field fails here until it is in a key."""
    others: Mapping[str, st.SearchStrategy[object]] = {
        "query": text,
        "mode": st.sampled_from(["hybrid", "lexical", "dense"]),
        "top_k": st.integers(1, 100),
        "filters": st.none() | filters,
        "weights": st.none() | weights,
        "fusion": st.sampled_from([None, "score", "rrf"]),
        "principal": principals,
        "expand": st.sampled_from([None, *EXPANSIONS]),
    }
    assert others.keys() | IRRELEVANT.keys() == {field.name for field in fields(SearchRequest)}
    name = data.draw(st.sampled_from(sorted(others)))
    value = data.draw(others[name])
    assume(_typed(getattr(standing.request, name)) != _typed(value))
    request = replace(standing.request, **{name: value})  # type: ignore[arg-type] # of the field's type

    reader = Reader.of(standing.reader.epoch, request.principal)
    assert key(replace(standing, request=request, reader=reader)) != key(standing)


def test_the_fields_that_a_reader_and_an_answer_have_are_all_known() -> None:
    """A field that is added to one of these must go into a key, and then into this list."""
    assert {field.name for field in fields(Principal)} == {"tenant_id", "access_groups"}
    assert {field.name for field in fields(AnswerRequest)} == {"search", "temperature"}
    assert {field.name for field in fields(Standing)} == {
        "request",
        "reader",
        "collection_ids",
        "corpus_version",
    }


STANDING = Standing(SearchRequest("q"), Reader("e", "t", None), (CollectionId("x"),), 1)
CHANGES: Mapping[str, Callable[[object], object]] = {
    "str": lambda value: f"{value}!",
    "bytes": lambda _: b"other",
    "int": lambda _: 99,
    "tuple[str, ...]": lambda _: ("other",),
    "tuple[str, ...] | None": lambda _: ("other",),
    "float | None": lambda _: 0.5,
    "SearchMode": lambda _: "dense",
    "Filter | None": lambda _: Compare("eq", "a", 1),
    "tuple[float, float] | None": lambda _: (0.0, 1.0),
    "Fusion | None": lambda _: "rrf",
    "Expansion | None": lambda _: EXPANSIONS[0],
    "Reader": lambda _: Reader("other", "t", None),
    "RetrievalKey": lambda _: msgspec.structs.replace(STANDING.key("r"), corpus_version=2),
}
"""Another value for a field of a key, by its type."""


def test_every_field_of_a_key_counts() -> None:
    """Of every kind of key: with another value in one field it is another key; none is another kind's."""
    retrieval = STANDING.key("r")
    examples = (
        retrieval,
        AnswerKey(retrieval, None, "r"),
        EvidenceKey(STANDING.reader, "q", ("p",), None, "r"),
        EmbeddingKey("1", b"q"),
        DescribedKey(STANDING.reader, "d", 1),
    )
    seen = {key_of("answer", example) for example in examples}
    assert len(seen) == len(examples)
    for example in examples:
        for name in type(example).__struct_fields__:
            change = CHANGES[type(example).__annotations__[name]]
            changed = msgspec.structs.replace(example, **{name: change(getattr(example, name))})
            assert key_of("answer", changed) not in seen, f"{type(example).__name__}.{name}"


def test_readers_differ_in_everything() -> None:
    """Epoch, tenant and groups; no group is not all groups, and one name is not two."""
    readers = [
        Reader.of(epoch, Principal(TenantId(tenant), groups))
        for epoch in ("a", "b")
        for tenant in ("a", "b")
        for groups in (None, frozenset[str](), frozenset({"x"}), frozenset({"x", "y"}), frozenset({"x,y"}))
    ]
    keys = {key_of("generation", EvidenceKey(reader, "q", (), None, "r")) for reader in readers}

    assert len(keys) == len(readers)


@given(st.lists(text, max_size=4), st.lists(text, max_size=4))
def test_passages_do_not_run_together(one: list[str], other: list[str]) -> None:
    """Two lists of passages that join to the same text are two pieces of evidence."""
    keys = [
        key_of("generation", EvidenceKey(STANDING.reader, "q", tuple(passages), None, "r"))
        for passages in (one, other)
    ]
    assert (keys[0] == keys[1]) == (one == other)


def test_what_cannot_be_encoded_has_keys_all_the_same() -> None:
    """A number beyond 64 bits, a lone surrogate: what is wrong with them is said by the search."""
    odd: list[JsonValue] = [2**70, 2**70 + 1, -(2**70), "\ud800", "\udfff", str(2**70)]
    keys = {
        key(replace(STANDING, request=SearchRequest("q", filters=Compare("eq", "a", value)))) for value in odd
    }

    assert len(keys) == len(odd)


def test_the_form_of_a_response_is_in_its_key() -> None:
    """And what it says."""
    assert len({rendered_key(one, form) for one in ("answer:a", "answer:b") for form in ("x", "y")}) == 4


def test_settings_and_models_are_in_the_recipes() -> None:
    """Servers with other settings of search or generation, or another model, share nothing of it."""
    settings, model = Settings(), HashEmbedder()
    plain = Recipes.of(settings, model)
    other_search = settings.model_copy(update={"search": settings.search.model_copy(update={"rrf_k": 7})})
    other_answer = settings.model_copy(
        update={"answer": settings.answer.model_copy(update={"max_quotes": 1})}
    )
    generator = settings.generator.model_copy(update={"model": "other"})
    other_generator = settings.model_copy(update={"generator": generator})

    assert Recipes.of(settings, HashEmbedder()) == plain
    assert Recipes.of(settings, HashEmbedder(revision="2")).retrieval != plain.retrieval
    assert Recipes.of(other_search, model).retrieval != plain.retrieval
    for changed in (other_search, other_answer, other_generator):
        assert Recipes.of(changed, model).answer != plain.answer
