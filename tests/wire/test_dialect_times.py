"""The time of an event, in every dialect's own field."""

from __future__ import annotations

from typing import Any

import pytest

from tenure import entry as entries
from tenure.event import MAX_REFUSED_PAYLOAD, Decoded
from tenure.wire import codes, registry, times
from tenure.wire.dialect import Taken
from tenure.wire.json import canonical
from tests.wire.forms import ABSENT, FORMS, NOW, Form, Path, changed

rule = pytest.mark.rule

NOON = 1_781_438_400_000
"""2026-06-14T12:00:00.000Z."""
MIDNIGHT = NOON - 43_200_000
DAY = 86_400_000

TIME_FIELDS = [
    pytest.param(form, path, id=str(form))
    for form in FORMS
    for path in form.required | form.optional
    if path[-1] in ("eventDate", "createdAt", "timestamp", "occurred_at")
]
of_any_dialect = pytest.mark.parametrize(("form", "path"), TIME_FIELDS)
WHISPERR = [case for case in TIME_FIELDS if case.values[0].dialect == "whisperr"]
TOLERANT = [case for case in TIME_FIELDS if case.values[0].dialect != "whisperr"]


def occurred_at(form: Form, path: Path, value: Any) -> int | str | None:
    """The time that the event is kept under, or the code that it is refused with."""
    found = form.decode(changed(form.good, path, value))
    return found.events[0].occurred_at if isinstance(found, Decoded) else found.code


@rule("time-formats")
@pytest.mark.parametrize(("form", "path"), TOLERANT)
@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("2026-06-14", MIDNIGHT),
        ("2026-06-14 12:00:00", NOON),
        ("2026-06-14T12:00:00", NOON),
        ("2026-06-14T12:00:00Z", NOON),
        ("2026-06-14T12:00:00.000Z", NOON),
        ("2026-06-14T14:00:00+02:00", NOON),
        ("2026-06-14T06:30:00.000-0530", NOON),
        (NOON, NOON),
        (NOON // 1_000, NOON),
        (NOON / 1_000, NOON),
        (str(NOON), NOON),
        (str(NOON // 1_000), NOON),
        (100_000_000, 100_000_000_000),
        (20220501, 1_651_363_200_000),
    ],
)
def test_forms_of_a_time(form: Form, path: Path, value: Any, ms: int) -> None:
    """A date, ISO 8601 with any zone or none, seconds and milliseconds, as number and as text."""
    assert occurred_at(form, path, value) == ms


@rule("time-formats")
@pytest.mark.parametrize(("form", "path"), WHISPERR)
def test_whisperr_takes_rfc_3339_alone(form: Form, path: Path) -> None:
    """With seconds and a zone, of any offset; a date, a bare time and numbers are refused."""
    for value in ("2026-06-14T12:00:00Z", "2026-06-14T12:00:00.000Z", "2026-06-14t14:00:00.000+02:00"):
        assert occurred_at(form, path, value) == NOON
    for wrong in ("2026-06-14", "2026-06-14 12:00", "2026-06-14T12:00:00", NOON, NOON // 1_000, str(NOON)):
        assert occurred_at(form, path, wrong) == codes.INVALID_TIME


@rule("time-default")
@pytest.mark.parametrize(("form", "path"), [case for case in TIME_FIELDS if case.values[0].dialect != "customerscore"])
@pytest.mark.parametrize("value", [ABSENT, None])
def test_no_time_is_the_time_of_receipt(form: Form, path: Path, value: Any) -> None:
    """Without a time the decoder gives none, and the event is not taken for a repetition of another."""
    found = form.decode(changed(form.good, path, value))
    assert isinstance(found, Decoded)
    assert (found.events[0].occurred_at, found.events[0].precise) == (None, False)


@rule("time-range")
@pytest.mark.parametrize(("form", "path"), TOLERANT)
def test_first_and_last_millisecond(form: Form, path: Path) -> None:
    """1900 to 2299, to the millisecond, as text and as numbers."""
    assert occurred_at(form, path, "1900-01-01T00:00:00.000Z") == times.EARLIEST
    assert occurred_at(form, path, "2299-12-31T23:59:59.999Z") == times.LATEST
    assert occurred_at(form, path, times.LATEST) == times.LATEST
    for wrong in ("1899-12-31T23:59:59.999Z", "2300-01-01T00:00:00.000Z", times.LATEST + 1, times.EARLIEST - 1):
        assert occurred_at(form, path, wrong) == codes.INVALID_TIME


@rule("time-window", "whisperr")
@pytest.mark.parametrize(("form", "path"), WHISPERR)
def test_window_to_the_millisecond(form: Form, path: Path) -> None:
    """30 days back and 5 minutes ahead are taken, a millisecond beyond is not; the clock is that of acceptance."""
    for ms, code in ((NOW - 30 * DAY, None), (NOW + 300_000, None), (NOW - 30 * DAY - 1, "outside_time_window"),
                     (NOW + 300_001, "dated_ahead")):  # fmt: skip
        assert occurred_at(form, path, times.rfc3339(ms)) == (code or ms)


@rule("dated-ahead", "whisperr")
@pytest.mark.parametrize(("path", "is_list"), [("/v1/events/track", False), ("/v1/events/batch", True)])
def test_what_is_too_new_is_refused_and_kept_whole(path: str, is_list: bool) -> None:
    """The clock of the server may be the wrong one, and the client drops what it is told of."""
    event = {"external_user_id": "u", "event_type": "a", "occurred_at": times.rfc3339(NOW + 300_001),
             "properties": {"note": "x" * MAX_REFUSED_PAYLOAD}, "context": {"$message_id": "m"}}  # fmt: skip
    operation = next(each for each in registry.ALL if (each.dialect, each.path) == ("whisperr", path))
    decoded = operation.decode(canonical({"events": [event]} if is_list else event).encode(), NOW)
    (refusal,) = decoded.refusals
    assert (refusal.code, refusal.reported, refusal.payload) == ("dated_ahead", False, canonical(event))
    entry = entries.of(
        decoded, app="a", receipt="0" * 32, received_at=0, dialect="whisperr", verified=True, key_prefix=""
    )
    reply = operation.reply(Taken(entry, {}))
    assert reply.status == (202 if is_list else 400)
    assert (b'"rejected":1' if is_list else b'"code":"dated_ahead"') in reply.body


@rule("milliseconds")
@of_any_dialect
def test_finer_than_a_millisecond_is_cut_off(form: Form, path: Path) -> None:
    """Micro- and nanoseconds are read over, and the zone is turned into UTC."""
    for text in ("2026-06-14T12:00:00.1239Z", "2026-06-14T12:00:00.123999999Z", "2026-06-14T14:00:00.123+02:00"):
        assert occurred_at(form, path, text) == NOON + 123
