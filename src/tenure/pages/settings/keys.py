"""The keys of an app: made, taken over, rotated, revoked, and when each was last used."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Form, Request, Response

from tenure.control import keys
from tenure.control.store import KeyRow
from tenure.errors import NotFound, TenureError
from tenure.pages.of_app import AppAdmin, AppPage, OfApp
from tenure.pages.rendering import form_status, page
from tenure.pages.settings.form import said

KINDS = {
    keys.SECRET: "for servers: may send anything",
    keys.PUBLISHABLE: "for browsers and apps: may send, unverified",
    keys.TRACKER: "names the app in what Customerscore's client sends",
    keys.READ: "reads through the API, never sends",
    keys.APP_ID: "a vendor's id of the app, such as Churnkey's x-ck-app",
}


def add_keys(site: FastAPI) -> None:
    """Put the page into the site."""

    @site.get("/apps/{app}/settings/keys")
    def show(request: Request, here: AppPage) -> Response:
        return _page(request, here)

    @site.post("/apps/{app}/settings/keys")
    def create(request: Request, here: AppAdmin, kind: Annotated[str, Form()] = "") -> Response:
        if kind not in keys.KINDS:
            return _page(request, here, 422, problem="Choose the kind of key.")
        return _page(request, here, fresh=_fresh(kind, here.store.create_key(here.app.id, kind)))

    @site.post("/apps/{app}/settings/keys/import")
    def take_over(
        request: Request, here: AppAdmin, kind: Annotated[str, Form()] = "", key: Annotated[str, Form()] = ""
    ) -> Response:
        try:
            if kind not in keys.IMPORTED:
                raise TenureError("choose the kind of key")
            keys.check_imported(kind, key.strip())
            here.store.import_key(here.app.id, kind, key.strip())
        except TenureError as error:
            return _page(
                request, here, form_status(error), import_kind=kind, import_key=key, import_problem=said(error)
            )
        return _page(request, here, done=f"The {kind} key {keys.shown_prefix(key.strip())}… is taken over.")

    @site.post("/apps/{app}/settings/keys/{key_id}/rotate")
    def rotate(request: Request, here: AppAdmin, key_id: str, revoke_old: Annotated[bool, Form()] = False) -> Response:
        old = _live(here, key_id)
        made = here.store.rotate_key(old.id)
        if revoke_old:
            here.store.revoke_key(old.id)
        return _page(request, here, fresh=_fresh(old.kind, made.key), old=old, old_revoked=revoke_old)

    @site.post("/apps/{app}/settings/keys/{key_id}/revoke")
    def revoke(request: Request, here: AppAdmin, key_id: str) -> Response:
        key = _live(here, key_id)
        here.store.revoke_key(key.id)
        return _page(request, here, done=f"The {key.kind} key {key.prefix}… is revoked.")

    @site.post("/apps/{app}/settings/keys/{key_id}/trust")
    def trust(request: Request, here: AppAdmin, key_id: str, trusted: Annotated[bool, Form()] = False) -> Response:
        key = _live(here, key_id)
        try:
            here.store.trust_key(key.id, trusted=trusted)
        except TenureError as error:
            return _page(request, here, form_status(error), problem=said(error))
        now = "trusted: what it sends from now on is verified" if trusted else "trusted no more"
        return _page(request, here, done=f"The key {key.prefix}… is {now}.")


def _live(here: OfApp, key_id: str) -> KeyRow:
    """A key of this app, and of no other. Raises NotFound."""
    for key in here.store.list_keys(here.app.id):
        if key.id == key_id and key.revoked_at is None:
            return key
    raise NotFound("this app has no live key with that id: it may have been revoked meanwhile", code="unknown_key")


def _fresh(kind: str, key: str) -> dict[str, str]:
    return {f"{kind}_key": key}


def _page(request: Request, here: OfApp, status: int = 200, **shown: Any) -> Response:
    rows = here.store.list_keys(here.app.id)
    context: dict[str, Any] = {
        "live": [key for key in rows if key.revoked_at is None],
        "revoked": [key for key in rows if key.revoked_at is not None],
        "kinds": KINDS, "generated": keys.KINDS, "imported": keys.IMPORTED,
        "fresh": None, "old": None, "old_revoked": False, "done": None, "problem": None,
        "risk": keys.TRUST_RISK, "chosen": keys.SECRET,
        "import_kind": keys.SECRET, "import_key": "", "import_problem": None,
    }  # fmt: skip
    context["keys"] = shown.get("fresh") or {}
    return page(request, "settings/keys.html", status=status, **context | shown)
