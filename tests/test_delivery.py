"""The journal of an import, and waiting for whoever loads it. The supervisor is not started here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tenure import delivery as module
from tenure.delivery import Delivery
from tenure.entry import Record
from tenure.errors import AlreadyRunning, Unavailable
from tenure.journal import Journal, Loaded, readers
from tenure.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A data directory that a server has already, and a journal of one MiB."""

    class Taken:
        def __init__(self, settings: Settings, *, with_http: bool) -> None:
            assert not with_http

        def start(self) -> None:
            raise AlreadyRunning("a server runs")

    monkeypatch.setattr(module, "Supervisor", Taken)
    monkeypatch.setattr(module, "TEND_SECONDS", 0.01)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    return Settings.load({"data": tmp_path, "journal_max_mb": 1}, {})


def load_everything(directory: Path) -> None:
    """What the loader would do."""
    positions = {}
    for reader in readers(directory):
        rows = reader.read(0, max_bytes=2**40)
        positions[reader.id] = max(
            (row.position for row in rows), default=Loaded.read(directory).positions.get(reader.id, 0)
        )
        reader.close()
    Loaded(positions).write(directory)


def test_a_full_journal_is_waited_for(settings: Settings) -> None:
    """An append that does not fit goes on when the loader has made room; meanwhile it is told what waits."""
    delivery = Delivery(settings, "test")
    waited: list[int] = []

    def waits(entries: int) -> None:
        waited.append(entries)
        load_everything(settings.journal_directory)

    for number in range(5):
        delivery.append([Record(f"{number:032x}", bytes(600_000))], waits)
    assert waited == [1, 1, 1, 1]
    delivery.close()


def test_what_never_fits_is_an_error(settings: Settings) -> None:
    """Entries larger than the journal may be are not waited for."""
    delivery = Delivery(settings, "test")
    with pytest.raises(Unavailable, match="journal is full"):
        delivery.append([Record("0" * 32, bytes(1_100_000))], lambda _: None)
    delivery.close()


def test_drain_waits_for_every_journal(settings: Settings) -> None:
    """Entries that a killed import left in a journal that a server took over are waited for; later ones are not."""
    other = Journal.claim(settings.journal_directory, 2**20)
    other.append([Record("1" * 32, b"left"), Record("2" * 32, b"behind")])
    delivery = Delivery(settings, "test")
    delivery.append([Record("3" * 32, b"own")], lambda _: None)
    waited: list[int] = []

    def waits(entries: int) -> None:
        waited.append(entries)
        if len(waited) == 2:
            load_everything(settings.journal_directory)
            other.append([Record("4" * 32, b"after")])

    delivery.drain(waits)
    assert waited == [3, 3]
    assert [reader.pending(0)[0] for reader in readers(settings.journal_directory)] == [3, 0]
    delivery.close()
    other.close()


def test_a_server_that_stops_is_replaced(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server that would have loaded stops, the import starts the loader itself, and stops it at its end."""
    calls: list[str] = []

    class Free:
        failed_engine_starts = 0

        def __init__(self, settings: Settings, *, with_http: bool) -> None:
            pass

        def __getattr__(self, name: str) -> Callable[[], None]:
            return lambda: calls.append(name)

    delivery = Delivery(settings, "test")
    delivery.append([Record("3" * 32, b"own")], lambda _: None)
    monkeypatch.setattr(module, "Supervisor", Free)
    later = threading.Timer(0.2, load_everything, [settings.journal_directory])
    later.start()
    delivery.drain(lambda _: None)
    delivery.close()
    assert calls[0] == "start"
    assert "tend" in calls
    assert calls[-1] == "stop"
