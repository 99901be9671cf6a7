"""`tenure app signals`: what names of events say in an app, and what its health score weighs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from tenure.commands.common import AppName, Data, Json, open_store, print_json, say
from tenure.errors import TenureError
from tenure.health.settings import HealthSettings, changed
from tenure.health.signals import SIGNS

Pairs = list[str] | None


def app_signals(
    app: AppName,
    *,
    set_: Annotated[Pairs, typer.Option("--set", metavar="NAME=SIGN", help=f"A sign: {', '.join(SIGNS)}.")] = None,
    unset: Annotated[Pairs, typer.Option("--unset", metavar="NAME", help="Take a declaration back.")] = None,
    no_use: Annotated[
        Pairs, typer.Option("--no-use", metavar="NAME", help="Never count a name as use, in any spelling.")
    ] = None,
    may_be_use: Annotated[
        Pairs, typer.Option("--may-be-use", metavar="NAME", help="Take a name off the list of those that never are.")
    ] = None,
    weight: Annotated[Pairs, typer.Option("--weight", metavar="PART=N", help="0 to 100; 0 leaves it out.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Say what names of events mean for a customer's health; without options, print what was said."""
    signs, weights = _pairs(set_, "--set"), _pairs(weight, "--weight")

    def change(settings: HealthSettings) -> HealthSettings:
        missing = [name for name in unset or [] if name not in settings.signals]
        if missing:
            raise TenureError(f"{missing[0]!r} is not declared; `tenure app signals` shows what is")
        left_out = [*settings.left_out, *(name for name in no_use or [] if name not in settings.left_out)]
        if absent := [name for name in may_be_use or [] if name not in left_out]:
            raise TenureError(f"{absent[0]!r} is not on the list; `tenure app signals` shows it")
        kept = {name: sign for name, sign in settings.signals.items() if name not in (unset or [])}
        numbers = {part: int(text) if text.isdecimal() else text for part, text in weights.items()}
        given: dict[str, Any] = {"signals": kept | signs, "weights": msgspec.structs.asdict(settings.weights) | numbers}
        if no_use or may_be_use:
            given["no_use"] = [name for name in left_out if name not in (may_be_use or [])]
        return changed(settings, given)

    store = open_store(data)
    app_id = store.app(app).id
    asked = bool(signs or unset or weights or no_use or may_be_use)
    settings = store.health.change(app_id, change) if asked else store.health.of(app_id)
    if json:
        print_json({"app": app_id, **msgspec.to_builtins(settings), "no_use": list(settings.left_out)})
        return
    for name, sign in sorted(settings.signals.items()):
        say(f"{sign:8}  {name}")
    for part, number in msgspec.structs.asdict(settings.weights).items():
        say(f"{number:8}  weight of {part}")
    for name in settings.left_out:
        say(f"{'no use':8}  {name}")


def _pairs(texts: Pairs, option: str) -> dict[str, str]:
    """`NAME=VALUE` texts; a name may hold further equals signs. Raises TenureError."""
    pairs = {}
    for text in texts or []:
        name, equals, value = text.rpartition("=")
        if not equals:
            raise TenureError(f"{option} takes NAME=VALUE, and there is no = in {text!r}")
        pairs[name] = value
    return pairs
