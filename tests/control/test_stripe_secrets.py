"""Secrets of Stripe webhooks, in the control database and by `tenure app stripe`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tenure.cli import command_line
from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.errors import NotFound, TenureError
from tenure.settings import Settings

FIRST, SECOND = "whsec_0123456789abcdef", "whsec_fedcba9876543210"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    engine = connect(Settings.load({"data": tmp_path}, {}))
    migrate(engine)
    return Store(engine)


def test_secrets_are_added_rotated_and_forgotten(store: Store, tmp_path: Path) -> None:
    """Several live at a time, of one app only; of one that was revoked no byte is left."""
    app, other = store.create_app("a").id, store.create_app("b").id
    first = store.stripe_secrets.add(app, FIRST)
    seen = store.revision()
    store.stripe_secrets.add(app, SECOND)
    assert store.revision() > seen
    assert {secret.secret for secret in store.stripe_secrets.live()[app]} == {FIRST, SECOND}
    with pytest.raises(NotFound):
        store.stripe_secrets.revoke(other, first)
    seen = store.revision()
    store.stripe_secrets.revoke(app, first)
    assert store.revision() > seen
    ((live,),) = store.stripe_secrets.live().values()
    assert (live.secret, SECOND in repr(live)) == (SECOND, False)
    assert [(row.prefix, row.revoked_at is None) for row in store.stripe_secrets.rows(app)] == [
        ("whsec_0", False), ("whsec_f", True)
    ]  # fmt: skip
    with connect(Settings.load({"data": tmp_path}, {})).connect() as db:
        db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert FIRST.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("control.sqlite*"))


@pytest.mark.parametrize("wrong", ["", "whsec_short", "sk_live_0123456789abcdef", "whsec_0123456789 abcdef", "whsec_é"])
def test_what_is_no_secret_is_refused_and_not_shown(store: Store, wrong: str) -> None:
    """An API key in its place would never work, and an error must not print it."""
    with pytest.raises(TenureError) as raised:
        store.stripe_secrets.add(store.create_app("a").id, wrong)
    assert not wrong or wrong not in str(raised.value)


def test_ambiguous_and_doubled_secrets_are_refused(store: Store) -> None:
    """The same secret twice, or a prefix that two have, changes nothing."""
    app = store.create_app("a").id
    store.stripe_secrets.add(app, FIRST)
    with pytest.raises(TenureError, match="already"):
        store.stripe_secrets.add(app, FIRST)
    store.stripe_secrets.add(app, FIRST + "x")
    with pytest.raises(TenureError, match="2 secrets"):
        store.stripe_secrets.revoke(app, "whsec_0")


def test_the_command_never_shows_a_secret(store: Store, tmp_path: Path) -> None:
    """It is read from standard input; what is listed is its prefix, and the path that webhooks go to."""
    app = store.create_app("shop").id

    def typed(*arguments: str, stdin: str = "") -> str:
        done = CliRunner().invoke(
            command_line(), ["app", "stripe", "shop", *arguments, "--data", str(tmp_path)], input=stdin
        )
        assert done.exit_code == 0, done.output
        return done.output

    shown = typed("--add", stdin=FIRST + "\n")
    assert f"/v1/billing/stripe/{app}" in shown
    assert "whsec_0…  live" in shown
    (listed,) = json.loads(typed("--list", "--json"))["secrets"]
    assert listed.keys() == {"id", "prefix", "created_at", "revoked_at", "used_at"}
    shown += typed("--revoke", "whsec_0") + typed()
    assert shown.endswith("whsec_0…  revoked  no use known\n")
    assert FIRST not in shown
    both = CliRunner().invoke(command_line(), ["app", "stripe", "shop", "--add", "--list", "--data", str(tmp_path)])
    assert isinstance(both.exception, TenureError)
