"""Fixtures that the tests of several clients use."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from tests.clients.outage import Outage
from tests.harness import Server


@pytest.fixture
def outage(new_server: Callable[..., Server]) -> Outage:
    """A server of the test's own that answers 503."""
    return Outage(new_server(TENURE_JOURNAL_MAX_MB="1", TENURE_HTTP_WORKERS="1"))


@pytest.fixture
def vendor_key() -> str:
    """A key that the vendor gave a client, and that no server knows before it is imported."""
    return f"wrk_{secrets.token_hex(16)}"
