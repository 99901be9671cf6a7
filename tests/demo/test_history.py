"""The demo's history is the same every time, goes through the real decoders, and looks like a real business."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest

from tenure.demo.account import BILLED_BY
from tenure.demo.delivery import Request
from tenure.demo.filling import take
from tenure.demo.history import CUSTOMERS, DAYS, SEED, History
from tenure.demo.life import DAY, FADING, FAILING, HOUR, KINDS, REASONS, Life
from tenure.entry import Entry
from tenure.event import Event
from tenure.identity import event_ids, identifiers
from tenure.subscriptions.account import OWN, standing
from tenure.subscriptions.account import account as account_of
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources import facts

END = 1_790_000_000_000
APP = "app_0000000000000000"


class Year(NamedTuple):
    """The default history, and what the decoders made of each of its requests."""

    history: History
    taken: list[tuple[Request, Entry]]

    def events(self) -> list[Event]:
        """Each event once."""
        return [event for request, entry in self.taken if not request.retry for event in entry.events]


@pytest.fixture(scope="module")
def year() -> Year:
    history = History(CUSTOMERS, DAYS, SEED, END)
    return Year(history, [(request, take(request, APP, "sk_live_")) for request in history.requests()])


def test_same_parameters_give_the_same_requests() -> None:
    """Byte for byte, receipts included; another seed gives another history."""
    once, again, other = (History(10, 60, seed, END).requests() for seed in (1, 1, 2))
    assert once == again
    assert {request.body for request in once}.isdisjoint(request.body for request in other if request.bad == 0)


def test_requests_are_in_order_of_receipt_within_the_history(year: Year) -> None:
    """And their receipts are distinct UUIDv7s of their time."""
    times = [request.received_at for request, _ in year.taken]
    assert times == sorted(times)
    assert year.history.start * 1_000 <= times[0]
    assert times[-1] < END * 1_000
    receipts = [UUID(request.receipt) for request, _ in year.taken]
    assert len(set(receipts)) == len(receipts)
    assert {(receipt.version, receipt.variant) for receipt in receipts} == {(7, "specified in RFC 4122")}
    assert [receipt.int >> 80 for receipt in receipts] == [time // 1_000 for time in times]


def test_every_request_is_taken_or_refused_as_meant(year: Year) -> None:
    """Nothing is refused that was not meant to be; what is, is quarantined, rejected, or refused as a whole."""
    for request, entry in year.taken:
        assert len(entry.refusals) == request.bad, request
    refusals = [refusal for _, entry in year.taken for refusal in entry.refusals]
    assert 50 < len(refusals) < 400
    assert len({refusal.code for refusal in refusals}) >= 6
    assert {refusal.reported for refusal in refusals} == {True, False}
    assert any(request.bad and not entry.events and entry.refusals[0].reported for request, entry in year.taken)


def test_volume_and_mix_of_dialects(year: Year) -> None:
    """About 150,000 events, of which each dialect brings a fair part."""
    dialects = Counter(entry.dialect for request, entry in year.taken if not request.retry for _ in entry.events)
    assert 130_000 < dialects.total() < 170_000
    assert set(dialects) == {"churnkey", "windback", "customerscore", "whisperr", "stripe"}
    assert min(count for dialect, count in dialects.items() if dialect != "stripe") > 5_000
    assert dialects["stripe"] > 1_000


def test_retries_are_the_only_duplicates(year: Year) -> None:
    """Each event has an id of its own, and its second copy the same one."""
    ids = Counter(event_id for _, entry in year.taken for event_id in event_ids(entry))
    retried = sum(len(entry.events) for request, entry in year.taken if request.retry)
    assert retried > 500
    assert len(ids) == len(year.events())
    assert ids.total() - len(ids) == retried


def test_every_customer_is_linked_across_the_dialects(year: Year) -> None:
    """Customer id with uid and e-mail, uid with a visitor's anonymous id; and no e-mail is two customers'."""
    linked: dict[str, set[str]] = defaultdict(set)
    for _, entry in year.taken:
        for item in (*entry.events, *entry.identifies):
            first, *others = identifiers(item)
            for other in others:
                linked[first.value].add(f"{other.kind}:{other.value}")
    for account in year.history.accounts:
        assert {f"uid:{account.uid}", f"email:{account.email}"} <= linked[account.customer_id]
        assert any(other.startswith("anonymous_id:anon_") for other in linked[account.uid])
    assert len({account.email for account in year.history.accounts}) == CUSTOMERS


def test_business_is_plausible(year: Year) -> None:
    """Most trials convert, a fifth or so of those who paid have left for every reason, some came back."""
    lives = [account.life for account in year.history.accounts]
    paid = [life for life in lives if life.find("subscribed")]
    left = [life for life in paid if life.find("ended")]
    assert {life.kind for life in lives} == set(KINDS)
    assert 0.6 < len(paid) / len(lives) < 0.85
    assert 0.12 < len(left) / len(paid) < 0.35
    reasons = {
        milestone.details["reason"] for life in left for milestone in life.milestones if milestone.kind == "ended"
    }
    assert reasons >= {*REASONS, "payment_failed"}
    assert sum(life.find("reactivated") is not None for life in lives) >= 3


def test_nobody_pays_before_subscribing_or_after_the_end(year: Year) -> None:
    """Billing milestones lie within a spell of being a paying customer."""
    for account in year.history.accounts:
        paying = False
        for milestone in account.life.milestones:
            if milestone.kind in ("subscribed", "reactivated"):
                assert not paying
                paying = True
            elif milestone.kind not in ("trial_started", "trial_ended", "refund_requested"):
                assert paying, account.life
                paying = milestone.kind != "ended"


def test_recurring_revenue_is_what_the_lives_say(year: Year) -> None:
    """Read from the events as the product does: each customer's MRR, whichever system bills them, and who returned."""
    owner = {id: account for account in year.history.accounts
             for id in (account.customer_id, account.uid, account.email)}  # fmt: skip
    stated: dict[str, list[Fact]] = defaultdict(list)
    for request, entry in year.taken:
        for event in entry.events:
            reading = facts(entry.dialect, event, request.received_at)
            assert reading.problem is None
            if reading.facts:
                name = event.customer_id or event.uid or event.billing_id or event.email or ""
                stated[owner[name].customer_id] += reading.facts
    paying: Counter[str] = Counter()
    returned, causes = 0, set()
    for account in year.history.accounts:
        found = account_of(stated[account.customer_id], Rules())
        now = standing(found, END - HOUR, Rules())
        assert now is not None
        amount = now.mrr[OWN].get("USD", Fraction(0)) / 100
        expected = paid_at(account.life, END - HOUR)
        assert abs(amount - expected) <= Fraction(1, 200), account
        assert (now.status in ("active", "past_due")) == (expected > 0)
        paying[account.billing] += expected > 0
        returned += any(spell.reactivated for spell in found.spells)
        causes |= {spell.cause for spell in found.spells if spell.end}
    assert 120 < paying.total() < 300
    assert min(paying[system] for system in BILLED_BY) > 15
    assert returned >= 3
    assert causes == {"voluntary", "involuntary"}


