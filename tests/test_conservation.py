"""What was acknowledged is held against the warehouse, and what is missing is told: app, time range and number."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.conservation import Difference, added, compare_arrivals, id_ranges
from tenure.journal.received import HOUR, Counts
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.harness import Server, create_app, tenure, whisperr_events

APP = "app_1"
counts = st.builds(Counts, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.just(0))


@given(st.dictionaries(st.tuples(st.sampled_from([APP, "app_2"]), st.integers(0, 5)), counts))
def test_equal_counts_are_no_difference_and_each_gap_is_counted(wanted: dict[tuple[str, int], Counts]) -> None:
    """Whatever one hour lacks is told as missing, and nothing else is."""
    found = {hour: one for (app, hour), one in wanted.items() if app == APP}
    assert compare_arrivals(APP, wanted, found) == []
    for hour, one in found.items():
        if one.events:
            told = compare_arrivals(APP, wanted, found | {hour: one._replace(events=0)})
            assert [(each.missing, each.extra) for each in told] == [(one.events, 0)]
            assert told[0].first_at <= hour * HOUR // 1_000 <= told[0].last_at + 1


def test_a_set_that_differs_with_equal_counts_is_a_difference() -> None:
    """As many are missing as are too many: the sums of the receipts tell."""
    wanted, found = {(APP, 7): Counts(3, receipt_sum=5)}, {7: Counts(3, receipt_sum=6)}
    assert compare_arrivals(APP, wanted, found) == [
        Difference(APP, "arrival", 1, 1, 7 * HOUR // 1_000, 7 * HOUR // 1_000, at_least=True)
    ]


def test_counts_are_added_and_taken_off() -> None:
    """What waits is taken off what was received."""
    place, other = (APP, 1), (APP, 2)
    received = [{place: Counts(5, 1, last_at=9)}, {place: Counts(2), other: Counts(1)}]
    assert added(received, [{place: Counts(3)}]) == {place: Counts(4, 1, last_at=9), other: Counts(1)}


@given(st.integers(0, 10**9))
def test_ranges_of_ids_cover_every_id_once(events: int) -> None:
    """They follow each other from the first id to the last."""
    ranges = list(id_ranges(events))
    assert ranges[0].low == "0" * 32
    assert ranges[-1].high == "f" * 32
    for one, following in pairwise(ranges):
        assert int(one.high, 16) + 1 == int(following.low, 16)


def send(server: Server, keys: dict[str, str], start: int, count: int) -> None:
    """Have events acknowledged, ten in each request."""
    for first in range(start, start + count, 10):
        answer = server.http.post(
            "/v1/events/batch", json=whisperr_events(first, 10), headers={"X-API-Key": keys["secret_key"]}
        )
        assert answer.status_code < 300, answer.text


def findings(data: Path) -> dict[str, dict[str, Any]]:
    """What `tenure check` says, by name; it must fail when something does not hold."""
    try:
        printed, failed = tenure("check", "--json", data=data), False
    except subprocess.CalledProcessError as error:
        printed, failed = error.stdout, True
    found = {one["name"]: one for one in json.loads(printed)}
    assert failed == any(not one["holds"] for one in found.values())
    return found


def assert_told(data: Path, name: str, missing: int, table: str, since: float) -> None:
    """The books of the app name the table, how many are missing and a time range since then."""
    books = findings(data)[f"books of {name}"]
    assert not books["holds"], books
    assert f"{missing:,} missing in {table}, received between " in books["seen"], books
    first = books["seen"].partition("received between ")[2][:10]
    assert first >= time.strftime("%Y-%m-%d", time.gmtime(since - 3_600))


def query(server: Server, sql: str) -> Any:
    return Warehouse(Settings.load({"data": server.data}, {})).client.command(sql)


def test_a_lost_row_and_a_lost_part_are_told(new_server: Callable[..., Server]) -> None:
    """One row of a table is deleted, then a whole part of another: `tenure check` names app, time and number."""
    began, server = time.time(), new_server()
    keys, other = create_app(server.data, "one"), create_app(server.data, "two")
    send(server, keys, 0, 40)
    send(server, keys, 0, 10)  # sent again: duplicates
    send(server, other, 0, 20)
    server.wait_loaded()
    assert all(one["holds"] for one in findings(server.data).values()), findings(server.data)
    of_app = f"app = '{keys['app']}'"
    one_id = f"(SELECT event_id FROM event WHERE {of_app} ORDER BY event_id LIMIT 1)"
    query(server, f"DELETE FROM event WHERE {of_app} AND event_id IN {one_id}")
    assert_told(server.data, "one", 1, "event", began)
    one_row = f"(SELECT receipt, position FROM arrival WHERE {of_app} ORDER BY receipt LIMIT 1)"
    query(server, f"DELETE FROM arrival WHERE {of_app} AND (receipt, position) IN {one_row}")
    assert_told(server.data, "one", 1, "arrival", began)
    assert findings(server.data)["books of two"]["holds"]
    part = query(server, "SELECT name FROM system.parts WHERE table = 'first_copy' AND active LIMIT 1")
    lost = int(query(server, f"SELECT count() FROM first_copy WHERE _part = '{part}' AND {of_app}"))
    query(server, f"ALTER TABLE first_copy DETACH PART '{part}'")
    books = findings(server.data)["books of one"]
    assert lost
    assert not books["holds"]
    assert " missing in first_copy, received between " in books["seen"]


@pytest.mark.parametrize("damage", ["deleted", "pages"])
def test_a_journal_that_was_not_loaded_is_told(new_server: Callable[..., Server], damage: str) -> None:
    """Its file is deleted, or pages of it are overwritten, while nobody runs; what it had is known all the same."""
    began, server = time.time(), new_server(TENURE_LOAD_INTERVAL_MS="60000", TENURE_HTTP_WORKERS="1")
    keys = create_app(server.data, "one")
    send(server, keys, 0, 10)
    (server.data / "journal" / "awaited").touch()
    server.wait_loaded()
    send(server, keys, 10, 200)
    wait_counted(server.data, 21)
    server.kill_tree()
    if damage == "deleted":
        for path in server.data.glob("journal/0.sqlite*"):
            path.unlink()
    else:
        for path in server.data.glob("journal/0.sqlite*"):
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 3] + bytes(len(content) - len(content) // 3))
    server.environment = {"TENURE_LOAD_INTERVAL_MS": "50"}
    server.start()
    server.wait_loaded()
    books = findings(server.data)["books of one"]
    assert not books["holds"], books
    stored = int(query(server, f"SELECT count() FROM event FINAL WHERE app = '{keys['app']}'"))
    if damage == "deleted":
        assert stored == 10
        assert any(not one["holds"] and "at least 20 " in one["seen"] for one in findings(server.data).values())
    assert_told(server.data, "one", 210 - stored, "arrival", began)


def test_a_copy_of_a_running_server_is_told_from_a_whole_one(new_server: Callable[..., Server], tmp_path: Path) -> None:
    """The copy has the journal of one moment and the warehouse of another: what was acknowledged between is missing."""
    began, server = time.time(), new_server(TENURE_LOAD_INTERVAL_MS="50", TENURE_HTTP_WORKERS="1")
    keys = create_app(server.data, "one")
    send(server, keys, 0, 50)
    server.wait_loaded()
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run(["cp", "-a", str(server.data / "warehouse"), str(copy)], check=True)
    send(server, keys, 50, 100)
    server.wait_loaded()
    wait_pruned(server.data)
    wait_counted(server.data, 15)
    for path in server.data.iterdir():
        if path.name not in {"warehouse", "run"}:
            subprocess.run(["cp", "-a", str(path), str(copy)], check=True)
    server.kill_tree()
    shutil.rmtree(server.data)
    other = Server(copy)
    other.start()
    try:
        other.wait_loaded()
        assert_told(copy, "one", 100, "arrival", began)
    finally:
        other.kill_tree()


def wait_counted(data: Path, position: int) -> None:
    """Wait until the control database knows of so many requests, which takes a second."""
    from tenure.control.database import connect
    from tenure.control.received import ReceivedLedger

    ledger = ReceivedLedger(connect(Settings.load({"data": data}, {})))
    deadline = time.monotonic() + 30
    while max((one.position for one in ledger.journals()), default=0) < position:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_pruned(data: Path) -> None:
    """Wait until the journals hold no row."""
    from tenure.journal import readers

    deadline = time.monotonic() + 30
    while any(reader.last() for reader in readers(data / "journal")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
