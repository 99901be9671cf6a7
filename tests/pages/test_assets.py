"""Files that pages load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenure.pages.rendering import STATIC

PACKAGES = Path(__file__).parent.parent / "browser" / "node" / "node_modules"


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("htmx.min.js", "htmx.org/dist/htmx.min.js"),
        ("htmx.LICENSE", "htmx.org/LICENSE"),
        ("uPlot.iife.min.js", "uplot/dist/uPlot.iife.min.js"),
        ("uPlot.min.css", "uplot/dist/uPlot.min.css"),
        ("uPlot.LICENSE", "uplot/LICENSE"),
    ],
)
def test_vendored_files_are_the_published_ones(name: str, origin: str) -> None:
    """Each vendored file is, byte for byte, the one of the pinned package."""
    assert STATIC.joinpath("vendor", name).read_bytes() == (PACKAGES / origin).read_bytes()
