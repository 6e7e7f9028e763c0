"""Query parameters that a route does not know are refused: a misspelt filter must not widen what is done."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from ragstone.errors import InvalidRequest, no_such


async def refuse_unknown_parameters(request: Request) -> None:
    """A dependency of every route.

    Raises:
        InvalidRequest: naming the first unknown parameter and those that there are.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = tuple(_names(route.dependant))
    for name in request.query_params:
        if name not in known:
            raise InvalidRequest(_sentence(name, known))


def _names(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        model = parameter.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (field.alias or name for name, field in model.model_fields.items())
        else:
            yield parameter.alias
    for inner in dependant.dependencies:
        yield from _names(inner)


def _sentence(name: str, known: tuple[str, ...]) -> str:
    if not known:
        return f"There is no parameter {name[:80]!r}; this route takes none."
    return no_such(name, known, "parameter ")
