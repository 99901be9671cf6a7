"""Values that only Python has, the signature, and the fake transport."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest

from tenure_client import AsyncClient, Client, InvalidEvent, Report, sign
from tenure_client.testing import FakeTransport
from tenure_client.values import to_json


class Plan(Enum):
    PRO = "pro"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Decimal("49.90"), 49.9),
        (Decimal("NaN"), None),
        (10**30, 10**30),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1))), "2026-01-02T02:04:05.000Z"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (Plan.PRO, "pro"),
        ((1, frozenset([2])), [1, [2]]),
        ({1: Plan.PRO, Plan.PRO: 1}, {"1": "pro", "pro": 1}),
    ],
)
def test_values(value: object, sent: object) -> None:
    """Each has one form in JSON."""
    assert to_json(value, "properties") == sent


@pytest.mark.parametrize("value", [b"bytes", {None: 1}, {True: 1}, {(1, 2): 1}, object, range(3)])
def test_values_without_a_form(value: object) -> None:
    """An error at the call names the field and the type, and not the value."""
    with pytest.raises(InvalidEvent, match=r"properties (holds|has) a"):
        to_json(value, "properties")


def test_time_of_an_event() -> None:
    """occurred_at may be a datetime, a date, text or a number, and nothing else."""
    fake = FakeTransport()
    with Client("http://tenure.test", "sk", transport=fake, background=False) as client:
        for when in (datetime(2026, 1, 2), date(2026, 1, 2), "2026-01-02", 1767312000, 1767312000000):
            client.track("feature_used", customer_id="cus_1", occurred_at=when)
        with pytest.raises(InvalidEvent):
            client.track("feature_used", customer_id="cus_1", occurred_at=[])  # type: ignore[arg-type]
    times = [event["occurred_at"] for event in fake.events]
    assert times == ["2026-01-02T00:00:00.000Z", "2026-01-02", "2026-01-02", 1767312000, 1767312000000]


def test_sign() -> None:
    """HMAC-SHA256 as in RFC 4231, test case 2; a number is signed as its decimal text."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert sign("Jefe", "what do ya want for nothing?") == expected
    assert sign("key", 7) == sign("key", "7")


def test_fake_transport() -> None:
    """It keeps events in order, once each, also through failures that it was told to have."""
    fake = FakeTransport()
    reports: list[Report] = []
    client = Client(
        "http://tenure.test", "sk", transport=fake, background=False, backoff_base=0.01, on_error=reports.append
    )
    fake.fail(503, retry_after=0)
    fake.fail(None, times=2)
    client.track("signed_up", customer_id="cus_1", properties={"text": "x" * 3000})
    client.track("upgraded", customer_id="cus_1", message_id="m")
    client.track("upgraded", customer_id="cus_1", message_id="m")
    assert client.close() == 0
    assert [event["event"] for event in fake.events] == ["signed_up", "upgraded"]
    assert len(fake.requests) == 4
    assert [report.status for report in reports] == [503, None, None]


def test_fake_transport_for_asyncio() -> None:
    """The same for AsyncClient."""
    fake = FakeTransport()

    async def main() -> None:
        async with AsyncClient("http://tenure.test", "sk", transport=fake) as client:
            await client.identify(customer_id="cus_1", traits={"plan": "pro"})

    asyncio.run(main())
    assert fake.events[0]["traits"] == {"plan": "pro"}
