"""A page of one app: who looks at it, and the warehouse as that app sees it."""

from __future__ import annotations

from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import Depends, Request

from tenure.control.store import App, Store
from tenure.errors import NotFound
from tenure.mode import MODES
from tenure.pages.session import Admin, SignedIn, Visitor
from tenure.warehouse.client import Tenant, Warehouse


class OfApp(NamedTuple):
    """What a page of an app is made from."""

    app: App
    tenant: Tenant
    store: Store
    visitor: Visitor
    modes: list[App]
    """The apps that keep the data of this one: the live one, and those of the other modes that there is data of."""

    @property
    def zone(self) -> ZoneInfo:
        """The viewer's time zone."""
        return self.visitor.zone

    @property
    def path(self) -> str:
        """Where the pages of this app begin."""
        return f"/apps/{self.app.id}"


def of_app(request: Request, app: str, visitor: SignedIn) -> OfApp:
    """The app of the path. Raises NotFound."""
    store: Store = request.app.state.store
    warehouse: Warehouse = request.app.state.warehouse
    every = {one.id: one for one in store.all_apps()}
    if app in every and request.url.path.startswith((f"/apps/{app}/settings/", f"/apps/{app}/start")):
        app = every[app].of  # whose settings and keys are those of each mode
    if (found := every.get(app)) is None:
        raise NotFound("there is no app with this id; choose one from the list", code="unknown_app")
    modes = [one for mode in MODES for one in every.values() if one.of == found.of and one.mode == mode]
    made = OfApp(found, warehouse.tenant(found.id, store.erasures.hidden(found.id)), store, visitor, modes)
    request.state.of_app = made
    return made


def of_app_to_change(request: Request, app: str, visitor: Admin) -> OfApp:
    """The same for an admin. Raises NotFound and Forbidden."""
    return of_app(request, app, visitor)


AppPage = Annotated[OfApp, Depends(of_app)]
AppAdmin = Annotated[OfApp, Depends(of_app_to_change)]
