"""What those who use Tenure wrote down themselves and may name a customer in: saved views and repair rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy import Connection, select

from tenure import mail_address
from tenure.control import audit
from tenure.control.tables import repair, saved_view
from tenure.identity import Identifier, fold
from tenure.placeholder import is_placeholder
from tenure.repair.steps import Step

SHORTEST: Final = 4
"""Characters of an identifier that is looked for within a text; a shorter one has to be the text."""
SPOKEN: Final = frozenset({"q", "attribute"})
"""What in a view's query can hold an identifier; the other parameters are numbers, times, and names of events and
plans."""


def forget_mentions(db: Connection, app_id: str, erasure_id: str, identifiers: Iterable[Identifier]) -> dict[str, int]:
    """Delete what of an app names one of these identifiers; returns how much by table. To be called in a transaction.

    A view that asks for who is erased shows nobody, and a rule that writes their identifier makes events that are
    erased on arrival: so neither is of use any more.
    """
    mentions = mentioning(one.value for one in identifiers if not is_placeholder(one.kind, one.value))
    views = [
        row.id
        for row in db.execute(select(saved_view).where(saved_view.c.app_id == app_id))
        if mentions(row.name) or any(mentions(value) for key, value in parse_qsl(row.query) if key in SPOKEN)
    ]
    rules = [
        row.id
        for row in db.execute(select(repair).where(repair.c.app_id == app_id))
        if any(mentions(step.value) for step in msgspec.json.decode(row.steps, type=list[Step]))
    ]
    for table, found, action in ((saved_view, views, "view.delete"), (repair, rules, "repair.forget")):
        for subject in found:
            db.execute(table.delete().where(table.c.id == subject))
            audit.record(db, action, app_id, subject, erasure=erasure_id)
    return {table: len(found) for table, found in (("saved_view", views), ("repair", rules)) if found}


def mentioning(values: Iterable[str]) -> Callable[[str], bool]:
    """Tells whether a text names one of these values: in whatever case, and not as a part of a longer identifier."""
    folded = {fold(value) for value in values}
    within = "|".join(re.escape(value) for value in sorted(folded) if len(value) >= SHORTEST)
    word = re.compile(rf"(?<![\w@+.-])(?:{within})(?![\w@+-]|\.\w)") if within else None

    def mentions(text: str) -> bool:
        forms = {fold(text), fold(mail_address.simplified(text))}
        return not forms.isdisjoint(folded) or (word is not None and any(map(word.search, forms)))

    return mentions
