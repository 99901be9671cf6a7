"""The verifier: reads everything back by HTTP and holds it against the ledger.

`compare` is pure. `settle` reads until the answers agree with the ledger or the time is up: loading and erasing go on
for a while after a start.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from prove.http import Api, NoAnswer
from prove.ledger import Expected, digest

DAYS = 60
"""Volumes are summed over so many days; nothing that the campaign sends is older."""
SETTLE_SECONDS = 300.0
STEADY_SECONDS = 25.0
"""When nothing has changed for so long and nothing waits to be loaded, nothing is going to."""
EXAMPLES = 5


@dataclass
class Stored:
    """What the server answers."""

    digests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """For each message id the digests of the events that carry it."""
    owners: dict[str, str] = field(default_factory=dict)
    names: Counter[str] = field(default_factory=Counter)
    """Events found on timelines, by name."""
    by_customer: Counter[str] = field(default_factory=Counter)
    """Events found on timelines, by customer."""
    catalogue: dict[str, int] = field(default_factory=dict)
    volumes: dict[str, int] = field(default_factory=dict)
    listed: dict[str, int] = field(default_factory=dict)
    """Events by customer, as the list of customers counts them."""
    outcomes: dict[str, list[str]] = field(default_factory=dict)
    """What became of the elements of each receipt."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What does not agree, counted by kind."""

    lost: int = 0
    twice: int = 0
    changed: int = 0
    invented: int = 0
    undone: int = 0
    """Events of customers whose erasure was acknowledged."""
    miscounted: int = 0
    receipts: int = 0
    """Receipts that are missing, or tell another outcome."""
    required: int = 0
    """Events that had to be there."""
    examples: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything agrees."""
        return not self.problems()

    def problems(self) -> dict[str, int]:
        """Return the counts that are not zero, by kind."""
        kinds = ("lost", "twice", "changed", "invented", "undone", "miscounted", "receipts")
        return {kind: getattr(self, kind) for kind in kinds if getattr(self, kind)}

    def __str__(self) -> str:
        if self.holds:
            return f"{self.required:,} events, all there once"
        counts = ", ".join(f"{count:,} {kind}" for kind, count in self.problems().items())
        return f"{counts} (of {self.required:,}): " + "; ".join(self.examples)


def nothing_answers(expected: Expected, why: object) -> Verdict:
    """Return the verdict on a server that does not start or answer: everything is lost."""
    count = len(expected.required)
    return Verdict(lost=max(1, count), required=count, examples=(str(why),))


class _Findings:
    """Counts what does not agree, with the first examples of each kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: list[str] = []

    def note(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= EXAMPLES:
            self.examples.append(f"{kind}: {text}")


def compare(expected: Expected, stored: Stored) -> Verdict:
    """Hold what is stored against the ledger."""
    findings = _Findings()
    _compare_events(expected, stored, findings)
    _compare_counts(stored, findings)
    for receipt, outcomes in stored.outcomes.items():
        customers = [_customer(expected, message_id) for message_id in expected.receipts[receipt]]
        if (wrong := wrong_outcome(outcomes, customers, expected)) is not None:
            findings.note("receipts", f"{receipt}: {wrong}")
    return Verdict(**findings.counts, required=len(expected.required), examples=tuple(findings.examples))


def _compare_events(expected: Expected, stored: Stored, findings: _Findings) -> None:
    for message_id, element in expected.required.items():
        if message_id not in stored.digests:
            findings.note("lost", f"{message_id} of {element.customer}")
    present: dict[str, set[str]] = defaultdict(set)
    for message_id, digests in stored.digests.items():
        sent = expected.required.get(message_id) or expected.allowed.get(message_id)
        if sent is None:
            findings.note("invented", f"{message_id} of {stored.owners[message_id]}")
            continue
        if len(digests) > 1:
            findings.note("twice", f"{message_id} is there {len(digests)} times")
        if sent.digest not in digests:
            findings.note("changed", message_id)
        if sent.customer in expected.erased:
            findings.note("undone", f"{message_id} of {sent.customer}")
        present[sent.customer].add(message_id)
    for customer in expected.undecided:
        whole = {one.message_id for one in expected.allowed.values() if one.customer == customer}
        if present[customer] and present[customer] != whole:
            findings.note("undone", f"{customer} has {len(present[customer])} of {len(whole)} events")


def _compare_counts(stored: Stored, findings: _Findings) -> None:
    for name in stored.names.keys() | stored.catalogue.keys() | stored.volumes.keys():
        counts = (stored.names[name], stored.catalogue.get(name, 0), stored.volumes.get(name, 0))
        if len(set(counts)) > 1:
            findings.note("miscounted", "{}: {} stored, {} in the catalogue, {} in the volumes".format(name, *counts))
    for customer in stored.by_customer.keys() | stored.listed.keys():
        if stored.by_customer[customer] != stored.listed.get(customer, 0):
            counted = stored.listed.get(customer, 0)
            findings.note("miscounted", f"{customer}: {stored.by_customer[customer]} stored, {counted} in the list")


def wrong_outcome(outcomes: list[str], customers: list[str], expected: Expected) -> str | None:
    """Return what is wrong with the outcomes that a receipt tells; None when nothing is."""
    if len(outcomes) != len(customers):
        return f"{len(outcomes)} elements in place of {len(customers)}"
    for index, (outcome, customer) in enumerate(zip(outcomes, customers, strict=True)):
        right = {"stored", "duplicate"}
        if customer in expected.erased:
            right = {"erased"}
        elif customer in expected.undecided:
            right = {"stored", "duplicate", "erased"}
        if outcome not in right:
            return f"element {index} is {outcome}"
    return None


def _customer(expected: Expected, message_id: str) -> str:
    return (expected.required.get(message_id) or expected.allowed[message_id]).customer


def read_stored(api: Api, expected: Expected) -> Stored:
    """Read all events and counts that the server has. Raises NoAnswer when it does not answer."""
    stored = Stored()
    for customer in sorted(expected.customers):
        for item in timeline(api, customer):
            message_id = item["message_id"]
            stored.digests[message_id].append(digest(item["name"], item["uid"], item["properties"]))
            stored.owners[message_id] = customer
            stored.names[item["name"]] += 1
            stored.by_customer[f"uid:{customer}"] += 1
    for item in api.get("/v1/events")["items"]:
        stored.catalogue[item["name"]] = item["count"]
        volumes = api.get(f"/v1/events/{item['name']}", days=DAYS)["volumes"]
        stored.volumes[item["name"]] = sum(volumes["counts"])
    for item in pages(api, "/v1/customers"):
        stored.listed[item["id"]] = item["events"]
    return stored


def read_outcomes(api: Api, receipts: list[str]) -> dict[str, list[str]]:
    """Read what became of the elements of each receipt. Raises NoAnswer when the server does not answer."""
    answers = {receipt: api.get(f"/v1/receipts/{receipt}", missing={"elements": []}) for receipt in receipts}
    return {receipt: [one["outcome"] for one in answer["elements"]] for receipt, answer in answers.items()}


def timeline(api: Api, customer: str) -> list[dict[str, Any]]:
    """Return a customer's events; none when the server does not know the customer."""
    return pages(api, f"/v1/customers/uid:{customer}/timeline")


def pages(api: Api, path: str) -> list[dict[str, Any]]:
    """Return the items of all pages of an answer."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get(path, limit=1000, missing={"items": [], "next": None}, **cursor)
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = {"cursor": page["next"]}


def sample(receipts: list[str], count: int | None) -> list[str]:
    """Return so many receipts, spread evenly, the newest among them; all when `count` is None."""
    if count is None or count >= len(receipts):
        return receipts
    step = len(receipts) / count
    return [receipts[len(receipts) - 1 - int(number * step)] for number in range(count)]


def settle(
    api: Api,
    expected: Expected,
    *,
    seconds: float = SETTLE_SECONDS,
    receipts: int | None = None,
    steady: float = STEADY_SECONDS,
) -> Verdict:
    """Read until everything agrees or nothing changes any more, for `seconds` at most; return the last verdict.

    It ends early when nothing has changed for `steady` seconds. `receipts` limits how many receipts are read.
    """
    chosen = sample(list(expected.receipts), receipts)
    deadline, changed_at = time.monotonic() + seconds, time.monotonic()
    wait, problems = 0.2, {"unread": 1}
    while True:
        try:
            stored = read_stored(api, expected)
            verdict = compare(expected, stored)
            if verdict.holds:
                stored.outcomes = read_outcomes(api, chosen)
                verdict = compare(expected, stored)
        except NoAnswer as error:
            verdict, problems = nothing_answers(expected, error), {}  # no answer is no sign that nothing changes
        if verdict.problems() != problems or api.loading_behind():
            problems, changed_at = verdict.problems(), time.monotonic()
        if verdict.holds or time.monotonic() > min(deadline, changed_at + steady):
            return verdict
        time.sleep(wait)
        wait = min(wait * 1.5, 3.0)
