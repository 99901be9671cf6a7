"""The users of a customer: people within it, with their attributes, their events, and since when they belong to it.

A user is a member of the customer that said so last, by time: an event or attributes that name the user, or a list
of users with the user in it. A list that leaves the user out ends the membership. Only verified input says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from tenure.customers.as_of import received_by
from tenure.customers.attributes import DEFAULT_LIMIT, Attribute, Change, Known, known
from tenure.customers.customer import Customer
from tenure.customers.facts import Fact, read_facts
from tenure.errors import NotFound
from tenure.warehouse.client import Tenant
from tenure.wire.times import rfc3339

MAX_LIMIT = 1_000
_LISTS = ""
"""The subject of facts that are lists of users; no user has this id."""


class Period(msgspec.Struct):
    """A time in which a user was a member; `until` is None while it is."""

    since: str
    until: str | None


class User(msgspec.Struct):
    """A user of a customer. `since` and `until` are of the last time as a member, None when it never was one.

    `events` counts the events of the user with this customer, the latest of them at `last_activity`.
    """

    id: str
    member: bool
    since: str | None
    until: str | None
    events: int
    first_activity: str | None
    last_activity: str | None
    attributes: dict[str, Attribute]
    unverified: dict[str, Attribute]


class Users(msgspec.Struct):
    """A page of users, by id; `next` is the cursor of the page after it, None on the last."""

    items: list[User]
    next: str | None


class OneUser(User):
    """A user with all times as a member, and the history of its attributes as in `Known`."""

    periods: list[Period]
    history: dict[str, list[Change]]
    more: list[str]


class Activity(NamedTuple):
    """The events of a user with a customer: how many, and the times of the first and the last in milliseconds."""

    events: int = 0
    first: int = 0
    last: int = 0


class Said(NamedTuple):
    """Somebody said, at a time in milliseconds, that a user is one of this customer's (`here`), or of another's."""

    at: int
    here: bool


def users(
    tenant: Tenant, customer: Customer, *, limit: int = 100, cursor: str | None = None, as_of: int | None = None
) -> Users:
    """A page of the users that a customer has or had, from what had been received by `as_of` (milliseconds).

    Raises Unavailable.
    """
    found = _activities(tenant, customer, as_of, after=cursor or "", limit=limit + 1)
    page = dict(list(found.items())[:limit])
    facts = _facts(tenant, customer, list(page), as_of)
    members = _periods(tenant, customer, list(page), facts[_LISTS], as_of)
    items = [_user(user_id, page[user_id], members[user_id], known(facts[user_id], 0)) for user_id in page]
    return Users(items, items[-1].id if len(found) > limit else None)


def find_user(
    tenant: Tenant, customer: Customer, user_id: str, *, limit: int = DEFAULT_LIMIT, as_of: int | None = None
) -> OneUser:
    """One user of a customer, with `limit` changes of each attribute at the most. Raises NotFound and Unavailable."""
    found = _activities(tenant, customer, as_of, only=user_id)
    if user_id not in found:
        raise NotFound("this customer has no user with that id", code="unknown_user")
    facts = _facts(tenant, customer, [user_id], as_of)
    members = _periods(tenant, customer, [user_id], facts[_LISTS], as_of)[user_id]
    about = known(facts[user_id], limit)
    user = _user(user_id, found[user_id], members, about)
    return OneUser(**msgspec.structs.asdict(user), periods=members, history=about.history, more=about.more)


def periods(said: Iterable[Said], left_out: Iterable[int]) -> list[tuple[int, int | None]]:
    """When a user was a member: (since, until) in milliseconds, in their order; until is None while it is.

    `left_out` has the times of this customer's lists without the user; at equal times a list counts last. What is said
    at equal times counts in the order given.
    """
    found: list[tuple[int, int | None]] = []
    since: int | None = None
    statements = [(said.at, 0, said.here) for said in said] + [(at, 1, False) for at in left_out]
    for at, _, here in sorted(statements, key=lambda statement: statement[:2]):
        if here and since is None:
            since = at
        elif not here and since is not None:
            found.append((since, at))
            since = None
    return found if since is None else [*found, (since, None)]


# Of several deliveries of one element to one customer the first received counts, also where a later one names another
# user. Each copy that says something of users has a `member` or a `list`.
_ACTIVITIES = """
SELECT id, sum(events), minIf(first, events > 0), maxIf(last, events > 0) FROM (
    SELECT user_id AS id, count() AS events, toUnixTimestamp64Milli(min(occurred_at)) AS first,
        toUnixTimestamp64Milli(max(occurred_at)) AS last
    FROM event FINAL WHERE customer_key IN {keys:Array(FixedString(16))} AND user_id != '' AND RECEIVED GROUP BY user_id
    UNION ALL
    SELECT DISTINCT copy.1, 0, 0, 0 FROM (
        SELECT max(precedence) AS earliest, groupArray((subject, precedence)) AS copies
        FROM fact WHERE customer_key IN {keys:Array(FixedString(16))} AND scope IN ('user', 'users')
            AND operation IN ('member', 'list') AND RECEIVED GROUP BY element_id, verified
    ) ARRAY JOIN arrayFilter(said -> said.2 = earliest AND said.1 != '', copies) AS copy
) WHERE WANTED GROUP BY id ORDER BY id LIMIT {limit:UInt32}
"""
# Of what is said in a row between two lists, only the first changes anything.
_SAID = """
SELECT user_id, here, at FROM (
    SELECT user_id, customer_key, here, at, arrayCount(list -> list < at, {lists:Array(Int64)}) AS lists_before,
        lagInFrame((here, lists_before), 1, (2, 0)) OVER (PARTITION BY user_id ORDER BY at, customer_key
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
    FROM (
        SELECT user_id, customer_key, IS_OURS AS here, toUnixTimestamp64Milli(occurred_at) AS at
        FROM event FINAL WHERE user_id IN {users:Array(String)} AND verified AND RECEIVED
        UNION ALL
        SELECT copy.1, copy.2, here, toUnixTimestamp64Milli(copy.3) FROM (
            SELECT here, max(precedence) AS earliest, groupArray((subject, customer_key, set_at, precedence)) AS copies
            FROM fact WHERE scope IN ('user', 'users') AND operation IN ('member', 'list') AND verified AND RECEIVED
                AND (IS_OURS OR customer_key IN (SELECT customer_key FROM fact
                    WHERE scope = 'user' AND subject IN {users:Array(String)} AND operation = 'member'))
            GROUP BY IS_OURS AS here, if(here, toFixedString('', 16), customer_key), element_id
        ) ARRAY JOIN arrayFilter(said -> said.4 = earliest AND said.1 IN {users:Array(String)}, copies) AS copy
    )
) WHERE (here, lists_before) != before ORDER BY user_id, at, customer_key
""".replace("IS_OURS", "(customer_key IN {keys:Array(FixedString(16))})")


def _activities(
    tenant: Tenant, customer: Customer, as_of: int | None, *, after: str = "", only: str | None = None, limit: int = 1
) -> dict[str, Activity]:
    """The customer's users in the order of their ids, those `after` one or `only` one."""
    condition, parameters = received_by(as_of)
    wanted = "id > {id:String}" if only is None else "id = {id:String}"
    sql = _ACTIVITIES.replace("RECEIVED", condition).replace("WANTED", wanted)
    parameters |= {"keys": customer.keys, "id": after if only is None else only, "limit": limit}
    return {row[0]: Activity(*(int(number) for number in row[1:])) for row in tenant.rows(sql, parameters)}


def _periods(
    tenant: Tenant, customer: Customer, user_ids: Sequence[str], lists: Iterable[Fact], as_of: int | None
) -> Mapping[str, list[Period]]:
    listed = [(fact.set_at, set(msgspec.json.decode(fact.value))) for fact in lists if fact.verified]
    condition, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "users": list(user_ids), "lists": sorted({at for at, _ in listed})}
    said: defaultdict[str, list[Said]] = defaultdict(list)
    for user_id, here, at in tenant.rows(_SAID.replace("RECEIVED", condition), parameters) if user_ids else ():
        said[user_id].append(Said(int(at), bool(here)))
    return {
        user_id: [
            Period(rfc3339(since), None if until is None else rfc3339(until))
            for since, until in periods(said[user_id], (at for at, ids in listed if user_id not in ids))
        ]
        for user_id in user_ids
    }


def _facts(tenant: Tenant, customer: Customer, user_ids: Sequence[str], as_of: int | None) -> Mapping[str, list[Fact]]:
    """The facts about each of these users, and under `_LISTS` the lists of users."""
    found: defaultdict[str, list[Fact]] = defaultdict(list)
    subjects = [*user_ids, _LISTS]
    for fact in read_facts(tenant, customer.keys, ("user", "users"), subjects, as_of) if user_ids else ():
        found[fact.subject].append(fact)
    return found


def _user(user_id: str, activity: Activity, members: list[Period], about: Known) -> User:
    last = members[-1] if members else None
    active: Any = (rfc3339(activity.first), rfc3339(activity.last)) if activity.events else (None, None)
    return User(
        id=user_id,
        member=last is not None and last.until is None,
        since=last.since if last else None,
        until=last.until if last else None,
        events=activity.events,
        first_activity=active[0],
        last_activity=active[1],
        attributes=about.attributes,
        unverified=about.unverified,
    )
