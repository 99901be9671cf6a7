"""Every page, by its name, with where it is: what is done with all pages is done with these."""

from __future__ import annotations

from typing import NamedTuple


class Shown(NamedTuple):
    """What the pages are of."""

    app: str
    """An app's id."""
    customer: str
    """A customer's identifier, quoted for a path."""
    event: str
    """A name of events, quoted likewise."""


PAGES = {
    "customers": "/apps/{app}/customers",
    "customer": "/apps/{app}/customers/{customer}",
    "events": "/apps/{app}/events",
    "event": "/apps/{app}/events/{event}",
    "live": "/apps/{app}/live",
    "quarantine": "/apps/{app}/quarantine",
    "revenue": "/apps/{app}/revenue",
    "retention": "/apps/{app}/retention",
    "keys": "/apps/{app}/settings/keys",
    "origins": "/apps/{app}/settings/origins",
    "limits": "/apps/{app}/settings/limits",
    "retries": "/apps/{app}/settings/retries",
    "mrr-rules": "/apps/{app}/settings/mrr",
    "health-weights": "/apps/{app}/settings/health",
    "stripe": "/apps/{app}/settings/stripe",
    "first-event": "/apps/{app}/start",
    "apps": "/settings/apps",
    "people": "/settings/people",
    "audit": "/settings/audit",
    "account": "/settings/account",
    "start": "/start",
}


def paths(shown: Shown) -> dict[str, str]:
    """The address of each page, by its name."""
    return {name: path.format(**shown._asdict()) for name, path in PAGES.items()}
