"""What is known of a subscription's items where a statement leaves something of them out. Pure.

What is not said stays as it is known of the same item: the one of its id, else the one of its plan, else, where there
is one before and one now, that. So a webhook that carries no tiers takes no price away, and an amount that comes
without a plan moves nothing to another plan. What nobody ever said is not known: no amount, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tenure.subscriptions.fact import Item

_OF_A_PRICE = ("amount", "unit", "count", "kind")


def filled(said: Sequence[Item], before: Sequence[Item]) -> tuple[Item, ...]:
    """Items as they were said, with what was known of them before where they say nothing."""
    if not before or all(item.plan is not None and _is_whole(item) for item in said):
        return tuple(said)
    return tuple(_filled(item, other) for item, other in _pairs(said, before))


def priced(items: Sequence[Item], later: Sequence[Item]) -> tuple[Item, ...]:
    """Items with what was told of their prices later, where they are of the same plan and quantity."""
    if not later or all(map(_is_whole, items)):
        return tuple(items)
    return tuple(
        _filled(item, other) if other is not None and _is_same(item, other) else item
        for item, other in _pairs(items, later)
    )


def used(items: Sequence[Item], usage: Sequence[Item]) -> tuple[Item, ...]:
    """Items with what the metered ones among them came to."""
    found = []
    for item in items:
        bills = [bill for bill in usage if item.kind == "metered" and (_has_its_id(item, bill) or _is_of(item, bill))]
        amount = sum(bill.amount or 0 for bill in bills)
        found.append(msgspec.structs.replace(item, amount=amount) if bills else item)
    return tuple(found)


def _is_of(item: Item, bill: Item) -> bool:
    return not bill.id and bool(bill.plan) and item.plan == bill.plan


def are_unknown(items: Iterable[Item] | None, kinds: frozenset[str]) -> bool:
    """Whether what items of these kinds cost, or how much of it is a tax, is not known."""
    return items is None or any(
        (item.amount is None or (item.taxed and item.tax is None)) and item.kind in kinds for item in items
    )


def _is_whole(item: Item) -> bool:
    return item.amount is not None and item.tax is not None and item.product is not None


def _is_same(item: Item, other: Item) -> bool:
    return (item.plan, item.quantity, item.kind) == (other.plan, other.quantity, other.kind)


def _filled(item: Item, known: Item | None) -> Item:
    if known is None:
        return item
    found = {}
    if item.amount is None and known.amount is not None and (item.kind != "metered" or known.kind == "metered"):
        found = {name: getattr(known, name) for name in _OF_A_PRICE}
    if item.plan is None and known.plan is not None:
        found["plan"] = known.plan
    if item.product is None and item.plan in (None, known.plan):
        found["product"] = known.product
    if item.tax is None and not (item.taxed and not known.tax):
        found |= {"tax": known.tax, "taxed": item.taxed or known.taxed}
    return msgspec.structs.replace(item, **found) if found else item


def _pairs(said: Sequence[Item], before: Sequence[Item]) -> Iterator[tuple[Item, Item | None]]:
    """Each item with the one that it was, if there is one; none twice."""
    left = list(before)
    found: dict[int, Item] = {}
    for same in (_has_its_id, _has_its_plan):
        for place, item in enumerate(said):
            if place not in found:
                other = next((other for other in left if same(item, other)), None)
                if other is not None:
                    found[place] = other
                    left = [each for each in left if each is not other]
    alone = len(said) == len(before) == 1
    for place, item in enumerate(said):
        yield item, found.get(place) or (before[0] if alone else None)


def _has_its_id(item: Item, other: Item) -> bool:
    return item.id != "" and item.id == other.id


def _has_its_plan(item: Item, other: Item) -> bool:
    return bool(item.plan) and item.plan == other.plan and "" in (item.id, other.id)
