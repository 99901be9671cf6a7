"""The audit log: who changed what, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Query, Request, Response

from tenure.control.store import Store
from tenure.pages.rendering import NOTHING, fragment, page
from tenure.pages.session import SignedIn

PATH = "/settings/audit"
ROWS = 50

ACTIONS = {
    "Apps": {
        "app.create": "made an app",
        "app.rename": "renamed an app",
        "app.origins": "set the allowed origins",
        "app.limit": "set a rate limit",
        "app.retries": "set the retry window",
        "mrr.rules": "set the rules of MRR",
        "health.settings": "changed the health settings",
        "view.save": "saved a view",
        "view.delete": "deleted a view",
        "repair.add": "repaired the quarantine",
        "repair.forget": "forgot a repair rule",
    },
    "Keys": {
        "key.create": "made a key",
        "key.import": "imported a key",
        "key.rotate": "rotated a key",
        "key.trust": "trusted a publishable key",
        "key.distrust": "trusted a publishable key no more",
        "key.revoke": "revoked a key",
        "stripe_secret.add": "added a Stripe secret",
        "stripe_secret.revoke": "revoked a Stripe secret",
    },
    "Customers": {
        "link.add": "joined customers",
        "link.undo": "split customers",
        "event.reinstate": "stored what was taken for a retry",
        "erasure.request": "asked for an erasure",
        "erasure.done": "finished an erasure",
    },
    "People": {
        "person.create": "added a person",
        "person.password": "set a password",
        "person.role": "changed a role",
        "person.disable": "disabled a person",
        "person.enable": "enabled a person",
        "person.link": "made a sign-in link",
        "session.open": "signed in",
        "session.end": "ended a session",
    },
    "Installation": {"incident.accept": "accepted an incident"},
}
"""What each action is in words, as they are chosen from."""

WORDS = {action: words for group in ACTIONS.values() for action, words in group.items()}


def add_audit(site: FastAPI) -> None:
    """Put the page into the site."""
    store: Store = site.state.store

    @site.get(PATH)
    def audit(
        request: Request,
        visitor: SignedIn,
        *,
        app: str = "",
        actor: str = "",
        action: Annotated[str, Query(max_length=64)] = "",
        cursor: str = "",
    ) -> Response:
        chosen = {"app": app, "actor": actor, "action": action}
        found = store.audit.entries(app or None, actor=actor or None, action=action or None, cursor=cursor or None,
                                    limit=ROWS)  # fmt: skip
        rows = [(entry, list(told(entry.details))) for entry in found.items]
        apps = store.all_apps()
        shown: dict[str, Any] = {
            "rows": rows,
            "apps": apps,
            "names": {one.id: one.name for one in apps},
            "actions": ACTIONS,
            "words": WORDS,
            "chosen": chosen,
            "more": f"{PATH}?{_query(chosen | {'cursor': found.next})}" if found.next else None,
            "by_actor": lambda name: f"{PATH}?{_query(chosen | {'actor': name})}",
        }
        if request.headers.get("HX-Request"):
            return fragment(request, "audit/_rows.html", **shown)
        return page(request, "audit.html", **shown)


def told(details: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, str]]:
    """The details as names with texts."""
    for name, value in details.items():
        if isinstance(value, Mapping) and value.keys() == {"was", "now"}:
            yield f"{of}{name}", f"{_text(value['was'])} → {_text(value['now'])}"
        elif isinstance(value, Mapping):
            yield from told(value, f"{of}{name} ")
        else:
            yield f"{of}{name}", _text(value)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NOTHING
    return NOTHING if value is None else str(value)


def _query(values: Mapping[str, str | None]) -> str:
    return urlencode({name: value for name, value in values.items() if value})
