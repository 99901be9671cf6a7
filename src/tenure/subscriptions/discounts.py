"""Which discounts a subscription has from time to time, by what its facts and those of its payer list. Pure.

A list says which discounts there are, in the order in which they are taken off. Their terms are told of their id, or of
their coupon's, by any message; a list with one of which they were never told leaves the list before it. What a list
has no more ends then. An end counts with the next bill (`periods`), unless another discount takes its place or the
price changes meanwhile.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET

from tenure.subscriptions.fact import Discount, Fact, Item, Unit
from tenure.subscriptions.periods import Period, counts_from

if TYPE_CHECKING:
    from tenure.subscriptions.state import Piece, State

Untold: TypeAlias = Literal["", "part", "all"]
"""Whether terms of discounts were never told: of `part`, those known before stand; of `all`, nothing was known."""

_NEVER: Final = 2**63
_TERMS: Final = ("percent", "amount", "amounts", "once", "products")


class Told(NamedTuple):
    """What any message tells of discounts."""

    by_id: dict[str, Discount]
    by_coupon: dict[str, Discount]
    products: dict[tuple[str, str], tuple[str, ...]]
    """By the id of a discount, or of a coupon, that is for some products only."""
    gone: dict[str, int]
    """When a discount was taken off for good."""


def told(facts: Iterable[Fact]) -> Told:
    """What facts, in their order, tell of discounts; of two that tell of one the later counts."""
    found = Told({}, {}, {}, {})
    for fact in facts:
        for discount in (*(() if fact.discounts is UNSET else fact.discounts), *fact.put_on):
            if discount.has_terms:
                found.by_id[discount.id] = found.by_coupon[discount.coupon] = discount
            if discount.products is not None:
                found.products.update(dict.fromkeys(_names(discount), discount.products))
        for name in fact.taken_off:
            found.gone[name] = min(found.gone.get(name, _NEVER), fact.effective_at)
    return found


def changed(listed: Sequence[Discount] | None, put_on: Sequence[Discount], taken_off: Sequence[str]) -> Any:
    """A list with some put on, in the place of those that are taken off if there are any, else at its end."""
    found = list(listed or ())
    places = [place for place, each in enumerate(found) if each.id and each.id in taken_off]
    same = {each.id for each in put_on if each.id}
    place = min([*places, *(at for at, each in enumerate(found) if each.id in same)], default=len(found))
    kept = [(at, each) for at, each in enumerate(found) if at not in places and each.id not in same]
    before = [each for at, each in kept if at < place]
    return (*before, *put_on, *(each for at, each in kept if at >= place))


def settled(pieces: Sequence[Piece], payers: Mapping[str, Sequence[Piece]], known: Told) -> Iterator[Piece]:
    """The states of a subscription with the discounts that stand, its own and its payer's; each until when it ends."""
    own, theirs = _Standing(known), {payer: _Standing(known) for payer in payers}
    for at, state in _cut(pieces, payers):
        period = period_of(state, pieces[0][0])
        own.take(state.listed, at, state, period)
        payer = theirs.get(state.payer)
        if payer is not None:
            payer.take(_listed(payers[state.payer], at), at, state, period)
        yield (
            at,
            msgspec.structs.replace(
                state,
                discounts=tuple(own.standing),
                payer_discounts=() if payer is None else tuple(payer.standing),
                untold=own.untold or ("" if payer is None or own.is_for_all else payer.untold),
                listed=None,
                payer="",
            ),
        )


def in_force(discount: Discount, at: int, items: Sequence[Item], period: Period) -> Discount | None:
    """A discount as far as it is in force at a time: None where it is not, or for some items only."""
    if discount.starts_at is not None and at < discount.starts_at:
        return None
    if discount.ends_at is None or at < discount.ends_at:
        return discount
    places = [place for place, item in enumerate(items) if is_on(discount, place, item)]
    still = tuple(place for place in places if at < counts_from(discount.ends_at, items[place], period))
    if not still:
        return None
    return discount if len(still) == len(places) else msgspec.structs.replace(discount, only=still)


def dates(discount: Discount, items: Iterable[Item], period: Period) -> Iterator[int | None]:
    """When it may begin or end, in force for some items or for all."""
    yield discount.starts_at
    yield discount.ends_at
    if discount.ends_at is not None:
        paces = {(item.unit, item.count, item.kind == "one_off", item.period_end): item for item in items}
        yield from (counts_from(discount.ends_at, item, period) for item in paces.values())


