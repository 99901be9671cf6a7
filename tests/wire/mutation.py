"""Bodies that are nearly good: changes of a JSON value, and of its bytes, that keep most of it as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

GOLDEN = Path(__file__).parent / "golden"

INTERESTING: list[Any] = [
    None, True, False, 0, -1, 1.5, -0.0, 1e308, 2**31, 2**53 + 1, 2**63, 2**64, 10**25, 1_781_438_400,
    1_781_438_400_000,
    "", " ", "0", "\x00", "\ud800", "\udfff\ud800", "\uffff", "é", "e\u0301", "İ", "🙂", "'; --", "a/b", "..", "%2f",
    "\\", "\t\n", "a@b", "@", " Jane@Example.COM ", "x" * 256, "x" * 257, "x" * 1024, "x" * 1025, "🙂" * 320,
    "2026-06-14", "2026-06-14T12:00:00Z", "2026-06-14T12:00:00.123456789+05:30", "2016-12-31T23:59:60Z", "0001-01-01",
    "2026-06-14T12:00:00-23:59", "9999-12-31T23:59:59-12:00", "1900-01-01", "1899-12-31T23:59:59Z", "1781438400000",
    [], {}, [[]], [{}], {"": ""}, {"id": "user_1", "traits": {}}, {"uid": "u"}, {"$message_id": "m"},
]  # fmt: skip


class Golden(NamedTuple):
    """The request of a golden pair, and the status that it is answered with."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int


def golden() -> list[Golden]:
    """Every golden pair."""
    found = []
    for recorded in sorted(GOLDEN.glob("*/*.events.json")):
        asked = json.loads(recorded.read_text("utf-8"))
        body = recorded.with_name(recorded.name.replace(".events.json", ".input.json")).read_bytes()
        found.append(Golden(asked["path"], asked.get("headers", {}), body, asked["status"]))
    return found


def field_names() -> list[str]:
    """Every name of a field in the golden bodies that are JSON, in order."""
    names: set[str] = set()
    for pair in golden():
        try:
            value = json.loads(pair.body)
        except ValueError:
            continue
        names |= {name for node in nodes(value) if isinstance(node, dict) for name in node}
    return sorted(names)


def nodes(value: Any) -> Iterator[Any]:
    """All objects and arrays of a JSON value, outermost first."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            yield node
            waiting += node.values() if isinstance(node, dict) else node


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key or index) of every value within a JSON value."""
    return [(node, at) for node in nodes(value) for at in (list(node) if isinstance(node, dict) else range(len(node)))]


def changed(value: Any, random: Random, names: list[str]) -> Any:
    """A copy of a JSON value with one change; it is put into an array where nothing within can be changed."""
    value = json.loads(json.dumps(value))
    found = places(value)
    if not found:
        return random.choice([[value], random.choice(INTERESTING)])
    node, at = random.choice(found)
    match random.randrange(6):
        case 0:
            node[at] = random.choice(INTERESTING)
        case 1:
            other, there = random.choice(found)
            node[at] = json.loads(json.dumps(other[there]))
        case 2 if isinstance(node, dict):
            node[random.choice(names)] = random.choice(INTERESTING)
        case 3 if isinstance(node, dict):
            node[random.choice(names)] = node.pop(at)
        case 4 if isinstance(node, list):
            node.insert(at, json.loads(json.dumps(node[at])))
        case 5:
            del node[at]
        case _:
            node[at] = [node[at]] if random.random() < 0.5 else {random.choice(names): node[at]}
    return value


def planted(value: Any, at: int, marker: str) -> bool:
    """Put `marker` into one value within a JSON value, in place; False when there is none to put it into."""
    found = [(node, key) for node, key in places(value) if not isinstance(node[key], dict | list)]
    if not found:
        return False
    node, key = found[at % len(found)]
    node[key] = marker + node[key] if isinstance(node[key], str) else marker
    return True


def damaged(body: bytes, random: Random) -> bytes:
    """The bytes of a body with something cut off, changed, doubled or put in."""
    at, to = sorted(random.randrange(len(body) + 1) for _ in range(2))
    match random.randrange(5):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + body[to:]
        case 2:
            return body[:at] + random.randbytes(random.randrange(1, 9)) + body[at:]
        case 3:
            return body[:to] + body[at:]
    return body[:at] + random.choice([b"NaN", b"1e400", b"\\ud800", b"\xef\xbb\xbf", b"\x00", b"[" * 70]) + body[at:]
