"""Origins are written one way; limits have defaults for every dialect."""

from __future__ import annotations

import pytest

from tenure.control.policy import DIALECTS, Policy, origin
from tenure.errors import TenureError
from tenure.wire import registry


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("https://example.com", "https://example.com"),
        ("HTTPS://App.Example.COM:443", "https://app.example.com"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("http://localhost:03000", "http://localhost:3000"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
    ],
)
def test_origin_is_written_as_browsers_write_it(given: str, written: str) -> None:
    """Lower case, no default port."""
    assert origin(given) == written


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "*", "example.com", "https://", "https://example.com/", "https://example.com/path", "https://a b",
        "https://example.com?x", "https://u:p@example.com", "https://example.com:", "https://example.com:0",
        "https://example.com:65536", "https://*.example.com", "https://bücher.example", "https://example.com\n",
        "://example.com", "https://a.example https://b.example",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text: str) -> None:
    """Anything that a browser would never send as its origin."""
    with pytest.raises(TenureError, match="is no origin"):
        origin(text)


def test_every_dialect_has_a_default_limit() -> None:
    """Each dialect that the server speaks is one that can be limited; only Customerscore's is from the start."""
    spoken = {registry.find(path, {}).dialect for path in registry.ALL_PATHS}
    assert spoken <= set(DIALECTS)
    assert {dialect: Policy().limit(dialect) for dialect in DIALECTS if Policy().limit(dialect)} == {
        "customerscore": 200
    }
