"""The rules by which MRR is counted, as switches. `docs/mrr.md` explains each."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as MRR, and what as a return. The defaults are those of `docs/mrr.md`."""

    cancel: Literal["period_end", "request"] = "period_end"
    """When a cancellation counts: when the subscription ends, or when that was asked for."""
    discounts: Literal["recurring", "all", "none"] = "recurring"
    """Which discounts are taken off: those of more than one bill, all, or none."""
    trials: Literal["out", "in"] = "out"
    past_due: Literal["in", "out"] = "in"
    unpaid: Literal["out", "in"] = "out"
    paused: Literal["out", "in"] = "out"
    metered: Literal["out", "in"] = "out"
    """Metered items: left out, or at what their last whole interval came to."""
    days_per_year: Annotated[int, Meta(ge=360, le=366)] = 365
    """A daily price is this many times a twelfth of it a month."""
    weeks_per_year: Annotated[int, Meta(ge=48, le=53)] = 52
    """Likewise a weekly price."""
    reactivation_days: Annotated[int, Meta(ge=0)] | None = None
    """A customer who returns after more days than this is new; None: whoever returns is reactivated."""
