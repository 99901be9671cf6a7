"""Exports of other products and of Tenure's own, and rows whose parts are objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tenure.errors import ImportInvalid
from tenure.event import Event, Identify, Refusal
from tenure.importer.job import rehearse_file
from tenure.importer.json_lines import SAMPLE_LINES
from tenure.importer.mapping import Taken
from tests.importer.rows import reading
from tests.importer.test_run import Silent

AT = "2026-01-01T00:00:00Z"
MS = 1_767_225_600_000


def write(directory: Path, *rows: object) -> Path:
    file = directory / "rows.jsonl"
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def take(file: Path, **wishes: Any) -> list[Taken]:
    source, mapping = reading(**wishes).open(file)
    try:
        return [mapping.take(row, index) for index, row in enumerate(source.rows(0))]
    finally:
        source.close()


def event(taken: Taken) -> Event:
    assert taken.event is not None, taken
    return taken.event


def said(found: Event | Identify) -> dict[str, Any]:
    """What is set of an event or of attributes."""
    names = ("name", "occurred_at", "set_at", "message_id", "customer_id", "uid", "email", "anonymous_id", "user_id")
    values = {name: getattr(found, name, None) for name in names}
    texts = {name: json.loads(getattr(found, name, "{}")) for name in ("properties", "context", "traits")}
    return {name: value for name, value in {**values, **texts}.items() if value not in (None, {})}


def test_objects_are_what_their_columns_are_called(tmp_path: Path) -> None:
    """Properties, context and traits of a row are not one level deeper than those of a request."""
    row = {
        "event": "e",
        "time": AT,
        "uid": "u",
        "properties": {"a": 1},
        "context": {"ip": "x"},
        "traits": {"plan": "p"},
        "b": 2,
    }
    (found,) = take(write(tmp_path, row))
    assert said(event(found)) == {
        "name": "e", "occurred_at": MS, "uid": "u", "properties": {"a": 1, "b": 2}, "context": {"ip": "x"},
    }  # fmt: skip
    assert found.identify is not None
    assert said(found.identify) == {"set_at": MS, "uid": "u", "traits": {"plan": "p"}}


def test_traits_alone_set_attributes(tmp_path: Path) -> None:
    """A row without a name but with traits is no event."""
    rows = [{"event": "e", "time": AT, "uid": "u"}, {"time": AT, "uid": "u", "traits": {"seats": 5}}]
    first, second = take(write(tmp_path, *rows))
    assert first.identify is None
    assert [type(found) for found in second.items] == [Identify]


def test_a_path_of_objects_gives_a_field(tmp_path: Path) -> None:
    """`--map field=a.b` reaches into objects; what gives a field is no property then."""
    row = {"what": {"name": "e"}, "properties": {"time": AT, "x": 1}, "user": {"id": 7}}
    columns = {"name": "what.name", "occurred_at": "properties.time", "uid": "user.id"}
    (found,) = take(write(tmp_path, row), columns=columns)
    assert (event(found).name, event(found).occurred_at, event(found).uid) == ("e", MS, "7")
    assert json.loads(event(found).properties)["x"] == 1
    assert "time" not in json.loads(event(found).properties)
    with pytest.raises(ImportInvalid, match=r"there is no column 'nowhere\.id'"):
        take(write(tmp_path, row), columns={**columns, "uid": "nowhere.id"})


def test_a_property_and_a_column_of_one_name_are_both_kept(tmp_path: Path) -> None:
    """What the properties say has the name."""
    (found,) = take(write(tmp_path, {"event": "e", "time": AT, "uid": "u", "plan": "a", "properties": {"plan": "b"}}))
    assert json.loads(event(found).properties) == {"plan": "b", "row.plan": "a"}


def test_a_column_that_comes_late_gives_its_field(tmp_path: Path) -> None:
    """One that is first met after the lines by which the columns are known, also in rows that are resumed at."""
    early = [{"event": "e", "time": AT, "uid": f"u{n}"} for n in range(SAMPLE_LINES)]
    late = {"event": "e", "time": AT, "email": "jane@example.com", "customerId": "c1"}
    file = write(tmp_path, *early, late)
    found = event(take(file)[-1])
    assert (found.email, found.customer_id, found.properties) == ("jane@example.com", "c1", "{}")
    source, mapping = reading().open(file)
    (row,) = source.rows(SAMPLE_LINES)
    assert event(mapping.take(row, SAMPLE_LINES)) == found
    source.close()
    assert event(take(file, columns={"customer_id": "customerId"})[-1]).customer_id == "c1"


SEGMENT = {
    "type": "track", "event": "Report Exported", "messageId": "m1", "timestamp": AT, "userId": "u1",
    "anonymousId": "a1", "properties": {"format": "csv"}, "integrations": {},
    "context": {"ip": "192.0.2.1", "traits": {"email": "jane@example.com"}},
}  # fmt: skip
MIXPANEL = {
    "event": "Signed Up",
    "properties": {"time": MS // 1_000, "distinct_id": "u1", "$insert_id": "i1", "$device_id": "d1", "plan": "pro"},
}
AMPLITUDE = {
    "event_type": "export", "event_time": "2026-01-01 00:00:00.000000", "user_id": "u1", "device_id": "d1",
    "event_id": 7, "$insert_id": "i1", "uuid": "0b1c", "event_properties": {"format": "csv"},
    "user_properties": {"plan": "pro"}, "country": "NO",
}  # fmt: skip
POSTHOG = {
    "uuid": "0b1c", "event": "$pageview", "timestamp": AT, "distinct_id": "u1",
    "properties": {"$current_url": "/x", "$device_id": "d1", "$is_identified": True, "$set": {"plan": "pro"}},
}  # fmt: skip


def test_segment_is_recognized(tmp_path: Path) -> None:
    """Track, page, screen, identify and group; what else there is is refused by name."""
    rows = [
        SEGMENT,
        {**SEGMENT, "type": "page", "event": None, "name": "Pricing", "properties": {"path": "/p"}},
        {**SEGMENT, "type": "identify", "traits": {"email": "jane@example.com", "plan": "pro"}},
        {**SEGMENT, "type": "group", "groupId": "g1", "traits": {"name": "Acme"}},
        {**SEGMENT, "type": "alias", "previousId": "x"},
    ]
    track, page, identify, group, alias = take(write(tmp_path, *rows))
    assert said(event(track)) == {
        "name": "Report Exported", "occurred_at": MS, "message_id": "m1", "uid": "u1", "anonymous_id": "a1",
        "email": "jane@example.com", "properties": {"format": "csv"},
        "context": SEGMENT["context"] | {"integrations": {}},
    }  # fmt: skip
    assert (event(page).name, json.loads(event(page).properties)) == ("page_viewed", {"name": "Pricing", "path": "/p"})
    assert identify.event is None
    assert identify.identify is not None
    assert json.loads(identify.identify.traits) == {"email": "jane@example.com", "plan": "pro"}
    assert group.identify is not None
    assert (group.identify.customer_id, group.identify.user_id, group.identify.uid) == ("g1", "u1", None)
    assert isinstance(alias.refusal, Refusal)
    assert (alias.refusal.code, alias.refusal.field) == ("invalid_value", "type")


def test_mixpanel_is_recognized(tmp_path: Path) -> None:
    """An insert id counts beside the person, the time and the name alone; a device is no person."""
    anonymous = {
        "event": "Signed Up",
        "properties": {"time": MS // 1_000, "distinct_id": "$device:d1", "$insert_id": "i1"},
    }
    first, second = (event(found) for found in take(write(tmp_path, MIXPANEL, anonymous)))
    assert said(first) | {"message_id": ""} == {
        "name": "Signed Up", "occurred_at": MS, "uid": "u1", "anonymous_id": "d1", "properties": {"plan": "pro"},
        "message_id": "",
    }  # fmt: skip
    assert (second.uid, second.anonymous_id) == (None, "d1")
    assert first.message_id != second.message_id


def test_amplitude_is_recognized(tmp_path: Path) -> None:
    """The uuid is the message id, never the counter of a device."""
    first, second = (
        event(found) for found in take(write(tmp_path, AMPLITUDE, {**AMPLITUDE, "uuid": None, "user_id": None}))
    )
    assert said(first) == {
        "name": "export", "occurred_at": MS, "message_id": "0b1c", "uid": "u1", "anonymous_id": "d1",
        "properties": {"format": "csv"},
        "context": {"event_id": 7, "user_properties": {"plan": "pro"}, "country": "NO"},
    }  # fmt: skip
    assert str(second.message_id).startswith("amplitude:")


def test_posthog_is_recognized(tmp_path: Path) -> None:
    """What is set of a person are attributes."""
    (found,) = take(write(tmp_path, POSTHOG))
    assert said(event(found)) == {
        "name": "$pageview", "occurred_at": MS, "message_id": "0b1c", "uid": "u1", "anonymous_id": "d1",
        "properties": {"$current_url": "/x", "$device_id": "d1", "$is_identified": True},
    }  # fmt: skip
    assert found.identify is not None
    assert json.loads(found.identify.traits) == {"plan": "pro"}


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (SEGMENT, "segment"),
        ({**SEGMENT, "originalTimestamp": AT}, "rudderstack"),
        (MIXPANEL, "mixpanel"),
        (AMPLITUDE, "amplitude"),
        (POSTHOG, "posthog"),
        ({"event": "e", "time": AT, "uid": "u"}, None),
    ],
)
def test_what_was_recognized_is_said(tmp_path: Path, row: dict[str, Any], name: str | None) -> None:
    """In the summary, with the range of times; `--from none` reads columns alone, and so does `--map`."""
    file = write(tmp_path, row)
    summary = rehearse_file(file, reading(), Silent()).summary
    assert (summary.preset, summary.first_at, summary.last_at) == (
        name,
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:00:00.000Z",
    )
    columns = {"name": "event", "occurred_at": "time", "uid": "uid"}
    for wishes in ({"preset": "none"}, {"columns": columns}):
        try:
            _, mapping = reading(**wishes).open(file)
        except ImportInvalid:
            continue
        assert mapping.preset is None


def test_a_preset_can_be_told(tmp_path: Path) -> None:
    """And a name that is none is refused with the list."""
    row = {**MIXPANEL, "properties": {"distinct_id": "u1", "time": MS // 1_000}}
    assert event(take(write(tmp_path, row), preset="mixpanel")[0]).uid == "u1"
    assert event(take(write(tmp_path, row), preset="mixpanel", columns={"uid": "properties.time"})[0]).uid == str(
        MS // 1_000
    )
    with pytest.raises(ImportInvalid, match="--from must be one of rudderstack, segment"):
        take(write(tmp_path, row), preset="heap")
