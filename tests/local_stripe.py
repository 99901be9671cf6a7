"""`localstripe`, a Stripe server with state, as a process of its own on loopback; and the real client for it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from stripe import StripeClient

from tests.harness import free_port, kill

API_KEY = "sk_test_localstripe"
CARD, FAILING_CARD = "4242424242424242", "4000000000000341"
READY_SECONDS = 30
# Its own command listens on every address of the machine, and all that it has is test data.
_SERVE = (
    "import sys; from aiohttp import web; from localstripe import resources; from localstripe.server import app;"
    "made = resources.StripeObject.__init__;"
    "resources.StripeObject.__init__ = lambda self, id=None: (made(self, id), setattr(self, 'livemode', True))[1];"
    "web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]))"
)


class LocalStripe:
    """A running server. It sends webhooks a second after what they are about."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.client = StripeClient(API_KEY, base_addresses={"api": self.url})

    def send_webhooks(self, url: str, secret: str) -> None:
        """Send them there from now on, signed."""
        httpx.post(f"{self.url}/_config/webhooks/test", json={"url": url, "secret": secret}).raise_for_status()

    def customer(self, card: str = CARD, **fields: Any) -> str:
        """A customer who pays with this card."""
        customer = self.client.v1.customers.create(params=fields)  # type: ignore[arg-type]
        self.pay_with(customer.id, card)
        return customer.id

    def pay_with(self, customer: str, card: str) -> None:
        """Let a customer pay with this card from now on."""
        shown = {"number": card, "exp_month": 12, "exp_year": 2035, "cvc": "123"}
        method = self.client.v1.payment_methods.create(params={"type": "card", "card": shown})  # type: ignore[typeddict-item]
        self.client.v1.payment_methods.attach(method.id, params={"customer": customer})
        default: Any = {"invoice_settings": {"default_payment_method": method.id}}
        self.client.v1.customers.update(customer, params=default)

    def plan(self, plan: str, amount: int, interval: str = "month") -> str:
        """A plan in USD."""
        fields: Any = {"id": plan, "amount": amount, "currency": "usd", "interval": interval, "product": {"name": plan}}
        return self.client.v1.plans.create(params=fields).id

    def get(self, path: str, **asked: Any) -> dict[str, Any]:
        """What the API answers, as JSON."""
        found: dict[str, Any] = self.client.raw_request("get", path, **asked).data
        return found


@contextmanager
def local_stripe(directory: Path) -> Iterator[LocalStripe]:
    """One server from scratch, killed at the end."""
    port = free_port()
    with (directory / "localstripe.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", _SERVE, str(port)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/v1/events", auth=(API_KEY, "")).raise_for_status()
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, (directory / "localstripe.log").read_text()
                time.sleep(0.05)
        yield LocalStripe(port)
    finally:
        kill(process.pid)
        process.wait(10)
