"""What the properties of an event are read of."""

from __future__ import annotations

import pytest

from tenure.customers.properties import MOST_SAMPLE, estimated
from tenure.identity import Identifier, identity_key


@pytest.mark.parametrize("customers", [5_000, 50_000])
def test_the_smallest_keys_tell_how_many_there_are(customers: int) -> None:
    """Keys are hashes, so that how close they lie tells their number: within 10 %, which is six standard errors."""
    keys = sorted(identity_key("app_1", Identifier("customer_id", f"cus_{number}")) for number in range(customers))
    assert estimated(keys[: MOST_SAMPLE + 1]) == pytest.approx(customers, rel=0.1)
