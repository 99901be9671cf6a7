"""`tenure app large`: which accounts really are so large that one identifier may join any number of ids."""

from __future__ import annotations

from typing import Annotated

import typer

from tenure.commands.common import AppName, Data, Json, open_store, print_json, say
from tenure.errors import TenureError
from tenure.identity import KINDS, Identifier, normal


def app_large(
    app: AppName,
    identifiers: Annotated[
        list[str] | None, typer.Argument(metavar="[KIND:VALUE]...", help="Such as customer_id:acme.")
    ] = None,
    *,
    held: Annotated[bool, typer.Option("--held", help="All that are held now as joining too many.")] = False,
    no_longer: Annotated[bool, typer.Option("--no-longer", help="Take it back.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Say that these are accounts that really are so large, so that they may join more than 10 customer ids, uids and
    billing ids; without arguments, print the identifiers of the app that join more."""
    from tenure.customers.joining import call_large

    store = open_store(data)
    app_id = store.app(app).id
    named = [_identifier(text) for text in identifiers or []]
    if held:
        named += [one.identifier for one in store.links.crowded(app_id) if not one.is_large]
    for identifier in named:
        call_large(store.links, app_id, identifier, not no_longer)
    found = store.links.crowded(app_id)
    if json:
        rows = [{"kind": one.identifier.kind, "value": one.identifier.value, "joins": one.joins, "large": one.is_large}
                for one in found]  # fmt: skip
        print_json({"app": app_id, "identifiers": rows})
        return
    for one in found:
        state = "a large account" if one.is_large else "held: links nothing"
        say(f"{one.joins:8,}  {one.identifier.kind}:{one.identifier.value}  {state}")


def _identifier(text: str) -> Identifier:
    kind, colon, value = text.partition(":")
    if not colon or not value or kind not in KINDS:
        raise TenureError(f"{text!r} names no identifier; write KIND:VALUE, where KIND is one of {', '.join(KINDS)}")
    return Identifier(kind, normal(kind, value))
