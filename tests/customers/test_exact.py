"""Attributes in filters and sorts, on a real server: numbers exactly, texts as the search folds them."""

from __future__ import annotations

import json
import time
import unicodedata
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.identity import fold
from tests.harness import LOADED_SECONDS, Server, create_app

Keys = dict[str, str]

IDS = [9007199254740991, 9007199254740992, 9007199254740993, 9007199254740994, 99999999999999999, 100000000000000000,
       1234567890123456788, 1234567890123456789, 9223372036854775807, 9223372036854775808, 18446744073709551615,
       18446744073709551616, -9007199254740993, -9007199254740992, 10**57 + 1, 10**57, 0, 7]  # fmt: skip
FRACTIONS = [0.1, 0.5, -0.25, 1e16, 1e-30, 2e-30, 1e300, 5e-324, 6.02e23, 0.30000000000000004, 0.3]
TEXTS = ["9007199254740993", "Zürich", "Zu\u0308rich", "STRASSE", "straße", "\uff21", "pro", "true", ""]
OTHERS: list[Any] = [True, False, ["a"], {"a": 1}]
VALUES = [*IDS, *FRACTIONS, *TEXTS, *OTHERS]


@pytest.fixture(scope="module")
def keys(server: Server) -> Keys:
    """An app with a customer for each value of the attribute `v`."""
    made = create_app(server.data, "exact")
    people = [{"uid": str(at), "traits": {"v": value}, "message_id": str(at)} for at, value in enumerate(VALUES)]
    headers = {"X-API-Key": made["secret_key"], "Content-Type": "application/json"}
    answer = server.http.post("/v1/ingest", content=json.dumps({"events": people}), headers=headers)
    assert answer.status_code == 202, answer.text
    server.wait_loaded()
    deadline = time.monotonic() + LOADED_SECONDS
    while len(server.read("/v1/customers", made, limit=1000)["items"]) < len(VALUES):
        assert time.monotonic() < deadline, "not listed in time"
        time.sleep(0.05)
    return made


def found(server: Server, keys: Keys, **parameters: Any) -> list[Any]:
    """The values of those who are listed, in order, over all pages."""
    items, cursor = [], {}
    while True:
        page = server.read("/v1/customers", keys, **parameters, **cursor)
        items += [VALUES[int(item["id"].removeprefix("uid:"))] for item in page["items"]]
        if page["next"] is None:
            return items
        cursor = {"cursor": page["next"]}


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def exact(value: float) -> Decimal:
    return Decimal(json.dumps(value))


def test_every_number_is_found_by_itself_alone(server: Server, keys: Keys) -> None:
    """And everything else is what it is not."""
    for value in [*IDS, *FRACTIONS]:
        same = [other for other in VALUES if is_number(other) and exact(other) == exact(value)]
        texts = [other for other in VALUES if other == json.dumps(value)]
        assert sorted(map(repr, found(server, keys, attribute=f"v:eq:{json.dumps(value)}"))) == sorted(
            map(repr, same + texts)
        )


@pytest.mark.parametrize(
    "asked", [*(str(value) for value in IDS), "9007199254740992.5", "1e57", "0.3", "1.5e-30", "-0.0"]
)
def test_greater_and_less_are_exact(server: Server, keys: Keys, asked: str) -> None:
    """Of all numbers, and no texts."""
    numbers = {value for value in VALUES if is_number(value)}
    greater = set(found(server, keys, attribute=f"v:gt:{asked}", limit=7))
    less = set(found(server, keys, attribute=f"v:lt:{asked}"))
    assert greater == {value for value in numbers if exact(value) > Decimal(asked)}
    assert less == {value for value in numbers if exact(value) < Decimal(asked)}


def test_numbers_are_sorted_exactly_over_pages(server: Server, keys: Keys) -> None:
    """Up and down, page by page, before all texts."""
    numbers = sorted((value for value in VALUES if is_number(value)), key=exact)
    for limit in (1, 3, 1000):
        assert found(server, keys, sort="attribute:v", limit=limit)[: len(numbers)] == numbers
        assert [one for one in found(server, keys, sort="-attribute:v", limit=limit) if is_number(one)] == numbers[::-1]


@pytest.mark.parametrize(
    "asked", ["Zürich", "Zu\u0308rich", "ZÜRICH", "strasse", "STRASSE", "straße", "\uff41", "PRO", ""]
)
def test_texts_are_compared_as_the_search_folds_them(server: Server, keys: Keys, asked: str) -> None:
    """In any case and any form of Unicode."""
    texts = [value for value in VALUES if isinstance(value, str)]
    same = {text for text in texts if fold(text) == fold(asked)}
    assert {unicodedata.normalize("NFC", text) for text in found(server, keys, attribute=f"v:eq:{asked}")} == {
        unicodedata.normalize("NFC", text) for text in same
    }
    if asked:
        greater = found(server, keys, attribute=f"v:gt:{asked}")
        assert set(greater) == {text for text in texts if fold(text).encode() > fold(asked).encode()}


def test_other_values_are_found_as_they_are_written(server: Server, keys: Keys) -> None:
    """Truths, also as text; arrays and objects."""
    assert sorted(map(str, found(server, keys, attribute="v:eq:true"))) == ["True", "true"]
    assert found(server, keys, attribute='v:eq:["a"]') == [["a"]]


@settings(max_examples=30)
@given(st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_splits_the_list_into_three(server: Server, keys: Keys, asked: float) -> None:
    """Less, equal and greater are all numbers, each once."""
    text = json.dumps(asked)
    parts = [found(server, keys, attribute=f"v:{how}:{text}") for how in ("lt", "eq", "gt")]
    numbers = [value for part in parts for value in part if is_number(value)]
    assert sorted(numbers, key=exact) == sorted((value for value in VALUES if is_number(value)), key=exact)