def paid_at(life: Life, at: int) -> Fraction:
    """Dollars a month that a customer pays at a time."""
    mrr = Fraction(0)
    for milestone in life.milestones:
        if milestone.at < at and milestone.kind not in ("trial_started", "trial_ended", "refund_requested"):
            mrr = Fraction(0) if milestone.kind == "ended" else milestone.subscription.mrr
    return mrr


def test_use_falls_before_a_cancellation_but_not_before_a_failed_payment(year: Year) -> None:
    """Logins in the last 14 days before the end, against 14 ordinary days of the same customers."""
    logins: dict[str, list[int]] = defaultdict(list)
    for event in year.events():
        if event.name == "login":
            logins[event.email or ""].append(event.occurred_at or 0)

    def ratio(kind: str, ended: str) -> float:
        before = after = 0
        for account in year.history.accounts:
            end = account.life.find(ended)
            if account.life.kind == kind and end is not None:
                normal = min(account.life.fades_at, end.at - 14 * DAY)
                before += sum(normal - 14 * DAY <= at < normal for at in logins[account.email])
                after += sum(end.at - 14 * DAY <= at < end.at for at in logins[account.email])
        assert before > 50
        return after / before

    assert ratio(FADING, "cancelled") < 0.5
    assert ratio(FAILING, "ended") > 0.75


def test_weekdays_and_working_hours(year: Year) -> None:
    """A day of the weekend has a small part of a working day's logins, and a night of a day's."""
    offsets = {account.email: account.utc_offset for account in year.history.accounts}
    days, hours = Counter[int](), Counter[int]()
    for event in year.events():
        if event.name == "login" and event.email in offsets:
            local = datetime.fromtimestamp((event.occurred_at or 0) / 1_000 + 3_600 * offsets[event.email], UTC)
            days[local.weekday()] += 1
            hours[local.hour] += 1
    assert max(days[5], days[6]) < 0.3 * min(days[day] for day in range(5))
    assert sum(hours[hour] for hour in range(9, 18)) > 5 * sum(hours[hour] for hour in (*range(6), 22, 23))


def test_release_outage_and_old_client_show(year: Year) -> None:
    """A feature begins and takes over from another, a name is silent for hours, a name has a double for a while."""
    happenings, names = year.history.happenings, defaultdict[str, list[int]](list)
    for event in year.events():
        names[event.name].append(event.occurred_at or 0)
    assert min(names["Automation Run"]) >= happenings.release

    def exports(start: int, end: int) -> float:
        tasks, exported = (
            sum(start <= at < end for at in names[name]) for name in ("Task Completed", "Report Exported")
        )
        return exported / tasks

    assert exports(happenings.release, END) < 0.85 * exports(year.history.start, happenings.release)
    start, end = happenings.outage
    assert datetime.fromtimestamp(start / 1_000, UTC).weekday() == 1
    assert not any(start <= at < end for at in names["feature_used"])
    assert sum(start <= at < end for at in names["login"]) > 20
    assert len(names["featureUsed"]) > 100
    assert max(names["featureUsed"]) < happenings.client_fixed


def test_customers_speak(year: Year) -> None:
    """Tickets are opened and mostly resolved, and scores of all moods are given."""
    names = Counter(event.name for event in year.events())
    assert 0.6 < names["support_ticket_resolved"] / names["support_ticket_opened"] < 1
    scores = {msgspec.json.decode(event.properties)["score"] for event in year.events() if event.name == "nps_response"}
    assert min(scores) <= 4
    assert max(scores) == 10
