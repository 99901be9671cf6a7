"""`tenure app mrr`, as typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tenure.cli import command_line
from tenure.control.billing import DEFAULT
from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.errors import TenureError
from tenure.settings import Settings
from tenure.subscriptions.currency import Rate
from tenure.subscriptions.rules import Rules

Run = Callable[..., str]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    engine = connect(Settings.load({"data": tmp_path}, {}))
    migrate(engine)
    made = Store(engine)
    made.create_app("shop")
    return made


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Run:
    def typed(*options: str) -> str:
        done = CliRunner().invoke(command_line(), ["app", "mrr", "shop", *options, "--data", str(tmp_path)])
        if isinstance(done.exception, TenureError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return typed


@pytest.fixture
def rates(tmp_path: Path) -> Callable[[str], str]:
    def written(text: str) -> str:
        path = tmp_path / "rates.csv"
        path.write_text(text)
        return str(path)

    return written


def test_rules_are_switched_one_by_one(store: Store, run: Run) -> None:
    """What is not named stays; every change has another stamp, and going back has the first again."""
    app = store.app("shop").id
    assert store.billing.of(app) == DEFAULT
    assert "cancel            period_end\n" in run()
    run("--set", "cancel=request", "--set", "reactivation_days=90")
    changed: Any = json.loads(run("--set", "days_per_year=360", "--json"))
    assert store.billing.of(app).rules == Rules(cancel="request", reactivation_days=90, days_per_year=360)
    assert changed["stamp"] == store.billing.of(app).stamp != DEFAULT.stamp
    run("--set", "cancel=period_end", "--set", "reactivation_days=null", "--set", "days_per_year=365")
    assert store.billing.of(app).stamp == DEFAULT.stamp


def test_rates_are_to_one_currency(store: Store, run: Run, rates: Callable[[str], str]) -> None:
    """They are replaced as a whole, in any order and with columns in any order; another currency forgets them."""
    app = store.app("shop").id
    file = rates("day,currency,rate\n2026-02-01,USD,0.93\n2026-01-01,USD,0.9\n2026-01-01,JPY,0.0061\n")
    shown = run("--currency", "EUR", "--rates", file)
    assert "rates             USD: 2, 2026-01-01 to 2026-02-01\n" in shown
    with_rates = store.billing.of(app)
    assert with_rates.rates is not None
    assert with_rates.rates.of["USD"] == (
        Rate(date(2026, 1, 1), Decimal("0.9")), Rate(date(2026, 2, 1), Decimal("0.93")),
    )  # fmt: skip
    run("--set", "trials=in")
    assert store.billing.of(app).rates == with_rates.rates
    run("--currency", "CHF")
    other = store.billing.of(app)
    assert other.rates is not None
    assert (other.rates.base, dict(other.rates.of)) == ("CHF", {})
    assert "currency          each by itself\n" in run("--no-currency")
    assert len({DEFAULT.stamp, with_rates.stamp, other.stamp, store.billing.of(app).stamp}) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "cancel=never"], "cancel must be period_end or request"),
        (["--set", "weeks_per_year=54"], "weeks_per_year must be a whole number from 48 to 53"),
        (["--set", "reactivation_days=-1"], "reactivation_days must be a whole number of 0 or more, or null"),
        (["--set", "cancle=request"], "there is no such switch; there are cancel, discounts"),
        (["--set", "cancel"], "write SWITCH=VALUE"),
        (["--currency", "euro"], "currency must be the three letters"),
        (["--currency", "EUR", "--no-currency"], "not both"),
    ],
)
def test_wrong_settings_are_refused(store: Store, run: Run, options: list[str], message: str) -> None:
    """The refusal says what can be given instead, and nothing is changed."""
    with pytest.raises(TenureError, match=message):
        run(*options)
    assert store.billing.of(store.app("shop").id) == DEFAULT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("currency,rate\nUSD,1\n", "must name the columns currency, day, rate"),
        ("currency,day,rate\nUSD,2026-01-01,1\n$$$,2026-01-01,1\n", "line 3: currency must be"),
        ("currency,day,rate\nUSD,2026-02-30,1\n", "line 2: there is no such day"),
        ("currency,day,rate\nUSD,01.02.2026,1\n", "line 2: day must be"),
        ("currency,day,rate\nUSD,2026-01-01,0.000\n", "line 2: rate must be more than 0"),
        ("currency,day,rate\nUSD,2026-01-01,1e5\n", "line 2: rate must be a decimal"),
        ("currency,day,rate\nUSD,2026-01-01\n", "line 2: rate must be a decimal"),
        ("currency,day,rate\nUSD,2026-01-01,1\nUSD,2026-01-01,2\n", "USD has two rates of 2026-01-01"),
        ("currency,day,rate\nEUR,2026-01-01,1\n", "rates must be from other currencies"),
    ],
)
def test_wrong_rates_are_refused(run: Run, rates: Callable[[str], str], text: str, message: str) -> None:
    """The refusal names the line and what is wrong with it."""
    with pytest.raises(TenureError, match=message):
        run("--currency", "EUR", "--rates", rates(text))


def test_rates_need_a_currency_to_report_in(run: Run, rates: Callable[[str], str]) -> None:
    """Without one nobody knows what they are rates to."""
    with pytest.raises(TenureError, match="--currency"):
        run("--rates", rates("currency,day,rate\nUSD,2026-01-01,1\n"))
