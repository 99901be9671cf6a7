"""Refuses query parameters that a path does not have, or that are given twice: ignored ones give a wrong answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from tenure.errors import BadRequest

READ_BY_THEMSELVES: set[str] = set()
"""Names of routes that read their query as a whole, and refuse by themselves what they do not know."""


def reads_its_query(name: str) -> str:
    """Note that a route of this name reads its query itself; returns the name."""
    READ_BY_THEMSELVES.add(name)
    return name


SHOWN = 64
"""Characters of an unknown name that are shown."""


def refuse_unknown_parameters(request: Request) -> None:
    """Check the query of a request before it is answered. Raises BadRequest, which names the nearest parameter."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    route = request.scope.get("route")
    if not given or not isinstance(route, APIRoute):
        return
    if route.name in READ_BY_THEMSELVES:
        return
    known = _parameters(route.dependant) | dict.fromkeys(getattr(request.app.state, "flags", ()), False)
    for name, times in given.items():
        if name not in known:
            raise BadRequest(unknown(name, list(known)), field=name[:SHOWN], code="unknown_parameter")
        if times > 1 and not known[name]:
            raise BadRequest(f"{name} is given {times} times; give it once", field=name, code="repeated_parameter")


def _parameters(dependant: Dependant) -> dict[str, bool]:
    """The names of the query parameters of a path; whether each may be given more than once."""
    known = {field.alias: "list" in str(field.field_info.annotation).lower() for field in dependant.query_params}
    for within in dependant.dependencies:
        known |= _parameters(within)
    return known


def unknown(name: str, known: Sequence[str]) -> str:
    """That a path has no parameter of that name, with the nearest of those that it has."""
    shown = name[:SHOWN]
    if not known:
        return f"this path has no parameter {shown!r}; it has none"
    if nearest := get_close_matches(name.lower().replace("-", "_"), known, 1, 0.5):
        return f"this path has no parameter {shown!r}; did you mean {nearest[0]!r}?"
    return f"this path has no parameter {shown!r}; it has {', '.join(sorted(known))}"
