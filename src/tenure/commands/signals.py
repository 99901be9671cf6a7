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
        kept = {name: sign for name, sign in settings.signals.items() if name not in (unset or [])}
        numbers = {part: int(text) if text.isdecimal() else text for part, text in weights.items()}
        given: dict[str, Any] = {"signals": kept | signs, "weights": msgspec.structs.asdict(settings.weights) | numbers}
        return changed(settings, given)

    store = open_store(data)
    app_id = store.app(app).id
    settings = store.health.change(app_id, change) if signs or unset or weights else store.health.of(app_id)
    if json:
        print_json({"app": app_id, **msgspec.to_builtins(settings)})
        return
    for name, sign in sorted(settings.signals.items()):
        say(f"{sign:8}  {name}")
    for part, number in msgspec.structs.asdict(settings.weights).items():
        say(f"{number:8}  weight of {part}")


def _pairs(texts: Pairs, option: str) -> dict[str, str]:
    """`NAME=VALUE` texts; a name may hold further equals signs. Raises TenureError."""
    pairs = {}
    for text in texts or []:
        name, equals, value = text.rpartition("=")
        if not equals:
            raise TenureError(f"{option} takes NAME=VALUE, and there is no = in {text!r}")
        pairs[name] = value
    return pairs
