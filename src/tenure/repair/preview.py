"""What a rule would do, on elements that are in quarantine: nothing is changed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from tenure.errors import Refused
from tenure.event import Event, Identify
from tenure.identity import Identifier, identifiers
from tenure.repair.replay import Quarantined, decoded, repaired
from tenure.repair.steps import Step
from tenure.wire.json import canonical


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One element before and after. It has become an event (or attributes), or there is a reason why not."""

    before: str
    after: str = ""
    name: str = ""
    identifiers: tuple[Identifier, ...] = ()
    occurred_at: int | None = None
    """Milliseconds since 1970 UTC; that of its first receipt where it has no time of its own."""
    code: str = ""
    field: str = ""
    message: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it can be used now."""
        return not self.code


class Preview(msgspec.Struct, frozen=True):
    """What a rule would do to `tried` elements."""

    tried: int
    good: int
    reasons: dict[str, int]
    """Why the others stay, by code."""
    samples: list[Sample]


def preview(found: Sequence[Quarantined], steps: Sequence[Step], shown: int, at: int) -> Preview:
    """Try a rule as of `at` (microseconds since 1970 UTC); of the samples, those that stay in quarantine are last."""
    tried = [_sample(element, steps, at) for element in found]
    reasons = Counter(sample.code for sample in tried if not sample.is_good)
    bad = [sample for sample in tried if not sample.is_good]
    good = [sample for sample in tried if sample.is_good]
    few_bad = bad[: max(shown // 2, shown - len(good))]
    return Preview(len(tried), len(good), dict(reasons.most_common()), [*good[: shown - len(few_bad)], *few_bad])


def _sample(found: Quarantined, steps: Sequence[Step], at: int) -> Sample:
    before = found.refusal.payload
    try:
        element = repaired(found, steps)
    except Refused as fault:
        return Sample(before=before, code=fault.code, message=fault.message)
    after = canonical(element)
    try:
        made = decoded(found, element, at)
    except Refused as fault:
        return Sample(before=before, after=after, code=fault.code, field=fault.field or "", message=fault.message)
    first: Event | Identify = (made.events or made.identifies)[0]
    said = first.occurred_at if isinstance(first, Event) else first.set_at
    return Sample(
        before=before,
        after=after,
        name=first.name if isinstance(first, Event) else "",
        identifiers=tuple(identifiers(first)),
        occurred_at=found.received_at // 1_000 if said is None else said,
    )
