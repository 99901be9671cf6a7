"""One fact about identity: two identifiers belong to one customer, says somebody, at a time."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

from tenure.identity import CHURN_EVENT_ID, KINDS, Identifier, identity_key

CARRIED: Final = "carried together"
"""One event or identify carried both identifiers."""
PROMOTION: Final = "promotion"
"""A visitor became known: an anonymous id was claimed for a user."""
SAME_ID: Final = "same id"
"""A customer id has the form of a billing provider's: it is the billing id of the same customer."""
SAME_ADDRESS: Final = "same address"
"""Two forms of one e-mail address that older releases took for two addresses."""
BY_HAND: Final = "by hand"
MERGE: Final = "merge"

# Facts about one identifier, which join nothing: both sides are the same, but for `GONE`.
SUBSCRIBED: Final = "subscribed"
"""A subscription of a billing id began, and `ENDED`: ended. The note says when (ms), and which."""
ENDED: Final = "ended"
LARGE: Final = "large"
"""A person says that it may join any number of ids."""
GONE: Final = "gone"
"""It joined an id that was erased; of which the other side is the hash."""

ERASED: Final = "erased"
"""The kind of the other side of `GONE`."""

_JOINING: Final = frozenset({CARRIED, PROMOTION, SAME_ID, SAME_ADDRESS, BY_HAND, MERGE})
_NOT_BY_CLIENTS: Final = frozenset({BY_HAND, MERGE, LARGE, SAME_ADDRESS})
_STRENGTH: Final = {kind: strength for strength, kind in enumerate((*KINDS, CHURN_EVENT_ID))}

API: Final = "api"
"""The source of what is said by hand."""


class Link(NamedTuple):
    """A fact. Of one that is said again the earliest saying counts, in whatever order they are seen.

    `one` is the stronger side of an automatic link. Times are microseconds since 1970 UTC, by the hybrid
    clock, since their order decides.
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
        """Said by what clients sent, not by a person, and not true in itself."""
        return self.how not in _NOT_BY_CLIENTS

    @property
    def joins(self) -> bool:
        """Whether it says that two identifiers are one customer."""
        return self.how in _JOINING

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
        if not self.joins:
            said += f"/{self.note or ''}"
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


def strength(identifier: Identifier) -> tuple[int, str]:
    """Sorts identifiers: the strongest kind first, then by value. The first of a customer is its canonical one."""
    return _STRENGTH[identifier.kind], identifier.value
