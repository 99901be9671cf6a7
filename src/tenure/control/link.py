"""One fact about identity: two identifiers belong to one customer, says somebody, at a time."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

from tenure.identity import Identifier, identity_key

CARRIED: Final = "carried together"
"""One event or identify carried both identifiers."""
PROMOTION: Final = "promotion"
"""A visitor became known: an anonymous id was claimed for a user."""
SAME_ID: Final = "same id"
"""A customer id has the form of a billing provider's: it is the billing id of the same customer."""
BY_HAND: Final = "by hand"
MERGE: Final = "merge"

API: Final = "api"
"""The source of what is said by hand."""


class Link(NamedTuple):
    """A fact. Of one that is said again the earliest saying counts, in whatever order they are seen.

    `one` is the stronger side of an automatic link. Times are microseconds since 1970 UTC.
    """

    app: str
    one: Identifier
    other: Identifier
    how: str
    source: str
    """The dialect, or API."""
    verified: bool
    received_at: int
    receipt: str
    """The request that said so; of a link by hand or a merge its own id."""
    position: int = 0
    """The element of that request."""
    undone_at: int | None = None
    note: str | None = None

    @property
    def automatic(self) -> bool:
        """Said by what clients sent, not by a person."""
        return self.how in (CARRIED, PROMOTION, SAME_ID)

    @property
    def pair(self) -> tuple[Identifier, Identifier]:
        """Both sides."""
        return self.one, self.other

    @property
    def evidence(self) -> tuple[int, str, int]:
        """When it was said: facts are ordered by this, and never by when they were loaded."""
        return self.received_at, self.receipt, self.position

    @property
    def id(self) -> str:
        """32 hex digits. Automatic facts that say the same have the same; each fact by hand has its own."""
        if not self.automatic:
            return self.receipt
        said = f"{self.key(self.one)}{self.key(self.other)}{self.how}/{self.source}/{self.verified:d}"
        return blake2b(said.encode(), digest_size=16, person=b"link").hexdigest()

    def said_again(self, again: Link) -> Link:
        """This fact, when it was said another time, too: as it was said first, and undone if either is."""
        first, second = sorted((self, again), key=lambda link: link.evidence)
        return first if first.undone_at is not None else first._replace(undone_at=second.undone_at)

    def key(self, side: Identifier) -> str:
        """The identity key of a side, in hex."""
        return identity_key(self.app, side).hex()

    def undone_by(self, as_of: int | None) -> bool:
        """Whether it had been undone then; None: whether it is."""
        return self.undone_at is not None and (as_of is None or self.undone_at <= as_of)
