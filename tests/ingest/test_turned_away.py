"""Who was turned away: counted by reason, readable from everywhere, and bounded."""

from __future__ import annotations

from pathlib import Path

from tenure.ingest.turned_away import NOTED, Door, TurnedAway, turned_away


def refused(code: str = "unknown_key", app: str = "", prefix: str = "") -> TurnedAway:
    return TurnedAway(app=app, dialect="native", path="/v1/ingest", status=401, code=code, message="…",
                      key_prefix=prefix, first=1)  # fmt: skip


def test_all_processes_are_counted_together(tmp_path: Path) -> None:
    """By reason, the last first; of this app, and of keys that are no app's."""
    doors = [Door(tmp_path, 0), Door(tmp_path, 1)]
    for door in doors:
        for _ in range(2):
            door.note(refused())
        door.note(refused(app="app_b"))
        door.write()
    doors[1].note(refused("rate_limited", app="app_a", prefix="sk_live_abcd"))
    doors[1].write()
    found = turned_away(tmp_path, "app_a")
    assert [(one.code, one.count) for one in found] == [("rate_limited", 1), ("unknown_key", 4)]
    assert found[0].last >= found[1].last > found[1].first


def test_it_goes_on_after_a_restart_and_is_bounded(tmp_path: Path) -> None:
    """A new process of the slot goes on counting; the oldest reasons are forgotten."""
    first = Door(tmp_path, 0)
    first.note(refused("kept"))
    first.write()
    second = Door(tmp_path, 0)
    for number in range(NOTED):
        if number == NOTED - 1:
            second.note(refused("kept"))
        second.note(refused(f"code{number}"))
    second.write()
    found = {one.code: one.count for one in turned_away(tmp_path, "app_a")}
    assert (len(found), found["kept"], "code0" in found) == (NOTED, 2, False)


def test_a_file_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """Of another version, perhaps: it is written anew."""
    (tmp_path / "0.refused.json").write_text('[{"x":')
    assert turned_away(tmp_path, "app_a") == []
    door = Door(tmp_path, 0)
    door.note(refused())
    door.write()
    assert len(turned_away(tmp_path, "app_a")) == 1
