"""Advice on the names of an app's events, and names that are spellings of one another. It never refuses anything.

Everything here is told by the spelling alone, without a dictionary: where that is not enough, nothing is said.
`docs/naming.md` explains each code to those who name events.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tenure import spelling
from tenure.customers import generated
from tenure.wire.fields import NAME_LIMIT

NEAR_DUPLICATE = "near_duplicate"
NEAR_RECOGNISED = "near_recognised"
NOT_SNAKE_CASE = "not_snake_case"
NOT_CAPITALISED = "not_capitalised"
NOT_OBJECT_ACTION = "not_object_action"
LOOKS_GENERATED = "looks_generated"
SURROUNDING_WHITESPACE = "surrounding_whitespace"
CONTROL_CHARACTERS = "control_characters"

SENTENCES = {
    NEAR_DUPLICATE: "Another name differs from this one only in case, word separators or Unicode form, "
    "and is counted apart. Send both under one name.",
    NEAR_RECOGNISED: "This is nearly a name that the vendor recognises, but spelt in another way it counts as a custom "
    "one. Send it as the vendor spells it.",
    NOT_SNAKE_CASE: "In this dialect names are in snake_case.",
    NOT_CAPITALISED: "In this dialect names are capitalised words with spaces between.",
    NOT_OBJECT_ACTION: "The action comes before its object. Put the object first, so that related names sort together.",
    LOOKS_GENERATED: "There seems to be a value in the name (an id, number, date or address), "
    "which makes a new name for each. Put it into a property.",
    SURROUNDING_WHITESPACE: "There is whitespace before or after the name, which makes it another name.",
    CONTROL_CHARACTERS: "There are control or invisible characters in the name, which make it another name.",
}
"""What each code says. No sentence holds a name: names are anybody's text."""

RECOGNISED = {
    "windback": frozenset({
        "login", "feature_used", "subscription_renewed", "subscription_upgraded", "subscription_downgraded",
        "support_ticket_opened", "support_ticket_resolved", "invoice_paid", "invoice_overdue", "nps_response",
        "trial_started", "trial_ended", "refund_requested",
    }),
    "whisperr": frozenset({
        "trial_started", "trial_converted", "trial_auto_renew_disabled", "membership_started", "renewal_succeeded",
        "auto_renew_disabled", "auto_renew_enabled", "membership_ended", "billing_issue_started", "billing_recovered",
        "refund_granted", "page_viewed", "screen_viewed", "app_installed", "app_updated", "app_opened",
        "app_backgrounded", "push_opened", "push_permission_changed",
    }),
}  # fmt: skip
"""Names to which a vendor gives a meaning, by dialect. They win in any group and need no advice."""

_CANONICAL = {spelling.key(name): name for names in RECOGNISED.values() for name in names}

# What is done to an object and seldom describes one: "saved", "shared" or "failed" would.
ACTIONS = (
    "added", "cancelled", "canceled", "clicked", "completed", "created", "deleted", "downgraded", "downloaded",
    "edited", "exported", "finished", "imported", "installed", "invited", "joined", "opened", "purchased", "received",
    "removed", "renamed", "searched", "sent", "started", "submitted", "updated", "upgraded", "uploaded",
    "viewed", "visited",
)  # fmt: skip
# With one of these after the action, either the order is right already or there is more to it than turning it round.
_NOT_AN_OBJECT = frozenset({
    "a", "an", "the", "my", "new", "in", "on", "at", "to", "of", "off", "out", "up", "down", "by", "for", "from",
    "with", "into", "and", "or", "via", "back", "sent", "paid", "made", "done", "read", "seen", "shown", "hidden",
    "set", "run", "won", "lost", "left", "met", "put", "built", "bought", "sold", "taken", "given",
})  # fmt: skip


class Advice(msgspec.Struct, frozen=True):
    """One thing about a name. `suggestion` is the name to use, the same in every advice on it; null when there is no
    telling."""

    code: str
    message: str
    suggestion: str | None


class NameCount(msgspec.Struct, frozen=True):
    """A name, and how many events it has."""

    name: str
    count: int


class Similar(msgspec.Struct, frozen=True):
    """Names that differ only in spelling, the most frequent first, and the one to keep."""

    suggestion: str
    names: list[NameCount]


class Review(NamedTuple):
    """`advice` by name, of those that there is any on; `similar` has the group with the most events first."""

    advice: dict[str, list[Advice]]
    similar: list[Similar]


ByDialect = Mapping[str, int]
"""How many events a name has, by the dialect that they came in."""


def review(names: Mapping[str, ByDialect]) -> Review:
    """What there is to say about these names. Takes time linear in their number and length."""
    catalogue = _Catalogue(names)
    advice = {name: catalogue.advise(name) for name in names}
    return Review({name: given for name, given in advice.items() if given}, catalogue.similar())


