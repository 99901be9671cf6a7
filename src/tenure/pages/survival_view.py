"""What the address of a page about survival says, and the addresses that it leads to."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from fastapi import Depends

from tenure.customers.use import segment_with_uses
from tenure.metrics.lasting import INTERVAL_DAYS
from tenure.metrics.survival import Spells
from tenure.pages.of_app import AppPage
from tenure.web.survival import Days, spells


class SpellsView(NamedTuple):
    """The same as the API is asked with, and nothing left to defaults."""

    asked: Spells
    interval: int

    def query(self, **changes: object) -> str:
        """The query of an address that shows the same, but for some changes; None takes a parameter out."""
        asked = self.asked
        said: dict[str, Any] = {
            "from": asked.first, "to": asked.last, "by": asked.by, "plan": asked.plan, "cohort": asked.cohort,
            "interval": self.interval, **changes,
        }  # fmt: skip
        return urlencode({name: value for name, value in said.items() if value is not None})


def view(of: AppPage, asked: Annotated[Spells, Depends(spells)], interval: Days = INTERVAL_DAYS) -> SpellsView:
    """What was asked for. Raises BadRequest."""
    segment = segment_with_uses(of.tenant, of.store, asked.segment)
    return SpellsView(msgspec.structs.replace(asked, segment=segment), interval)


TheSpells = Annotated[SpellsView, Depends(view)]
