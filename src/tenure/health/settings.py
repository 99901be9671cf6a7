"""What an app says of its own signals and of what its health score weighs. Pure; `control/health.py` keeps it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from tenure.errors import BadRequest
from tenure.health.signals import NO_USE, SIGNS, Sign, Signals
from tenure.wire import codes, fields
from tenure.wire.fields import NAME_LIMIT

MAX_DECLARED = 500
"""Names that an app may declare."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT)]
Weight: TypeAlias = Annotated[int, Meta(ge=0, le=100)]


class Weights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much each part of the score weighs against the others; 0 leaves it out. Not all may be 0."""

    recency: Weight = 25
    frequency: Weight = 20
    trend: Weight = 15
    breadth: Weight = 10
    signals: Weight = 15
    billing: Weight = 15

    def __post_init__(self) -> None:
        if not any(msgspec.structs.astuple(self)):
            raise ValueError("one weight at least must be above 0")


class HealthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one app. The defaults are those of an app that says nothing."""

    signals: Annotated[dict[Name, Sign], Meta(max_length=MAX_DECLARED)] = {}
    """Names with the sign that they have in this app; they win over what is recognised."""
    weights: Weights = Weights()
    no_use: Annotated[tuple[Name, ...], Meta(max_length=MAX_DECLARED)] | None = None
    """Names that are no use, in any spelling, however many customers send them; None: those of Tenure's own list."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """The names that are no use, of the app or of Tenure's own list."""
        return NO_USE if self.no_use is None else self.no_use

    def meanings(self, frequent: Container[str] | None = None) -> Signals:
        """What names say; `frequent` has those of the app's own that enough customers have sent, None: all."""
        return Signals(self.signals, self.left_out, frequent)


_EXPECTED = {
    "signals": f"an object of up to {MAX_DECLARED} names of 1 to {NAME_LIMIT} characters, each with one of "
    f"{', '.join(SIGNS)}",
    "weights": f"an object of {', '.join(Weights.__struct_fields__)}: whole numbers from 0 to 100, not all 0",
    "no_use": f"an array of up to {MAX_DECLARED} names of 1 to {NAME_LIMIT} characters, or null for Tenure's own list",
}


def changed(settings: HealthSettings, given: Mapping[str, object]) -> HealthSettings:
    """The settings with `signals`, `weights` or `no_use` replaced as a whole. Raises BadRequest."""
    if rest := fields.rest(dict(given), _EXPECTED.keys()):
        raise fields.unknown(rest)
    return msgspec.structs.replace(settings, **{field: _converted(field, value) for field, value in given.items()})


def _converted(field: str, value: object) -> Any:
    try:
        found = msgspec.convert({field: value}, HealthSettings)
        msgspec.json.encode(found)  # lone surrogates cannot be
    except (msgspec.ValidationError, UnicodeEncodeError):
        message = f"{field} must be {_EXPECTED[field]}."
        raise BadRequest(message, code=codes.WRONG_TYPE, field=field) from None
    return getattr(found, field)
