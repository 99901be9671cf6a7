"""What is read of Stripe's API, from a server with answers of the real shapes, since localstripe has no prices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from tenure.errors import ImportInvalid
from tenure.importer.mapping import FieldMapping
from tenure.importer.stripe_api import StripeApi, downloaded
from tenure.importer.stripe_file import StripeReading
from tenure.subscriptions.sources.stripe import facts
from tests.importer.rows import item

KEY = "rk_test_0123456789abcdef"
EURO = {"id": "price_seats", "object": "price", "currency": "eur", "billing_scheme": "tiered", "tiers_mode": "volume",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"}}  # fmt: skip
TIERS = EURO | {"tiers": [{"up_to": 10, "unit_amount": 500}, {"up_to": None, "unit_amount": 400}]}
DISCOUNT = {"id": "di_1", "object": "discount", "start": 1_780_000_000, "end": None}
COUPON = {"id": "half", "object": "coupon", "percent_off": 50, "duration": "forever"}
OTHER = COUPON | {"id": "secret", "percent_off": 10}


def customer(number: int) -> dict[str, Any]:
    discount = DISCOUNT | {"id": "di_2", "source": {"type": "coupon", "coupon": "half"}} if number == 1 else None
    return {"id": f"cus_{number}", "object": "customer", "created": 1_780_000_000, "discount": discount}


def line(number: int) -> dict[str, Any]:
    discounts = ["di_3"] if number == 2 else []
    return {"id": f"si_{number}", "object": "subscription_item", "quantity": 20, "price": EURO, "discounts": discounts}


def items(has_more: bool, *lines: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "data": list(lines), "has_more": has_more}


SUBSCRIPTION = {"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "currency": "eur",
                "created": 1_780_000_000, "discounts": ["di_1"], "items": items(True, line(1))}  # fmt: skip
EXPANDED = [DISCOUNT | {"source": {"type": "coupon", "coupon": COUPON}}]
ANSWERS: dict[tuple[str, str | None], dict[str, Any]] = {
    ("/v1/customers", None): items(True, customer(1), customer(2)),
    ("/v1/customers", "cus_2"): items(False, customer(3)),
    ("/v1/subscriptions", None): items(False, SUBSCRIPTION),
    ("/v1/subscription_items", None): items(False, line(1), line(2)),
    ("/v1/prices/price_seats", None): TIERS,
    ("/v1/subscriptions/sub_1", None): SUBSCRIPTION | {"discounts": EXPANDED},
    ("/v1/subscription_items/si_2", None): line(2) | {"discounts": [DISCOUNT | {"id": "di_3", "coupon": OTHER}]},
    ("/v1/coupons/half", None): COUPON | {"applies_to": {"products": ["prod_1"]}},
    ("/v1/events", None): items(False),
}


class Stripe(BaseHTTPRequestHandler):
    """Answers by path and by where a page begins; an error of Stripe's where there is nothing."""

    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        asked = url.path, query.get("starting_after", [None])[0]
        self.asked.append(asked)
        found = ANSWERS.get(asked)
        status = 403 if asked[0] == "/v1/coupons/secret" else 401
        wrong = {"error": {"type": "invalid_request_error", "message": f"Invalid key {KEY}"}}
        body = json.dumps(found or wrong).encode()
        self.send_response(200 if found else status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Quiet:
    """Watches nothing."""

    def began(self, mapping: FieldMapping) -> None: ...
    def reading(self, rows: int, fraction: float) -> None: ...
    def waiting(self, entries: int) -> None: ...
    def refused(self, refusal: Any) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    Stripe.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stripe)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_everything_is_read_with_what_lists_leave_out(url: str, tmp_path: Path) -> None:
    """Every page, every item, tiers, and coupons with the products that they are for, where the key may read them."""
    path = tmp_path / "imports" / "account.jsonl"
    StripeApi(KEY, url).download(path, Quiet())
    assert path.stat().st_mode & 0o077 == 0
    assert [found["id"] for found in objects(path)] == ["cus_1", "cus_2", "cus_3", "sub_1"]
    assert Stripe.asked.count(("/v1/prices/price_seats", None)) == 1
    source, mapping = StripeReading().open(path)
    payer, _, _, subscription = [item(mapping.take(row, 0)) for row in source.rows(0)]
    reading = facts(subscription, 0)  # type: ignore[arg-type]
    assert reading.problem is None
    (fact,) = reading.facts
    assert [item.amount for item in fact.items] == [8_000, 8_000]  # type: ignore[union-attr]
    assert [(discount.percent, discount.item, discount.products) for discount in fact.discounts] == [  # type: ignore[union-attr]
        (10, "si_2", None), (50, None, ("prod_1",))
    ]  # fmt: skip
    (own,) = facts(payer, 0).facts  # type: ignore[arg-type]
    assert [(discount.percent, discount.products) for discount in own.discounts] == [(50, ("prod_1",))]  # type: ignore[union-attr]
    assert Stripe.asked.count(("/v1/coupons/half", None)) == 1


def test_it_goes_on_behind_the_last_object(url: str, tmp_path: Path) -> None:
    """What is in the file is not asked for again, and half a line at its end is cut off."""
    path = tmp_path / "account.jsonl"
    path.with_suffix(".part").write_text(json.dumps(customer(1)) + "\n" + json.dumps(customer(2)) + '\n{"id": "cus')
    StripeApi(KEY, url).download(path, Quiet())
    assert ("/v1/customers", None) not in Stripe.asked
    assert [found["id"] for found in objects(path)] == ["cus_1", "cus_2", "cus_3", "sub_1"]
    Stripe.asked.clear()
    StripeApi(KEY, url).download(path, Quiet())
    assert Stripe.asked == []


def test_what_stripe_refuses_is_told_without_the_key(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stripe's own messages may hold a key, so only their kind is told; and without a key nothing is asked."""
    with pytest.raises(ImportInvalid, match="AuthenticationError, status 401") as raised:
        StripeApi(KEY, f"{url}/nowhere").download(tmp_path / "account.jsonl", Quiet())
    assert KEY not in str(raised.value)
    Stripe.asked.clear()
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    with pytest.raises(ImportInvalid, match="STRIPE_API_KEY"), downloaded(tmp_path, "app_1", url, Quiet()):
        pass
    assert Stripe.asked == []
