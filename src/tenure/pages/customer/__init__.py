"""The page of one customer: a module for each of its parts, which are loaded after it, and are pages too."""

from __future__ import annotations

from fastapi import FastAPI

from tenure.pages.customer import activity, attributes, erasing, identity, subscriptions, timeline, users, whole


def add_customer(site: FastAPI) -> None:
    """Put the pages into the site; after others under a path of customers, since an identifier may hold anything."""
    for part in (timeline, activity, subscriptions, users, attributes, identity, erasing, whole):
        part.add(site)
