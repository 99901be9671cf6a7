"""`tenure import` as a user runs it: a process, a data directory, the real engine."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tenure.customers.catalogue import event_names
from tenure.errors import Unavailable
from tenure.settings import Settings
from tenure.supervisor import Supervisor
from tenure.warehouse.client import Tenant, Warehouse
from tests import cdnow
from tests.harness import Server, create_app, kill, ledger_of
from tests.importer.rows import HEADER
from tests.warehouse_books import Books, books

SECONDS = 180


def run(file: Path, data: Path, *options: str, app: str = "test") -> subprocess.CompletedProcess[str]:
    """The command to its end."""
    return subprocess.run(
        _command(file, data, app, *options), check=False, capture_output=True, text=True, timeout=SECONDS
    )


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What `--json` printed of an import that succeeded, without the time that it took."""
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.pop("seconds") > 0
    return found


def _command(file: Path, data: Path, app: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "tenure", "import", str(file), "--app", app, "--data", str(data), *options]


@contextmanager
def warehouse(data: Path, app: str) -> Iterator[Tenant]:
    """The warehouse of a data directory on which nothing runs."""
    settings = Settings.load({"data": data, "log_level": "warning"}, {})
    supervisor = Supervisor(settings, with_http=False)
    supervisor.start()
    try:
        yield _answering(settings, app)
    finally:
        supervisor.stop()


def _answering(settings: Settings, app: str) -> Tenant:
    deadline = time.monotonic() + 60
    while True:
        tenant = Warehouse(settings).tenant(app)
        try:
            tenant.rows("SELECT count() FROM event")
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return tenant


