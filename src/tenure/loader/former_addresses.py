"""E-mail addresses that older releases took for others than they are now (`Jane <jane@x.example>`).

What is stored under such a form belongs to whom the address belongs to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import blake2b

from clickhouse_connect.driver.client import Client

from tenure.control.link import SAME_ADDRESS, Link
from tenure.control.links import Links
from tenure.identity import Identifier, identity_key, normal
from tenure.warehouse.migrate import Step
from tenure.warehouse.personal import ODD_ADDRESSES

NUMBER = 15
"""Of the schema file from which on there is none."""
_LINKS = 5_000
# The list of customers finds by this whose addresses it has to learn, which it did not search before.
_CHANGED = """
INSERT INTO seen (app, customer_key, name, events, verified, first, last, changed)
SELECT app, customer_key, '', 0, 0, toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC'),
    toDateTime64('1900-01-01', 3, 'UTC'), now64(6)
FROM fact WHERE positionCaseInsensitive(name, 'mail') > 0 OR startsWith(subject, '["email"') GROUP BY app, customer_key
SETTINGS insert_deduplicate = 0
"""


def step(links: Links, apps: Collection[str]) -> Step:
    """What links each former address to what it is now, and has attributes found that are addresses. Repeatable."""

    def link_all(client: Client) -> None:
        found: list[Link] = []
        for link in _links(client, apps):
            found.append(link)
            if len(found) == _LINKS:
                links.add(found)
                found = []
        links.add(found)
        client.command(_CHANGED)

    return link_all


def same_address(app: str, value: str) -> Link | None:
    """That a value that an address is stored under is another address, if it is."""
    now = normal("email", value)
    if now == value:
        return None
    sides = Identifier("email", now), Identifier("email", value)
    keys = b"".join(identity_key(app, side) for side in sides)
    own = blake2b(keys, digest_size=16, person=b"same address").hexdigest()
    return Link(app, *sides, SAME_ADDRESS, "upgrade", True, 0, own)


def _links(client: Client, apps: Collection[str]) -> Iterator[Link]:
    with client.query_rows_stream(ODD_ADDRESSES) as rows:
        for app, value in rows:
            if app in apps and (link := same_address(app, value)) is not None:
                yield link
