"""The attributes in force of customers whose keys are known, for the list of customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec
from clickhouse_connect.driver.external import ExternalData

from tenure.warehouse.client import Tenant
from tenure.wire.json import canonical

_SQL = """
SELECT customer_key, traits FROM identify FINAL
WHERE customer_key IN (SELECT key FROM sent) AND verified AND traits != '{}' ORDER BY set_at, traits
"""


def attributes_in_force(tenant: Tenant, owner: Mapping[bytes, bytes]) -> dict[bytes, dict[str, str]]:
    """Canonical JSON texts by name, by customer; `owner` has the customer of each key. Raises Unavailable."""
    sent = ExternalData(file_name="sent", data=b"".join(owner), fmt="RowBinary", structure="key FixedString(16)")
    found: defaultdict[bytes, dict[str, str]] = defaultdict(dict)
    for key, traits in tenant.rows(_SQL, external=sent):
        into = found[owner[bytes(key)]]
        for name, value in msgspec.json.decode(traits).items():
            into.pop(name, None)
            if value is not None:
                into[name] = canonical(value)
    return found