def is_on(discount: Discount, place: int, item: Item) -> bool:
    """Whether a discount is on an item of a subscription."""
    return (
        discount.item in (None, item.id)
        and (discount.products is None or item.product in discount.products)
        and (discount.only is None or place in discount.only)
    )


def period_of(state: State, origin: int) -> Period:
    """What is paid for in a state; where no period was told, since it started or was first heard of."""
    starts = state.period_start, state.started_at, origin
    return Period(next(start for start in starts if start is not None), state.period_end)


class _Standing:
    """The discounts that stand, by lists that follow each other."""

    def __init__(self, known: Told) -> None:
        self._told = known
        self._is_said = False
        self._over: set[bytes] = set()
        self._prices: list[tuple[str | None, Unit, int]] = []
        self.standing: list[Discount] = []
        self.untold: Untold = ""

    @property
    def is_for_all(self) -> bool:
        """Whether there is one that is not on one item alone."""
        return any(each.item is None for each in self.standing)

    def take(self, listed: Sequence[Discount] | None, at: int, state: State, period: Period) -> None:
        """What stands by the list of a state that begins at a time."""
        if listed is None:
            return
        there = [each for each in listed if self._told.gone.get(each.id, _NEVER) > at]
        found = [_known(each, self._told, state.currency) for each in there]
        whole = [each for each in found if each is not None]
        if len(whole) < len(found):
            self.untold = "part" if self._is_said else "all"
            return
        self._is_said, self.untold = True, ""
        prices = [(item.plan, item.unit, item.count) for item in state.items or ()] if self.standing or whole else []
        if prices != self._prices:
            self._over |= {_key(each) for each in self.standing if each.ends_at is not None and each.ends_at <= at}
        self._prices = prices
        now = {_key(each) for each in whole}
        is_replaced = not now <= {_key(each) for each in self.standing}
        standing = [each for each in whole if each.ends_at is None or each.ends_at > at or _key(each) not in self._over]
        for place, each in enumerate(self.standing):
            if _key(each) not in now and not is_replaced and _key(each) not in self._over:
                ended = msgspec.structs.replace(each, ends_at=at if each.ends_at is None else min(each.ends_at, at))
                if in_force(ended, at, state.items or (), period) is not None:
                    standing.insert(place, ended)
        self.standing = standing


def _cut(pieces: Sequence[Piece], payers: Mapping[str, Sequence[Piece]]) -> Iterator[Piece]:
    """The states, and again where what their payer has changes meanwhile."""
    for place, (start, state) in enumerate(pieces):
        end = pieces[place + 1][0] if place + 1 < len(pieces) else None
        yield start, state
        for at, _ in payers.get(state.payer, ()):
            if start < at and (end is None or at < end):
                yield at, state


def _listed(pieces: Sequence[Piece], at: int) -> Sequence[Discount] | None:
    """What a payer has at a time. Before the first word of it that was so too, since a discount says that it began."""
    place = bisect_right(pieces, at, key=lambda piece: piece[0])
    if place:
        return pieces[place - 1][1].listed
    first, state = pieces[0]
    return [each if each.starts_at is not None else msgspec.structs.replace(each, starts_at=first)
            for each in state.listed or ()]  # fmt: skip


def _known(discount: Discount, known: Told, currency: str) -> Discount | None:
    """A discount with what was told of its terms; None where it has none, or none in this currency."""
    found = discount
    if not discount.has_terms and (discount.id or discount.coupon):
        same = known.by_id.get(discount.id) if discount.id else None
        of = same or (known.by_coupon.get(discount.coupon) if discount.coupon else None)
        if of is None:
            return None
        fields = {name: getattr(of, name) for name in _TERMS}
        if same is not None:
            fields |= {name: getattr(same, name) for name in ("starts_at", "ends_at") if getattr(found, name) is None}
        found = msgspec.structs.replace(found, **fields)
    if found.products is None and known.products:
        products = next((known.products[name] for name in _names(found) if name in known.products), None)
        found = msgspec.structs.replace(found, products=products)
    if not found.amounts:
        return found
    amount = found.amount if found.amount is not None else found.amounts.get(currency)
    if amount is None and found.percent is None:
        return None
    return msgspec.structs.replace(found, amount=amount, amounts={})


def _names(discount: Discount) -> list[tuple[str, str]]:
    return [(kind, name) for kind, name in (("id", discount.id), ("coupon", discount.coupon)) if name]


def _key(discount: Discount) -> bytes:
    """What tells it from others: its id, or where it has none, all but when it ends."""
    if discount.id:
        return discount.id.encode()
    return msgspec.json.encode(msgspec.structs.replace(discount, ends_at=None))