class _Catalogue:
    """All names: what is best for one depends on which others there are."""

    def __init__(self, names: Mapping[str, ByDialect]) -> None:
        self.names = names
        self.without_values = generated.find(names)
        self.keys = {name: spelling.key(name) for name in names if name not in self.without_values}
        self.groups: dict[str, list[str]] = defaultdict(list)
        for name, key in self.keys.items():
            if key:
                self.groups[key].append(name)
        self.kept = {key: self._keep(key) for key, group in self.groups.items() if len(group) > 1}

    def similar(self) -> list[Similar]:
        found = [
            Similar(suggestion, [NameCount(name, self._count(name)) for name in self._often_first(key)])
            for key, suggestion in self.kept.items()
        ]
        return sorted(found, key=lambda group: (-sum(name.count for name in group.names), group.suggestion))

    def advise(self, name: str) -> list[Advice]:
        codes = [SURROUNDING_WHITESPACE] if name != name.strip() else []
        if spelling.has_controls(name):
            codes.append(CONTROL_CHARACTERS)
        if name in self.without_values:
            codes.append(LOOKS_GENERATED)
            best = self._rest(name)
        else:
            best = self._improve(name, _home(self.names[name]), codes)
        suggestion = best if best and best != name else None
        return [Advice(code, SENTENCES[code], suggestion) for code in codes]

    def _keep(self, key: str) -> str:
        """The name under which a group should go on."""
        if key in _CANONICAL:
            return _CANONICAL[key]
        often = self._often_first(key)
        by_dialect: Counter[str] = Counter()
        for name in often:
            by_dialect.update(self.names[name])
        home = _home(by_dialect)
        fitting = [name for name in often if _form(name, home) == name]
        return fitting[0] if fitting else _form(often[0], home) or often[0]

    def _improve(self, name: str, home: str, codes: list[str]) -> str:
        """The name to use instead, or the same; adds the codes that say why."""
        key = self.keys[name]
        canonical = _CANONICAL.get(key, "")
        shown = spelling.without_controls(name)
        form = _form(shown, home)
        off_form = "" if name == canonical else _off_form(shown, form, home)
        if self.kept.get(key, name) != name:
            codes.append(NEAR_DUPLICATE)
            best = self.kept[key]
        elif canonical != name and canonical in RECOGNISED.get(home, ()):
            codes.append(NEAR_RECOGNISED)
            best = canonical
        elif turned := _object_first(shown):
            codes.append(NOT_OBJECT_ACTION)
            best = self._existing(_form(turned, home))
        elif key in self.kept:
            best = name
        else:
            best = form if off_form else shown
        if off_form and (best == form or not _off_form(best, _form(best, home), home)):
            codes.append(off_form)
        return best

    def _rest(self, name: str) -> str:
        """The name without its values, when there are words enough left to tell what happened."""
        rest = self.without_values[name]
        return self._existing(_form(rest, _home(self.names[name]))) if len(spelling.words(rest)) > 1 else ""

    def _existing(self, name: str) -> str:
        """The spelling under which the name is there already, lest our advice adds another."""
        key = spelling.key(name)
        return self.kept.get(key) or self.groups.get(key, [name])[0]

    def _often_first(self, key: str) -> list[str]:
        return sorted(self.groups[key], key=lambda name: (-self._count(name), name))

    def _count(self, name: str) -> int:
        return sum(self.names[name].values())


def _home(by_dialect: ByDialect) -> str:
    """The dialect that most of the events came in."""
    return min(by_dialect, key=lambda dialect: (-by_dialect[dialect], dialect))


def _form(name: str, home: str) -> str:
    """The name in its dialect's convention, snake_case where there is none; empty when that cannot be."""
    form = spelling.capitalised(name) if home == "churnkey" else spelling.snake_case(name)
    return form if len(form) <= NAME_LIMIT else ""


def _off_form(name: str, form: str, home: str) -> str:
    """The code that says how a name differs from its dialect's convention; empty when it follows it, or there is none.

    Where people differ over capitals (`Added to Cart`, `iPhone Linked`) nothing is told.
    """
    if form in ("", name):
        return ""
    if home == "windback":
        return NOT_SNAKE_CASE
    if home != "churnkey":
        return ""
    first, *others = name.split()
    glued = not others and len(spelling.words(name)) > 1
    return NOT_CAPITALISED if "_" in name or first.islower() or glued else ""


def _object_first(name: str) -> str:
    """The name turned round, when it is an action and then its object in one or two words; empty otherwise."""
    if not name.lower().startswith(ACTIONS):
        return ""
    action, *rest = spelling.words(name)
    if action.lower() not in ACTIONS or not 1 <= len(rest) <= 2:
        return ""
    if any(word in _NOT_AN_OBJECT or word.endswith("ed") for word in map(str.lower, rest)):
        return ""
    return " ".join([*rest, action])
