"""`tenure user`, as somebody at the machine uses it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tenure.cli import command_line
from tenure.control.database import connect
from tenure.control.store import Store
from tenure.errors import Conflict
from tenure.settings import Settings

PASSWORD = "correct horse battery"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def user(data: Path, *arguments: str) -> str:
    return CliRunner().invoke(command_line(), ["user", *arguments, "--data", str(data)], catch_exceptions=False).stdout


def test_people_are_let_in_and_out(data: Path) -> None:
    """Add with a link, list, role, sessions, disable and enable."""
    link = json.loads(user(data, "link", "--json"))
    assert (link["email"], link["role"]) == (None, "admin")
    people = Store(connect(Settings.load({"data": data}, {}))).people
    people.redeem(link["link"].partition("#")[2], "ann@example.com", PASSWORD)
    added = user(data, "add", "bob@example.com")
    token = re.search(r"^http://127\.0\.0\.1:8750/welcome#([\w-]{43})$", added, re.MULTILINE)
    assert token is not None
    bob = people.redeem(token[1], "bob@example.com", PASSWORD)
    assert user(data, "list") == "admin   ann@example.com\nviewer  bob@example.com\n"
    user(data, "role", "bob@example.com", "admin")
    people.open_session(bob, "a browser")
    assert re.fullmatch(r"[-\d]{10} [:\d]{5} UTC  a browser\n", user(data, "sessions", "bob@example.com"))
    assert user(data, "sessions", "bob@example.com", "--end") == ""
    user(data, "disable", "bob@example.com")
    assert user(data, "list").endswith("admin   bob@example.com  (disabled)\n")
    with pytest.raises(Conflict):
        user(data, "link", "bob@example.com")
    with pytest.raises(Conflict):
        user(data, "disable", "ann@example.com")
    user(data, "enable", bob.id)
    assert json.loads(user(data, "list", "--json"))[1]["disabled_at"] is None
    assert "/welcome#" in user(data, "link", "BOB@example.com")
