"""Customers as lines of CSV."""

from __future__ import annotations

import csv
import io

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tenure.loader.ledger import BillingItem
from tenure.loader.profile import CustomerItem, ListedHealth
from tenure.pages.customers_csv import COLUMNS, ROWS, lines

DANGEROUS = "=+-@\t\r\n"


def customer(name: str, **attributes: object) -> CustomerItem:
    values = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in attributes.items()}
    return CustomerItem(f"uid:{name}", [f"uid:{name}"], 1, name, 3, 3, None, None, name, attributes=values)


def read(*items: CustomerItem, columns: tuple[str, ...] = ()) -> list[dict[str, str]]:
    text = b"".join(lines(items, columns)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_no_text_is_a_formula_and_none_is_lost(text: str) -> None:
    """Whatever a customer is called: the text is there, with an apostrophe before it where that is needed."""
    (row,) = read(customer(text, note=text), columns=("note",))
    for cell in (row["name"], row["note"], row["last_event"]):
        assert cell.removeprefix("'") == text.removeprefix("'")
        assert not cell.lstrip(" ").startswith(tuple(DANGEROUS))
    assert row["id"] == f"uid:{text}"


def test_what_is_text_is_told_from_what_is_a_number() -> None:
    """A negative number of an attribute stays a number; the same as text does not look like one to a spreadsheet."""
    (row,) = read(customer("a", number=-5, text="-5", truth=True, many=["=1"], full="\uff1d1+1"),
                  columns=("number", "text", "truth", "many", "full", "missing"))  # fmt: skip
    assert [row[name] for name in ("number", "text", "truth", "many", "full", "missing")] == [
        "-5", "'-5", "true", '["=1"]', "'\uff1d1+1", "",
    ]  # fmt: skip


def test_billing_and_health_are_columns() -> None:
    """Amounts as they are, exact; who has neither has empty cells."""
    paying = customer("p")
    paying.billing = BillingItem(
        "active", ["pro", "=add-on"], "1234.50", "USD", False, None, None, None, "2026-01-31", 1, 0, 0
    )
    paying.health = ListedHealth(72, "good", "2026-03-01T12:00:00.000Z")
    one, other = read(paying, customer("q"))
    assert (one["plans"], one["mrr"], one["currency"], one["health"], one["health_band"]) == (
        "pro, =add-on", "1234.50", "USD", "72", "good",
    )  # fmt: skip
    assert [other[name] for name in ("status", "mrr", "health", "health_at")] == [""] * 4
    assert list(one) == list(COLUMNS)


def test_a_long_list_comes_in_pieces() -> None:
    """It is given out while it is read, never whole."""
    pieces = list(lines((customer(f"c{number}") for number in range(2 * ROWS + 1)), ()))
    assert len(pieces) == 3
    assert len(b"".join(pieces).splitlines()) == 2 * ROWS + 2
