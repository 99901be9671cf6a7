"""`tenure app` and `tenure key`, as typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tenure.cli import command_line
from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.errors import TenureError
from tenure.settings import Settings

Run = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    engine = connect(Settings.load({"data": tmp_path}, {}))
    migrate(engine)
    return Store(engine)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def typed(*arguments: str) -> Result:
        done = CliRunner().invoke(command_line(), [*arguments, "--data", str(tmp_path)])
        if isinstance(done.exception, TenureError):
            raise done.exception
        return done

    return typed


def shown(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_origins_are_set_shown_and_lifted(store: Store, run: Run) -> None:
    """The list is replaced as a whole, written as browsers write it."""
    app = store.create_app("shop").id
    assert run("app", "origins", "shop").stdout == "any\n"
    assert run("app", "origins", "shop", "https://B.example:443", "http://a.example:81").exit_code == 0
    assert run("app", "origins", app).stdout == "http://a.example:81\nhttps://b.example\n"
    assert shown(run("app", "origins", "shop", "--json")) == {
        "app": app,
        "origins": ["http://a.example:81", "https://b.example"],
    }
    assert shown(run("app", "origins", "shop", "--any", "--json"))["origins"] is None
    assert store.policies()[app].origins is None


def test_wrong_origins_change_nothing(store: Store, run: Run) -> None:
    """One that is none, or origins together with --any, is refused as a whole."""
    store.create_app("shop")
    run("app", "origins", "shop", "https://a.example")
    for wrong in (["https://b.example", "null"], ["https://b.example", "--any"]):
        with pytest.raises(TenureError):
            run("app", "origins", "shop", *wrong)
    assert run("app", "origins", "shop").stdout == "https://a.example\n"


def test_the_retry_window_is_set_shown_and_taken_back(store: Store, run: Run) -> None:
    """0 is off, 300 seconds is the most."""
    app = store.create_app("shop").id
    assert run("app", "retries", "shop").stdout == "10 seconds\n"
    assert run("app", "retries", "shop", "--seconds", "0").stdout == "off\n"
    assert shown(run("app", "retries", "shop", "--seconds", "300", "--json")) == {"app": app, "seconds": 300}
    assert store.policies()[app].retry_seconds == 300
    assert run("app", "retries", "shop", "--default").stdout == "10 seconds\n"
    assert run("app", "retries", "shop", "--seconds", "301").exit_code != 0
    with pytest.raises(TenureError, match="not both"):
        run("app", "retries", "shop", "--seconds", "1", "--default")
    assert store.policies()[app].retry_seconds == 10


def test_limits_are_set_shown_and_taken_back(store: Store, run: Run) -> None:
    """Each dialect has its own; what is not said is the default."""
    app = store.create_app("shop").id
    assert "customerscore 200 a minute  (default)" in run("app", "limit", "shop").stdout
    run("app", "limit", "shop", "--dialect", "native", "--per-minute", "30")
    assert "native        30 a minute\n" in run("app", "limit", "shop", "--dialect", "customerscore", "--off").stdout
    assert shown(run("app", "limit", "shop", "--json")) == {
        "app": app,
        "limits": {
            "churnkey": None,
            "windback": None,
            "customerscore": None,
            "whisperr": None,
            "native": 30,
            "stripe": None,
        },
    }
    limits = shown(run("app", "limit", "shop", "--dialect", "customerscore", "--default", "--json"))["limits"]
    assert limits["customerscore"] == 200


@pytest.mark.parametrize(
    "options",
    [
        ["--dialect", "native"],
        ["--off"],
        ["--per-minute", "5"],
        ["--dialect", "native", "--off", "--default"],
        ["--dialect", "morse", "--off"],
    ],
)
def test_unclear_limits_are_refused(store: Store, run: Run, options: list[str]) -> None:
    """A dialect and one wish go together."""
    store.create_app("shop")
    with pytest.raises(TenureError, match="dialect"):
        run("app", "limit", "shop", *options)


def test_rotation_says_that_the_old_key_is_still_good(store: Store, run: Run) -> None:
    """The new key is on standard output alone, what to do with the old one beside it."""
    store.create_key(store.create_app("shop").id, "secret")
    (old,) = store.list_keys()
    done = run("key", "rotate", old.id)
    assert done.stdout.startswith("new key: sk_live_")
    assert f"tenure key revoke {old.id}" in done.stderr
    assert [row.revoked_at for row in store.list_keys()] == [None, None]


def test_rotation_may_end_the_old_key(store: Store, run: Run) -> None:
    """With --revoke-old it ends at once, and nothing is left to do."""
    store.create_key(store.create_app("shop").id, "secret")
    (old,) = store.list_keys()
    done = run("key", "rotate", old.id, "--revoke-old", "--json")
    assert shown(done).keys() == {"key", "old", "old_revoked"}
    assert (shown(done)["old"], shown(done)["old_revoked"], done.stderr) == (old.id, True, "")
    assert [row.id for row in store.list_keys() if row.revoked_at] == [old.id]


def test_signals_are_declared_shown_and_taken_back(store: Store, run: Run) -> None:
    """Each name by itself, beside what was declared before; weights too."""
    app = store.create_app("shop").id
    run("app", "signals", "shop", "--set", "Export Failed=negative", "--set", "a=b=nps", "--weight", "billing=0")
    assert store.health.of(app).signals == {"Export Failed": "negative", "a=b": "nps"}
    done = run("app", "signals", "shop", "--unset", "a=b", "--set", "Contract Signed=positive")
    assert "negative  Export Failed\n" in done.stdout
    assert "       0  weight of billing\n" in done.stdout
    found = shown(run("app", "signals", "shop", "--json"))
    assert (found["app"], found["weights"]["billing"]) == (app, 0)
    assert found["signals"] == {"Export Failed": "negative", "Contract Signed": "positive"}


@pytest.mark.parametrize("wrong", [["--set", "a"], ["--set", "a=good"], ["--unset", "a"], ["--weight", "billing=x"]])
def test_signals_that_cannot_be_change_nothing(store: Store, run: Run, wrong: list[str]) -> None:
    """No sign, an unknown one, what was not declared, no number: refused, with the rest of the command."""
    app = store.create_app("shop").id
    with pytest.raises(TenureError):
        run("app", "signals", "shop", "--set", "good=positive", *wrong)
    assert store.health.of(app).signals == {}