def entries_in_journals(data: Path) -> int:
    """How many entries have ever been appended to the journals."""
    total = 0
    for path in (data / "journal").glob("*.sqlite"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db, suppress(sqlite3.Error):
            total += sum(row[0] for row in db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entry'"))
    return total


PLAIN = {"identifies": 0, "placeholders": {}, "preset": None, "conflicts": 0, "conflict_examples": []}
"""What a summary says where nothing of it is special."""
WHOLE = {**PLAIN, "rows": cdnow.PURCHASES, "events": cdnow.PURCHASES, "refused": {}, "receipts": 35,
         "first_at": "1997-01-01T00:00:00.000Z", "last_at": "1998-06-30T00:00:00.000Z"}  # fmt: skip


def check_cdnow(tenant: Tenant) -> Books:
    """Everything that can be counted of the log is in the warehouse, to the row and to the cent."""
    log = cdnow.purchases()
    assert len(log) == cdnow.PURCHASES
    assert len({purchase.customer for purchase in log}) == cdnow.CUSTOMERS
    (name,) = event_names(tenant).items
    assert (name.name, name.count) == ("purchase", cdnow.PURCHASES)
    assert name.first_seen == "1997-01-01T00:00:00.000Z"
    assert name.last_seen == "1998-06-30T00:00:00.000Z"
    ((customers, keys, quantity, cents),) = tenant.rows(
        """SELECT uniqExact(customer_id), uniqExact(customer_key), sum(JSONExtractInt(properties, 'number_of_cds')),
            sum(toInt64(round(JSONExtractFloat(properties, 'dollar_value') * 100))) FROM event FINAL"""
    )
    assert customers == keys == cdnow.CUSTOMERS
    assert quantity == sum(purchase.quantity for purchase in log)
    assert cents == sum(purchase.cents for purchase in log)
    return books(tenant)


@pytest.mark.long
def test_the_cdnow_log(tmp_path: Path) -> None:
    """The real purchase log: every purchase, every customer, every cent; and a second import changes nothing."""
    data, file = tmp_path / "data", cdnow.log_file()
    app = create_app(data)["app"]
    first = summary(run(file, data, *cdnow.IMPORT_OPTIONS, "--json"))
    assert first == {**WHOLE, "stored": cdnow.PURCHASES, "duplicates": 0}
    with warehouse(data, app) as tenant:
        counted = check_cdnow(tenant)
    assert counted == Books(cdnow.PURCHASES, cdnow.PURCHASES, 0, 0, 0, 0)
    second = summary(run(file, data, *cdnow.IMPORT_OPTIONS, "--json"))
    assert second == {**WHOLE, "stored": 0, "duplicates": cdnow.PURCHASES}
    with warehouse(data, app) as tenant:
        counted = check_cdnow(tenant)
    assert counted == Books(2 * cdnow.PURCHASES, cdnow.PURCHASES, cdnow.PURCHASES, 0, 0, 0)
    assert list((data / "imports").iterdir()) == []


@pytest.mark.long
@pytest.mark.soak
def test_kill_and_resume(tmp_path: Path) -> None:
    """kill -9 again and again, between any two steps: started again it goes on, and not even a count differs."""
    data, file = tmp_path / "data", cdnow.log_file()
    app = create_app(data)["app"]
    for appended in (1, 25, 35):
        process = subprocess.Popen(
            _command(file, data, "test", *cdnow.IMPORT_OPTIONS), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while entries_in_journals(data) < appended and process.poll() is None:
            time.sleep(0.002)
        assert process.poll() is None, process.communicate()
        kill(process.pid)
        process.communicate()
    last = summary(run(file, data, *cdnow.IMPORT_OPTIONS, "--json"))
    assert last == {**WHOLE, "stored": cdnow.PURCHASES, "duplicates": 0}
    with warehouse(data, app) as tenant:
        counted = check_cdnow(tenant)
        acknowledged = ledger_of(data, app)
    assert counted == Books(cdnow.PURCHASES, cdnow.PURCHASES, 0, 0, 0, 0)
    assert (acknowledged.received, acknowledged.differences) == (cdnow.PURCHASES, [])
    assert list((data / "imports").iterdir()) == []


def test_beside_a_running_server(server: Server, keys: dict[str, str], tmp_path: Path) -> None:
    """With a server on the directory its loader loads the rows, and its read API knows them when the command ends."""
    file = tmp_path / "rows.csv"
    rows = [f"login,2026-01-01T00:00:{n % 60:02d}Z,c{n % 7}" for n in range(5_000)]
    file.write_text("\n".join([HEADER, *rows, "login,never,c1"]))
    found = summary(run(file, server.data, "--json", app=keys["app"]))
    assert found == {**PLAIN, "first_at": "2026-01-01T00:00:00.000Z", "last_at": "2026-01-01T00:00:59.000Z",
                     "rows": 5_001, "events": 5_000, "refused": {"invalid_time": 1}, "stored": 5_000, "duplicates": 0,
                     "receipts": 3}  # fmt: skip
    (name,) = server.read("/v1/events", keys)["items"]
    assert (name["name"], name["count"], name["dialects"]) == ("login", 5_000, ["import"])
    assert len(server.read("/v1/customers/c3/timeline", keys, limit=1_000)["items"]) == 714


def test_a_dry_run_keeps_nothing(tmp_path: Path) -> None:
    """It says what would become of the rows and how the columns are understood, and leaves no entry behind."""
    data, file = tmp_path / "data", tmp_path / "rows.csv"
    create_app(data)
    file.write_text(f"{HEADER}\nlogin,2026-01-01,a\nlogin,2026-01-41,a\n")
    done = run(file, data, "--dry-run")
    assert done.returncode == 0
    range_of_times = "from 2026-01-01T00:00:00.000Z to 2026-01-01T00:00:00.000Z"
    kept = "nothing was kept (--dry-run)"
    assert done.stdout == f"2 rows: 1 events, 1 refused\n  1 invalid_time\n{range_of_times}\n{kept}\n"
    assert "occurred_at: column occurred_at" in done.stderr
    assert "line 3: occurred_at is not a time that exists." in done.stderr
    assert not (data / "journal").exists()
    assert not (data / "imports").exists()


@pytest.mark.parametrize(
    ("content", "options", "code", "message"),
    [
        ("a,b\n1,2\n", (), 1, "the columns are a, b"),
        ("", (), 1, "is empty"),
        (f"{HEADER}\n", ("--map", "uid"), 1, "--map uid: write FIELD=…"),
        (
            f"{HEADER}\n",
            ("--map", "uid=x"),
            1,
            "there is no column 'x'; the columns are name, occurred_at, customer_id",
        ),
        (f"{HEADER}\n", ("--no-header",), 1, "--no-header and --columns go together"),
        (f"{HEADER}\n", ("--format", "xml"), 1, "--format (csv, jsonl, parquet)"),
        (f"{HEADER}\n", ("--nonsense",), 2, "No such option"),
    ],
)
def test_what_cannot_be_imported(
    tmp_path: Path, content: str, options: tuple[str, ...], code: int, message: str
) -> None:
    """A mistake is told in one sentence before anything is written, with an exit code that is not 0."""
    data, file = tmp_path / "data", tmp_path / "rows.csv"
    create_app(data)
    file.write_text(content)
    done = run(file, data, *options)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (data / "journal").exists()


def test_an_import_of_which_nothing_can_be_taken(server: Server, keys: dict[str, str], tmp_path: Path) -> None:
    """When every row is refused they are kept in quarantine, and the exit code is 1."""
    file = tmp_path / "rows.csv"
    file.write_text(f"{HEADER}\nlogin,never,a\n")
    done = run(file, server.data, "--json", app=keys["app"])
    assert done.returncode == 1
    assert "not one row of" in done.stderr
    assert json.loads(done.stdout)["refused"] == {"invalid_time": 1}
    with_server = Settings.load({"data": server.data}, {})
    assert books(Warehouse(with_server).tenant(keys["app"])).quarantined == 1


def test_a_conflict_is_told_and_is_no_success(server: Server, keys: dict[str, str], tmp_path: Path) -> None:
    """One id with two contents: the first is stored, and where the others are is said; exit code 1."""
    file = tmp_path / "rows.csv"
    rows = ["e,2026-01-01,a,1", "e,2026-01-01,a,2", "e,2026-01-01,a,1", "e,2026-01-02,b,3", "e,2026-01-03,b,3"]
    file.write_text("\n".join([f"{HEADER},message_id", *rows]))
    done = run(file, server.data, "--json", app=keys["app"])
    found = json.loads(done.stdout)
    assert (done.returncode, found["stored"], found["duplicates"], found["conflicts"]) == (1, 3, 1, 1)
    assert found["conflict_examples"] == ["line 6 has the message id of line 5, and says something else"]
    assert "1 rows were not stored" in " ".join(done.stderr.split())
    file.write_text(f"{HEADER},message_id\ne,2026-01-09,a,2\n")
    text = run(file, server.data, app=keys["app"]).stdout
    assert "1 NOT stored, in conflict with another row of their message id:" in text
    assert "line 2 has the message id of a row of an earlier import, and says something else" in text


def test_what_was_exported_comes_back_in(server: Server, keys: dict[str, str], tmp_path: Path) -> None:
    """A customer's `event.jsonl` is imported into another app without options, and its export says the same."""
    secret = {"Authorization": f"Bearer {keys['secret_key']}"}
    events = [
        {"event": "e", "customer_id": "exported", "email": "jane@example.com", "message_id": f"m{number}",
         "occurred_at": f"2026-01-0{number}T12:00:00Z", "properties": {"n": number, "deep": {"x": [1]}},
         "context": {"ip": "192.0.2.1"}, "user": {"id": "u1"}}
        for number in range(1, 6)
    ]  # fmt: skip
    assert server.http.post("/v1/ingest", json={"events": events}, headers=secret).status_code == 202
    server.wait_loaded()
    other = create_app(server.data, "other")
    file = tmp_path / "event.jsonl"
    file.write_bytes(exported(server, keys))
    done = summary(run(file, server.data, "--json", app=other["app"]))
    assert (done["preset"], done["stored"], done["first_at"]) == ("tenure", 5, "2026-01-01T12:00:00.000Z")
    assert said(exported(server, other)) == said(exported(server, keys)) != []


def exported(server: Server, keys: dict[str, str]) -> bytes:
    """The events of the customer `exported`, as an export of everything has them."""
    headers = {"Authorization": f"Bearer {keys['read_key']}"}
    answer = server.http.get("/v1/customers/exported/export", headers=headers)
    assert answer.status_code == 200, answer.text
    return zipfile.ZipFile(io.BytesIO(answer.content)).read("event.jsonl")


def said(lines: bytes) -> list[dict[str, Any]]:
    """What a client said in the events of an export; the rest is about how they came here."""
    ours = {"app", "customer_key", "event_id", "received_at", "receipt", "position", "dialect"}
    rows = [json.loads(line) for line in lines.splitlines()]
    told = [{name: value for name, value in row.items() if name not in ours} for row in rows]
    return sorted(told, key=lambda row: str(row["message_id"]))


def test_an_engine_that_can_never_start_ends_an_import(tmp_path: Path) -> None:
    """With code 1 and the reason, after it was tried five times; the rows are kept."""
    data, file = tmp_path / "data", tmp_path / "rows.csv"
    create_app(data)
    (data / "warehouse" / "chdb").mkdir(parents=True)
    (data / "warehouse" / "chdb" / "store").write_text("in the way")
    file.write_text(f"{HEADER}\nlogin,2026-01-01,a\n")
    done = run(file, data)
    assert done.returncode == 1
    assert "the engine failed to start 5 times: " in " ".join(done.stderr.split())
    assert entries_in_journals(data) == 1


@pytest.mark.soak
def test_a_file_that_changes_while_it_is_read(server: Server, keys: dict[str, str], tmp_path: Path) -> None:
    """What was read is in, exit code 1 says that it may not be all; the next import adds what is missing."""
    file = tmp_path / "rows.csv"
    rows = [f"login,2026-01-01,c{n}" for n in range(40_000)]
    file.write_text("\n".join([HEADER, *rows]) + "\n")
    process = subprocess.Popen(
        _command(file, server.data, keys["app"], "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    imports = server.data / "imports"
    while not (imports.exists() and list(imports.glob("*.sqlite-wal"))) and process.poll() is None:
        time.sleep(0.002)
    with file.open("a") as opened:
        opened.write("login,2026-01-02,late\n")
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "changed while it was read" in err
    again = summary(run(file, server.data, "--json", app=keys["app"]))
    assert again["rows"] == 40_001
    assert again["duplicates"] >= 40_000
    assert [name["count"] for name in server.read("/v1/events", keys)["items"]] == [40_001]


@pytest.mark.soak
def test_memory_is_bounded(tmp_path: Path) -> None:
    """Ten times the rows take no more memory: a dry run of a large file stays near that of a small one."""
    data = tmp_path / "data"
    create_app(data)
    peaks = []
    for rows in (20_000, 200_000):
        file = tmp_path / f"{rows}.csv"
        file.write_text("\n".join([HEADER, *(f"login,2026-01-01,c{n}" for n in range(rows))]))
        process = subprocess.Popen(_command(file, data, "test", "--dry-run"), stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss)
    assert peaks[1] < peaks[0] * 1.1
