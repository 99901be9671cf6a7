"""Files of Stripe's objects: every form in which they are exported, and what is none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tenure.errors import ImportInvalid
from tenure.event import Event, Refusal
from tenure.importer import stripe_file
from tenure.importer.row import Damaged
from tenure.importer.stripe_file import StripeReading
from tests.importer.rows import item

CUSTOMERS = [{"id": f"cus_{number}", "object": "customer", "created": 1_780_000_000} for number in range(3)]
LIST = {"object": "list", "data": CUSTOMERS, "has_more": False, "url": "/v1/customers"}


def taken(path: Path, skip: int = 0) -> list[str | None]:
    """The Stripe ids, or codes of refusal, of what a file holds."""
    source, mapping = StripeReading().open(path)
    items = [item(mapping.take(row, 0)) for row in source.rows(skip)]
    source.close()
    return [found.billing_id if isinstance(found, Event) else found.code for found in items]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(json.dumps(each) for each in CUSTOMERS),
        "\n\n".join(json.dumps(each) for each in CUSTOMERS) + "\n",
        json.dumps(LIST),
        json.dumps(LIST, indent=2),
        json.dumps(CUSTOMERS),
        json.dumps(CUSTOMERS, indent=2),
        json.dumps(LIST["data"][:1]) + "\n" + json.dumps(LIST | {"data": CUSTOMERS[1:]}),  # type: ignore[index]
    ],
)
def test_every_form_of_an_export(tmp_path: Path, text: str) -> None:
    """One object on each line, an array, a list of the API, pretty or not, zipped or not; and behind any of them."""
    file = tmp_path / "export"
    for data in (text.encode(), gzip.compress(text.encode())):
        file.write_bytes(data)
        assert taken(file) == ["cus_0", "cus_1", "cus_2"]
        assert taken(file, skip=2) == ["cus_2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ('{"id": "cus_1", "object": "customer"}\n{"id": "cus', ["cus_1", "invalid_json"]),
        ("not JSON\nat all\n", ["invalid_json"]),
        ('{"id": "cus\n{"id": "cus_1", "object": "customer"}\n\n{"id":', ["invalid_json", "cus_1", "invalid_json"]),
        ('["cus_1", null, {}]', ["wrong_type", "wrong_type", "missing_field"]),
        ('{"object": "list", "data": 7}', ["missing_field"]),
        ('{"id": "po_1", "object": "payout"}', ["no_customer"]),
    ],
)
def test_what_is_no_object_is_refused_by_itself(tmp_path: Path, text: str, expected: list[Any]) -> None:
    """The rest of the file is read, and each refusal says at which object it was."""
    file = tmp_path / "export"
    file.write_text(text)
    assert taken(file) == expected
    source, mapping = StripeReading().open(file)
    refused = [item(mapping.take(row, 0)) for row in source.rows(0) if expected[row.place - 1] != "cus_1"]
    assert all(isinstance(item, Refusal) and item.message.startswith("object ") for item in refused)


def test_a_page_is_not_taken_for_the_whole_list(tmp_path: Path) -> None:
    """What it has is taken, and then the rest is said to be missing; the last of all pages ends a list."""
    file = tmp_path / "export"
    page = json.dumps(LIST | {"has_more": True})
    for text in (page, json.dumps(LIST | {"has_more": True}, indent=2), f"{json.dumps(CUSTOMERS[0])}\n{page}"):
        file.write_text(text)
        source, mapping = StripeReading().open(file)
        rows = source.rows(0)
        assert [item(mapping.take(next(rows), 0)) for _ in CUSTOMERS]
        with pytest.raises(Damaged, match="has_more: true"):
            list(rows)
        source.close()
    file.write_text(f"{page}\n{json.dumps(LIST)}")
    assert len(taken(file)) == 6


def test_a_document_in_one_piece_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What must be held in memory as a whole is refused when it is too large, and what to do is said."""
    monkeypatch.setattr(stripe_file, "MAX_DOCUMENT", 100)
    file = tmp_path / "export"
    file.write_text(json.dumps(LIST, indent=2))
    with pytest.raises(ImportInvalid, match="one object on each line"):
        taken(file)
    with pytest.raises(ImportInvalid, match="cannot read"):
        StripeReading().open(tmp_path / "none")
