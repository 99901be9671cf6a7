"""The pages on which an app is set up. Each says what `tenure app` and `tenure key` say, by the same functions."""

from __future__ import annotations

from fastapi import FastAPI

from tenure.pages.settings.apps import add_apps
from tenure.pages.settings.health import add_health
from tenure.pages.settings.keys import add_keys
from tenure.pages.settings.limits import add_limits
from tenure.pages.settings.mrr import add_mrr
from tenure.pages.settings.origins import add_origins
from tenure.pages.settings.retries import add_retries
from tenure.pages.settings.stripe import add_stripe


def add_settings(site: FastAPI) -> None:
    """Put the pages into the site."""
    for add in (add_apps, add_keys, add_origins, add_limits, add_retries, add_mrr, add_health, add_stripe):
        add(site)
