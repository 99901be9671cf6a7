"""Whatever stands for a parameter in a path, of the API and of the pages: it is answered, and nothing fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import Server
from tests.pages.site import ADMIN, Site, make_site

ODD = [
    "%2F",
    "a%2Fb",
    "%2f%2F",
    "..%2F..%2Fetc",
    "%00",
    "a%00b",
    "%FF",
    "%ED%A0%80",
    "%0A",
    "%",
    "%25",
    "x" * 5_000,
    "%F0%9F%92%A9",
]
PARAMETER = re.compile(r"\{[^}]*\}")
STATIC = [
    "/static/{file}",
    "/static/swagger/{file}",
    "/assets/{file}",
    "/{nothing}",
    "/apps/x/{nothing}",
    "/v1/{nothing}",
]


def of_pages() -> list[tuple[str, str]]:
    source = Path(__file__).parents[1] / "src" / "tenure" / "pages"
    text = "\n".join(path.read_text() for path in source.rglob("*.py"))
    found = re.findall(r"@site\.(get|post)\(\s*f?\"([^\"]*\{(?!PREFIX)[^\"]*)\"", text)
    assert len(found) > 40
    return sorted({(method, path) for method, path in found if path.startswith("/")})


@pytest.fixture(scope="module")
def site(server: Server) -> Site:
    return make_site(server)


def test_no_parameter_of_a_path_of_the_api_fails(server: Server, site: Site) -> None:
    """With a key that may do all of it."""
    described = server.http.get("/openapi.json").json()["paths"]
    asked = [(method, path) for path, methods in described.items() for method in methods if "{" in path]
    assert len(asked) > 20
    for method, path in asked:
        key = site.keys["read_key" if method == "get" else "secret_key"]
        for odd in ODD:
            where = PARAMETER.sub(lambda _, odd=odd: odd, path)
            answer = server.http.request(method.upper(), server.url + where, headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code < 500, (method, where, answer.text)


def test_no_parameter_of_a_path_of_a_page_fails(server: Server, site: Site) -> None:
    """Of somebody who is signed in, and of somebody who is not."""
    people = site.store.people
    token = people.open_session(people.find(ADMIN), "test")
    for cookie in (f"tenure_session={token}", ""):
        for method, path in [*of_pages(), *(("get", path) for path in STATIC)]:
            for odd in ODD:
                inner = path.replace("{app}", site.keys["app"])
                where = PARAMETER.sub(lambda _, odd=odd: odd, inner if "{" in inner else path)
                answer = server.http.request(method.upper(), server.url + where,
                                             headers={"Sec-Fetch-Site": "same-origin", "Cookie": cookie})  # fmt: skip
                assert answer.status_code < 500, (method, where, answer.text)
