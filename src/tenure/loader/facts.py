"""What an identify says, statement by statement: rows of the table `fact`. Pure.

The operations: an attribute (or a channel) is `set`, `set_once`, `increment`ed or `unset`; a user is a `member` of
the customer; the users of the customer are those of a `list`, and no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tenure.event import Changes, Identify
from tenure.wire.json import canonical, parse

NO_SEQUENCE: Final = -1
"""The sequence of what came without one."""


class Statement(NamedTuple):
    """One thing that an identify says. `value` is canonical JSON, or empty where the operation has none."""

    scope: str
    """`customer`, `user`, `channel` or `users`."""
    subject: str
    """The user's id; for a channel, the channel and the address as a JSON array."""
    name: str
    operation: str
    value: str = ""


class Said(NamedTuple):
    """An identify with all that its facts have in common."""

    app: str
    customer_key: bytes
    set_at: int
    """Milliseconds since 1970 UTC."""
    element_id: bytes
    verified: bool
    dialect: str
    received_at: int
    """Microseconds since 1970 UTC."""
    receipt: bytes
    position: int
    part: int
    precedence: int
    sequence: int = NO_SEQUENCE


def statements(identify: Identify) -> list[Statement]:
    """Everything that an identify says of attributes, channels and users, each (scope, subject, name) once."""
    found = list(_changes("customer", "", identify.traits, identify.changes))
    if identify.user_id is not None:
        found.append(Statement("user", identify.user_id, "", "member"))
        found += _changes("user", identify.user_id, identify.user_traits, identify.user_changes)
    if identify.channels != "[]":
        found += _channels(_read(identify.channels))
    if identify.users is not None:
        found += _users(_read(identify.users))
    return found


def weight(identify: Identify) -> int:
    """At the least as many as the facts that an identify makes, without reading it: for the size of blocks."""
    texts = [identify.traits, identify.user_traits, identify.channels, identify.users or ""]
    for changes in (identify.changes, identify.user_changes):
        if changes is not None:
            texts += [changes.set_once, changes.increment, ":" * len(changes.unset)]
    return 1 + sum(text.count(":") for text in texts)


def rows(said: Said, found: list[Statement]) -> list[tuple[Any, ...]]:
    """The rows of `fact` for these statements, in the order of `columns.COLUMNS`."""
    app, key, set_at, element_id, verified, dialect, received_at, receipt, position, part, order, sequence = said
    return [
        (app, key, scope, subject, name, set_at, operation, element_id, verified, value, dialect, received_at,
         receipt, position, part, order, sequence)
        for scope, subject, name, operation, value in found
    ]  # fmt: skip


def _changes(scope: str, subject: str, traits: str, changes: Changes | None) -> Iterator[Statement]:
    yield from _sets(scope, subject, _read(traits))
    if changes is None:
        return
    for operation, values in (("set_once", changes.set_once), ("increment", changes.increment)):
        for name, value in _read(values).items():
            yield Statement(scope, subject, name, operation, canonical(value))
    for name in changes.unset:
        yield Statement(scope, subject, name, "unset")


def _sets(scope: str, subject: str, values: Mapping[str, Any]) -> Iterator[Statement]:
    """A null has no value: it unsets."""
    for name, value in values.items():
        if value is None:
            yield Statement(scope, subject, name, "unset")
        else:
            yield Statement(scope, subject, name, "set", canonical(value))


def _channels(channels: list[dict[str, Any]]) -> Iterator[Statement]:
    """Of two entries for one channel and address, the later fields count."""
    merged: dict[str, dict[str, Any]] = {}
    for channel in channels:
        subject = canonical([channel["channel"], channel["address"]])
        merged.setdefault(subject, {}).update(channel)
    for subject, channel in merged.items():
        yield Statement("channel", subject, "", "set", canonical(channel))


def _users(users: list[dict[str, Any]]) -> Iterator[Statement]:
    """The list as a whole, and each user of it with its data; of two entries for one user, the later data count."""
    merged: dict[str, dict[str, Any]] = {}
    for user in users:
        merged.setdefault(user["userId"], {}).update(user.get("data") or {})
    yield Statement("users", "", "", "list", canonical(sorted(merged)))
    for user_id, data in merged.items():
        yield Statement("user", user_id, "", "member")
        yield from _sets("user", user_id, data)


def _read(text: str) -> Any:
    return {} if text == "{}" else parse(text.encode())
