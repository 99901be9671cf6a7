"""The way in: where a sign-in link leads, and the first one of an install where nobody has an account yet."""

from __future__ import annotations

import time
import urllib.request

from tenure.control.database import connect
from tenure.control.people import People
from tenure.errors import Conflict
from tenure.settings import Settings


def link_to(url: str, token: str) -> str:
    """The link that hands a token over. It is in the part of the address that browsers keep to themselves, so that it
    is in no server's or proxy's log, and no preview of the link uses it up."""
    return f"{url}/welcome#{token}"


def first_link(settings: Settings) -> str | None:
    """A new link by which the first admin is made, which ends the one before; None when there is somebody."""
    people = People(connect(settings))
    try:
        return None if people.any() else link_to(settings.url, people.sign_in_link(None))
    except Conflict:  # somebody came first
        return None


def wait_ready(settings: Settings) -> None:
    """Return when the server of these settings takes requests."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy the environment names
    while True:
        try:
            with direct.open(f"{settings.local_url}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
