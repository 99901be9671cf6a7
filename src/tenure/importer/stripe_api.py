"""What Stripe's API has of an account's customers: written to a file, which is then imported as any other.

Interrupted, it goes on behind the last object in the file. What happens while it runs comes by webhook.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from stripe import InvalidRequestError, PermissionError, StripeClient, StripeError

from tenure import import_files
from tenure.errors import ImportInvalid
from tenure.importer.run import Watch
from tenure.importer.stripe_file import TAKEN_AT
from tenure.wire.json import canonical

PAGE: Final = 100
RETRIES: Final = 5

_KINDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "customer": ("/v1/customers", {}),
    "subscription": ("/v1/subscriptions", {"status": "all"}),
    "event": ("/v1/events", {}),
}
"""In this order: what is said of a customer comes before its subscriptions, and what happened lately comes last."""


@contextmanager
def downloaded(data: Path, app: str, base: str | None, watch: Watch) -> Iterator[Path]:
    """All that the API has, in a file of the data directory that is gone when it has been imported.

    The API key is in STRIPE_API_KEY. Raises ImportInvalid when there is none, or the API does not answer.
    """
    key = os.environ.get("STRIPE_API_KEY", "").strip()
    if not key:
        raise ImportInvalid("put an API key of Stripe's (a restricted one that may read) into STRIPE_API_KEY")
    path = import_files.stripe_download(data, app)
    StripeApi(key, base).download(path, watch)
    yield path
    path.unlink(missing_ok=True)  # an erasure may have removed it


class StripeApi:
    """An account, by its API key."""

    def __init__(self, key: str, base: str | None) -> None:
        addresses: Any = {} if base is None else {"api": base}
        self._client = StripeClient(key, base_addresses=addresses, max_network_retries=RETRIES)
        self._prices: dict[str, dict[str, Any]] = {}
        self._coupons: dict[str, dict[str, Any] | None] = {}

    def download(self, path: Path, watch: Watch) -> None:
        """Write all objects to `path`, one on each line; nothing when it is there. Raises ImportInvalid."""
        if path.exists():
            return
        part = import_files.partial(path)
        number = 0
        try:
            with import_files.opened(part) as file:
                for found in self._objects(*_last(file)):
                    file.write(canonical(found).encode() + b"\n")
                    number += 1
                    watch.reading(number, 0.0)
        except StripeError as error:
            reason = f"{type(error).__name__}, status {error.http_status}"  # Stripe's own message may show the key
            again = f"start again to go on, or from the beginning without the file {part}"
            raise ImportInvalid(f"Stripe's API did not answer as it should ({reason}); {again}") from None
        try:
            part.rename(path)
        except FileNotFoundError:
            raise ImportInvalid("somebody was erased, and what was downloaded so far with them; start again") from None

    def _objects(self, kind: str | None, last: str | None) -> Iterator[dict[str, Any]]:
        """Every object after the last one that is known."""
        kinds = list(_KINDS)
        for each in kinds[0 if kind is None else kinds.index(kind) :]:
            path, asked = _KINDS[each]
            asked_at = int(time.time())
            for found in self._pages(path, last if each == kind else None, asked):
                yield found if each == "event" else {**self._whole(found), TAKEN_AT: asked_at}

    def _pages(self, path: str, last: str | None, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        more = True
        while more:
            after = {} if last is None else {"starting_after": last}
            page = self._get(path, limit=PAGE, **asked, **after)
            yield from page["data"]
            more = bool(page["has_more"] and page["data"])
            last = page["data"][-1]["id"] if more else None

    def _whole(self, found: dict[str, Any]) -> dict[str, Any]:
        """A customer, or a subscription, with what lists leave out."""
        if found["object"] == "subscription":
            return self._whole_subscription(found)
        return found | {"discount": self._with_terms(found["discount"])} if found.get("discount") else found

    def _whole_subscription(self, subscription: dict[str, Any]) -> dict[str, Any]:
        """With coupons, tiers, and items beyond the first."""
        lines = subscription["items"]
        if lines["has_more"]:
            lines["data"] = list(self._pages("/v1/subscription_items", None, {"subscription": subscription["id"]}))
            lines["has_more"] = False
        for line in lines["data"]:
            price = line.get("price") or {}
            tiered = price.get("billing_scheme") == "tiered" and not price.get("tiers")
            if tiered or price.get("currency") != subscription.get("currency"):
                line["price"] = self._price(price["id"])
        for of, path in ((subscription, "subscriptions"), *((line, "subscription_items") for line in lines["data"])):
            discounts = of.get("discounts") or ()
            if any(isinstance(discount, str) for discount in discounts):
                discounts = self._get(f"/v1/{path}/{of['id']}", expand=["discounts.source.coupon"])["discounts"]
            if discounts:
                of["discounts"] = [self._with_terms(discount) for discount in discounts]
        return subscription

    def _with_terms(self, discount: dict[str, Any]) -> dict[str, Any]:
        """A discount with all of its coupon: also the products that it is for, and its amounts in other currencies."""
        source = discount.get("source")
        said = discount.get("coupon") if source is None else source.get("coupon")
        name = said.get("id") if isinstance(said, dict) else said
        coupon = self._coupon(name) if isinstance(name, str) else None
        if coupon is None:
            return discount
        return discount | ({"coupon": coupon} if source is None else {"source": source | {"coupon": coupon}})

    def _coupon(self, coupon: str) -> dict[str, Any] | None:
        """None for one that was deleted, or that the key may not read: what the discount has of it then stands."""
        if coupon not in self._coupons:
            try:
                found = self._get(f"/v1/coupons/{coupon}", expand=["applies_to", "currency_options"])
            except (InvalidRequestError, PermissionError):
                found = None
            self._coupons[coupon] = found
        return self._coupons[coupon]

    def _price(self, price: str) -> dict[str, Any]:
        if price not in self._prices:
            self._prices[price] = self._get(f"/v1/prices/{price}", expand=["tiers", "currency_options"])
        return self._prices[price]

    def _get(self, path: str, **asked: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._client.raw_request("get", path, **asked).data
        return found


def _last(file: Any) -> tuple[str | None, str | None]:
    """The kind and the id of the last object in the file, which is cut off behind it."""
    end, last = 0, b""
    for line in file:
        if not line.endswith(b"\n"):
            break
        end, last = end + len(line), line
    file.seek(end)
    file.truncate()
    found = msgspec.json.decode(last) if last else {}
    return found.get("object"), found.get("id")
