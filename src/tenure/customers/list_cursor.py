"""Where a page of the list of customers ended."""

from __future__ import annotations

import base64
import binascii
import re
from decimal import Decimal
from typing import NamedTuple

import msgspec

from tenure.errors import BadRequest

_DECIMAL = re.compile(r"-?\d{1,58}(\.\d{1,18})?", re.ASCII)


class Cursor(NamedTuple):
    """The last customer of a page: the next page begins after it. `question` tells what was asked."""

    question: bytes
    absent: bool
    """Whether that customer has no value to be sorted by."""
    value: int | str | tuple[bool, str, float, str]
    """Decimals are texts."""
    customer: bytes

    def text(self) -> str:
        """As it stands in a URL."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(tuple(self))).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, question: bytes, kind: type) -> Cursor:
        """The inverse of `text`, with a value of a kind. Raises BadRequest, also for the cursor of another question."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            found = msgspec.msgpack.decode(raw, type=cls)
            known = found.question == question
            if known and not found._is_ours(kind):
                raise ValueError("no cursor of ours")
        except (binascii.Error, ValueError, msgspec.DecodeError):
            raise BadRequest(
                "cursor is not one that this API gave out", field="cursor", code="invalid_cursor"
            ) from None
        if not known:
            raise BadRequest(
                "cursor belongs to another list; ask with the same filters and sort", field="cursor",
                code="invalid_cursor",
            )  # fmt: skip
        return found

    def _is_ours(self, kind: type) -> bool:
        too_great = isinstance(self.value, int) and not -(2**63) <= self.value < 2**63
        decimal = self.value[1] if isinstance(self.value, tuple) else self.value if kind is Decimal else "0"
        fits = isinstance(self.value, str if kind is Decimal else kind) and not too_great
        return fits and _DECIMAL.fullmatch(str(decimal)) is not None and len(self.customer) == len(bytes(16))
