"""The books of an app: everything received is stored, a duplicate, quarantined, or waits in the journal."""

from __future__ import annotations

import msgspec

from tenure.warehouse.client import Tenant


class Books(msgspec.Struct):
    """Counts of loaded events of one app; `balanced` holds them against each other.

    `received` and `quarantined` are counted in `arrival`, `ids` in `first_copy` and `stored` in `event`: three
    tables that are written one after the other, so that a loss or a double between them shows.
    """

    received: int
    stored: int
    duplicates: int
    quarantined: int
    rejected: int
    identifies: int

    @property
    def balanced(self) -> bool:
        """Whether received = stored + duplicates + quarantined, from independent counts."""
        return self.received == self.stored + self.duplicates + self.quarantined


_ARRIVALS = """
SELECT countIf(kind = 'event'), uniqExactIf(event_id, kind = 'event'),
    countIf(kind = 'refusal' AND outcome = 'quarantined'), countIf(kind = 'refusal' AND outcome = 'rejected'),
    countIf(kind = 'identify')
FROM arrival FINAL
"""


def books(tenant: Tenant) -> Books:
    """The books as of now. Raises Unavailable."""
    copies, ids, quarantined, rejected, identifies = tenant.rows(_ARRIVALS)[0]
    stored = tenant.rows("SELECT count() FROM event FINAL")[0][0]
    return Books(
        received=copies + quarantined,
        stored=stored,
        duplicates=copies - ids,
        quarantined=quarantined,
        rejected=rejected,
        identifies=identifies,
    )
