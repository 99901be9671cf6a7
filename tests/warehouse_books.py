"""What the warehouse alone says of an app: stored, duplicate, quarantined, erased. See also `conservation`."""

from __future__ import annotations

import msgspec

from tenure.warehouse.client import Tenant


class Books(msgspec.Struct):
    """Counts of loaded events of one app; `balanced` holds them against each other.

    `received` and `quarantined` are counted in `arrival`, `ids` in `first_copy` and `stored` in `event`: three
    tables that are written one after the other, so that a loss or a double between them shows. What was quarantined and
    came again, repaired, is counted as what it then became; `replayed` tells how many those are.
    """

    received: int
    stored: int
    duplicates: int
    quarantined: int
    rejected: int
    identifies: int
    erased: int = 0
    replayed: int = 0

    @property
    def balanced(self) -> bool:
        """Whether received = stored + duplicates + quarantined + erased, from independent counts."""
        return self.received == self.stored + self.duplicates + self.quarantined + self.erased


_ARRIVALS = """
WITH event_id IN (SELECT event_id FROM first_copy FINAL WHERE displaced_by != toFixedString('', 16)) AS displaced,
    outcome = 'erased' OR (kind = 'event' AND event_id IN (SELECT event_id FROM erased_event)) AS gone
SELECT countIf(kind = 'event' AND NOT gone), uniqExactIf(event_id, kind = 'event' AND NOT gone AND NOT displaced),
    countIf(kind = 'refusal' AND outcome = 'quarantined'), countIf(gone AND kind != 'identify'),
    countIf(kind = 'refusal' AND outcome = 'rejected'), countIf(kind = 'identify' AND NOT gone),
    countIf(kind = 'refusal' AND outcome = 'replayed')
FROM arrival FINAL
"""


def books(tenant: Tenant) -> Books:
    """The books as of now. Raises Unavailable."""
    copies, ids, quarantined, erased, rejected, identifies, replayed = tenant.rows(_ARRIVALS)[0]
    stored = tenant.rows("SELECT count() FROM event FINAL")[0][0]
    return Books(
        received=copies + quarantined + erased,
        stored=stored,
        duplicates=copies - ids,
        quarantined=quarantined,
        erased=erased,
        rejected=rejected,
        identifies=identifies,
        replayed=replayed,
    )
