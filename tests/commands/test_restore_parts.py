"""`tenure restore-parts` and `tenure check --deep`, on real damage of a real warehouse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tenure.data_directory import lock_data
from tenure.deep_result import DeepResult
from tenure.engine_alone import engine_alone
from tenure.settings import Settings
from tenure.warehouse.file_copies import FileCopies
from tests.harness import tenure

SEEN = "SELECT app, customer_key, name, sum(events), sum(seen.verified), min(first), max(last) FROM seen GROUP BY ALL"
VOLUME = "SELECT app, name, dialect, day, sum(events) AS number FROM volume GROUP BY ALL HAVING number != 0"
ROWS = {
    "seen": SEEN,
    "volume": VOLUME,
    "identifier": "SELECT * FROM identifier FINAL",
    "first_copy": "SELECT * FROM first_copy FINAL",
    "canonical": "SELECT * FROM canonical FINAL",
    "subscription_fact": "SELECT * FROM subscription_fact FINAL",
    "event": "SELECT * FROM event FINAL",
    "fact": "SELECT * FROM fact FINAL",
    "identify": "SELECT * FROM identify FINAL",
    "quarantine": "SELECT * FROM quarantine FINAL",
    "arrival": "SELECT app, receipt, kind, position, part, event_id, content, outcome, code FROM arrival FINAL",
}


def state(data: Path) -> dict[str, tuple[int, int]]:
    """By table: how many rows there are, and a sum over their content."""
    with engine_alone(Settings.load({"data": data}, {})) as warehouse:
        query = warehouse.client.query
        return {
            table: tuple(query(f"SELECT count(), sum(cityHash64(*)) FROM ({sql})").result_rows[0])
            for table, sql in ROWS.items()
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[int, int]]]:
    """A data directory of a few thousand events, and what is in it."""
    data = tmp_path_factory.mktemp("restoring") / "data"
    tenure("demo", "--customers", "12", "--days", "60", data=data)
    return data, state(data)


@pytest.fixture
def data(made: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made[0], tmp_path / "data", symlinks=True))


def data_file(data: Path, name: str) -> Path:
    """The data of the largest part of a table."""
    (table,) = (table for table in FileCopies(data / "warehouse").tables() if table.name == name)
    return max((table.path / part / "data.bin" for part in table.parts()), key=lambda path: path.stat().st_size)


def overwrite(path: Path, at: int, content: bytes) -> None:
    """Change bytes of a file in place, as a disk does."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = path.read_bytes()
    overwrite(path, len(content) // 2, bytes([content[len(content) // 2] ^ 4]))


def run(data: Path, *arguments: str) -> tuple[int, Any]:
    """A command's exit code, and its JSON."""
    done = subprocess.run([sys.executable, "-m", "tenure", *arguments, "--json", "--data", str(data)],
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_a_wrong_bit_is_found_by_the_deep_check_and_put_right(made: tuple[Path, Any], data: Path) -> None:
    flip(path := data_file(data, "event"))
    flip(data_file(data, "seen"))
    _, findings = run(data, "check", "--deep")
    found = [finding for finding in findings if finding["name"].startswith("incident") and not finding["holds"]]
    assert any("event" in one["seen"] and path.parent.name in one["seen"] for one in found)
    result = DeepResult.read(data)
    assert result is not None
    assert len(result.damaged) == 2
    code, report = run(data, "restore-parts")
    assert (code, report["lost"], len(report["repaired"])) == (0, [], 2)
    assert state(data) == made[1]
    _, findings = run(data, "check", "--deep")
    assert not [finding for finding in findings if finding["name"].startswith("incident")]


def test_what_is_derived_is_made_anew(made: tuple[Path, Any], data: Path) -> None:
    for table in ("seen", "volume", "identifier", "first_copy", "canonical", "subscription_fact"):
        overwrite(path := data_file(data, table), 0, bytes(path.stat().st_size))
    code, report = run(data, "restore-parts")
    assert (code, report["lost"]) == (0, [])
    assert state(data) == made[1]
    code, report = run(data, "restore-parts")
    assert (code, report["rebuilt"], report["set_aside"]) == (0, [], [])


@pytest.mark.parametrize("tables", [("event", "quarantine"), ("event", "arrival")])
def test_what_is_lost_is_told_exactly(made: tuple[Path, Any], data: Path, tables: tuple[str, ...]) -> None:
    """Lost events also where their arrivals went with them."""
    for table in tables:
        path = data_file(data, table)
        overwrite(path, path.stat().st_size // 2, b"\x55" * 64)
    code, report = run(data, "restore-parts")
    assert code == 1
    now = state(data)
    lost = {loss["table"]: loss for loss in report["lost"]}
    for table in tables:
        assert lost[table]["count"] == made[1][table][0] - now[table][0] > 0
    for table in tables[:1] if "arrival" in tables else tables:
        assert lost[table]["app"].startswith("app_")
        assert lost[table]["first_at"] <= lost[table]["last_at"]
    assert lost["event"]["receipts"]
    assert now["first_copy"][0] == now["event"][0]
    _, incidents = run(data, "incident", "list")
    assert {(one["place"].split()[1], one["count"]) for one in incidents} == {
        (table, loss["count"]) for table, loss in lost.items()
    }
    code, report = run(data, "restore-parts")
    assert (code, report["lost"], report["rebuilt"]) == (0, [], [])
    assert state(data) == now


def test_nothing_is_touched_while_a_server_runs(data: Path) -> None:
    with lock_data(data):
        done = subprocess.run([sys.executable, "-m", "tenure", "restore-parts", "--data", str(data)],
                              capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 3
    assert "stop it" in done.stderr
