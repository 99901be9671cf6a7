"""What each customer did, from what each of their keys did: counts and times, none of what is dated ahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from clickhouse_connect.driver.external import ExternalData

from tenure.loader.attributes import owners
from tenure.loader.profile import Seen
from tenure.wire.times import EARLIEST, LATEST

Ask = Callable[[str, dict[str, Any], ExternalData | None], Any]

_SEEN = """
SELECT customer, groupArrayIf(toString(name), name != ''), groupArrayIf(events, name != ''),
    groupArrayIf(last, name != ''), sum(events), sum(verified), min(first), max(verified_last),
    maxIf((last, toString(name)), name != '' AND last > {none:Int64}).2, groupArrayIf(verified_last, name != ''),
    max(received_last), max(last)
FROM (
    SELECT owner.customer AS customer, seen.name AS name, sum(seen.events) AS events, sum(seen.verified) AS verified,
        toUnixTimestamp64Milli(min(seen.first)) AS first, toUnixTimestamp64Milli(max(seen.last)) AS last,
        toUnixTimestamp64Milli(max(seen.verified_last)) AS verified_last,
        toUnixTimestamp64Milli(max(seen.received_last)) AS received_last
    FROM seen INNER JOIN owner ON owner.key = seen.customer_key
    WHERE app = {app:String} AND customer_key IN (SELECT key FROM owner) GROUP BY customer, name
) GROUP BY customer
"""
# Of who has an event that is dated ahead: the greatest times of all tell nothing of those that have come.
_UP_TO_NOW = """
SELECT customer, groupArray(name), groupArray(last), groupArray(verified_last), min(first), sum(ahead), min(next)
FROM (
    SELECT owner.customer AS customer, toString(event.name) AS name,
        maxIf(toUnixTimestamp64Milli(occurred_at), has_come) AS reached,
        if(countIf(has_come) = 0, {none:Int64}, reached) AS last,
        if(countIf(has_come AND verified) = 0, {none:Int64},
            maxIf(toUnixTimestamp64Milli(occurred_at), has_come AND verified)) AS verified_last,
        if(countIf(has_come) = 0, {latest:Int64}, minIf(toUnixTimestamp64Milli(occurred_at), has_come)) AS first,
        countIf(NOT has_come) AS ahead,
        if(ahead = 0, {latest:Int64}, minIf(toUnixTimestamp64Milli(occurred_at), NOT has_come)) AS next
    FROM (
        SELECT customer_key, name, occurred_at, verified,
            occurred_at <= fromUnixTimestamp64Milli({now:Int64}) AS has_come
        FROM event FINAL WHERE app = {app:String} AND customer_key IN (SELECT key FROM owner)
    ) AS event INNER JOIN owner ON owner.key = event.customer_key
    GROUP BY customer, name
) GROUP BY customer
"""


class Come(NamedTuple):
    """What has come of one customer's events, and what is ahead. One time in each for each of `names`."""

    names: Sequence[str]
    lasts: Sequence[int]
    verified_lasts: Sequence[int]
    first: int
    ahead: int
    next_at: int


def read_seen(ask: Ask, app: str, owner: Mapping[bytes, bytes], now: int) -> dict[bytes, Seen]:
    """By customer; `owner` has the customer of each key, `now` is in milliseconds since 1970 UTC."""
    found, early = {}, set()
    for customer, *values, last in ask(_SEEN, {"app": app, "none": EARLIEST}, owners(owner)):
        found[bytes(customer)] = Seen(*values)
        if last > now:
            early.add(bytes(customer))
    if early:
        of_early = {key: head for key, head in owner.items() if head in early}
        parameters = {"app": app, "now": now, "none": EARLIEST, "latest": LATEST}
        for customer, *values in ask(_UP_TO_NOW, parameters, owners(of_early)):
            found[bytes(customer)] = up_to_now(found[bytes(customer)], Come(*values))
    return found


def up_to_now(seen: Seen, come: Come) -> Seen:
    """The same without what is dated ahead: of each name the last times that have come."""
    known = dict(zip(come.names, zip(come.lasts, come.verified_lasts, strict=True), strict=True))
    times = [known.get(name, (EARLIEST, EARLIEST)) for name in seen.names]
    _, last_name = max(((last, name) for name, (last, _) in known.items() if last > EARLIEST), default=(EARLIEST, ""))
    return seen._replace(
        lasts=[last for last, _ in times],
        verified_lasts=[trusted for _, trusted in times],
        first=come.first,
        last=max(come.verified_lasts, default=EARLIEST),
        last_name=last_name,
        ahead=come.ahead,
        ahead_at=come.next_at if come.ahead else EARLIEST,
    )
