"""Webhook secrets of Stripe. One that was handed over is never shown again: its first characters are."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Form, Request, Response

from tenure.errors import TenureError
from tenure.pages.of_app import AppAdmin, AppPage, OfApp
from tenure.pages.rendering import form_status, page
from tenure.pages.settings.form import said, saved
from tenure.pages.start import base_url


def add_stripe(site: FastAPI) -> None:
    """Put the page into the site."""

    @site.get("/apps/{app}/settings/stripe")
    def show(request: Request, here: AppPage) -> Response:
        return _page(request, here)

    @site.post("/apps/{app}/settings/stripe")
    def add(request: Request, here: AppAdmin, secret: Annotated[str, Form()] = "") -> Response:
        try:
            here.store.stripe_secrets.add(here.app.id, secret.strip())
        except TenureError as error:
            return _page(request, here, form_status(error), typed=secret, problem=said(error))
        return saved(f"{here.path}/settings/stripe")

    @site.post("/apps/{app}/settings/stripe/{secret_id}/revoke")
    def revoke(here: AppAdmin, secret_id: str) -> Response:
        here.store.stripe_secrets.revoke(here.app.id, secret_id)
        return saved(f"{here.path}/settings/stripe")


def _page(request: Request, here: OfApp, status: int = 200, **typed: Any) -> Response:
    context: dict[str, Any] = {
        "rows": here.store.stripe_secrets.rows(here.app.id), "typed": "", "problem": None,
        "webhook": f"{base_url(request)}/v1/billing/stripe/{here.app.id}",
    }  # fmt: skip
    return page(request, "settings/stripe.html", status=status, **context | typed)
