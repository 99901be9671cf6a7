"""`tenure app mrr`: how an app counts MRR."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from tenure.commands.common import AppName, Data, Json, open_store, print_json, say
from tenure.control.billing import Billing
from tenure.errors import BadRequest, TenureError
from tenure.subscriptions import declared
from tenure.subscriptions.currency import Rates


def mrr_command(
    app: AppName,
    *,
    switches: Annotated[
        list[str] | None, typer.Option("--set", metavar="SWITCH=VALUE", help="Such as cancel=request; may be repeated.")
    ] = None,
    currency: Annotated[
        str | None, typer.Option(help="Report in this currency, such as EUR. Another one forgets the rates.")
    ] = None,
    rates: Annotated[
        Path | None, typer.Option(help="CSV with the columns currency, day and rate; replaces the rates.")
    ] = None,
    no_currency: Annotated[bool, typer.Option("--no-currency", help="Each currency by itself again.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Say by which rules an app counts MRR, and which currency it reports in; without options, print that."""
    if no_currency and (currency or rates):
        raise TenureError("give --no-currency, or --currency and --rates, not both")
    store = open_store(data)
    app_id = store.app(app).id
    before = store.billing.of(app_id)
    now = before
    if switches or currency or rates or no_currency:
        rules = declared.rules(dict(_parted(text) for text in switches or ()), before.rules, texts=True)
        reported = None if no_currency else _reported(before.rates, currency, rates)
        now = store.billing.set(app_id, rules, reported)
    _print(app_id, now, json)


def _parted(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise TenureError(f"--set {text}: write SWITCH=VALUE, such as cancel=request")
    return name, value


def _reported(before: Rates | None, currency: str | None, file: Path | None) -> Rates | None:
    base = before.base if currency is None and before else currency
    if base is None:
        if file is not None:
            raise TenureError("--rates: say with --currency which currency they are rates to")
        return None
    base = declared.currency(base, "currency")
    if file is not None:
        return _rates(base, file)
    return before if before is not None and before.base == base else Rates(base, {})


def _rates(base: str, path: Path) -> Rates:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return declared.rates_in_csv(base, file)
    except BadRequest as error:
        raise TenureError(f"{path}: {error.message}") from None
    except (OSError, UnicodeDecodeError):
        raise TenureError(f"{path} cannot be read as CSV") from None


def _print(app_id: str, billing: Billing, json: bool) -> None:
    rules: dict[str, Any] = msgspec.to_builtins(billing.rules)
    base, of = (billing.rates.base, billing.rates.of) if billing.rates else (None, {})
    if json:
        rates = {currency: [msgspec.to_builtins(rate) for rate in dated] for currency, dated in of.items()}
        print_json({"app": app_id, "stamp": billing.stamp, "rules": rules, "currency": base, "rates": rates})
        return
    for name, value in rules.items():
        say(f"{name:18}{'null' if value is None else value}")
    say(f"{'currency':18}{base or 'each by itself'}")
    for currency, dated in of.items():
        say(f"{'rates':18}{currency}: {len(dated)}, {dated[0].day} to {dated[-1].day}")
