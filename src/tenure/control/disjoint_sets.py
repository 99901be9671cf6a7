"""Disjoint sets (union-find): which things are joined, whatever the order in which the joins are told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class DisjointSets(Generic[Item]):
    """Items in sets; an item that nothing was said of is a set of its own."""

    def __init__(self) -> None:
        self._parent: dict[Item, Item] = {}

    def __iter__(self) -> Iterator[Item]:
        """All items that were named, in that order."""
        return iter(list(self._parent))

    def root(self, item: Item) -> Item:
        """The item that stands for the set of this one, until the next `join`."""
        parent = self._parent.setdefault(item, item)
        while parent != item:
            grandparent = self._parent[parent]
            self._parent[item] = grandparent
            item, parent = parent, grandparent
        return item

    def join(self, one: Item, other: Item) -> None:
        """Make one set of the sets of both."""
        self._parent[self.root(one)] = self.root(other)

    def sets(self) -> list[list[Item]]:
        """All sets of the items that were named."""
        found: defaultdict[Item, list[Item]] = defaultdict(list)
        for item in self:
            found[self.root(item)].append(item)
        return list(found.values())
