"""Fixtures of the tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.harness import Server
from tests.pages.site import VIEWER, Site, make_site, visit


@pytest.fixture(scope="module")
def site(server: Server) -> Site:
    """A module's own app on the shared server, with an admin and a viewer."""
    return make_site(server)


@pytest.fixture
def admin(chromium: Browser, site: Site) -> Iterator[Page]:
    """A browser in which the admin is signed in."""
    page = visit(chromium, site)
    yield page
    page.context.close()


@pytest.fixture
def viewer(chromium: Browser, site: Site) -> Iterator[Page]:
    """A browser in which the viewer is signed in."""
    page = visit(chromium, site, VIEWER)
    yield page
    page.context.close()
