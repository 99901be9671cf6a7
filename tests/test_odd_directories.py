"""A data directory may be called anything that the file system takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenure.control.database import connect
from tenure.settings import Settings
from tests.harness import Server, create_app, tenure

NAMES = ["a%64b", "what?mode=memory#f", "{a,b} *[0]", 'it\'s "é" & <\\>']
"""Read as a URL, a pattern, or a part of a statement, each would be another one."""


@pytest.mark.parametrize("name", NAMES)
def test_the_control_database_is_in_the_directory_that_was_named(tmp_path: Path, name: str) -> None:
    create_app(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "control.sqlite").is_file()
    with connect(Settings.load({"data": tmp_path / name}, {})).connect() as connection:
        assert connection.exec_driver_sql("SELECT name FROM app").scalar_one() == "test"


def test_a_server_does_all_of_its_work_in_an_oddly_named_directory(tmp_path: Path) -> None:
    """Events are stored and found, counted by all processes, and the books balance."""
    server = Server(tmp_path / ("".join(NAMES)))
    try:
        server.start()
        keys = create_app(server.data)
        body = {"events": [{"event": "login", "customer_id": "c1", "message_id": "1"}]}
        assert server.http.post("/v1/ingest", json=body, headers={"X-API-Key": keys["secret_key"]}).status_code == 202
        server.wait_loaded()
        assert [item["name"] for item in server.read("/v1/customers/c1/timeline", keys)["items"]] == ["login"]
        assert 'tenure_events_accepted_total{dialect="native"} 1.0' in server.http.get("/metrics").text
        assert "FAIL" not in tenure("check", data=server.data)
        assert server.stop() == 0
    finally:
        if server.process is not None:
            server.kill_tree()
