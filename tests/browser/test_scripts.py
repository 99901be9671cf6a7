"""The scripts as files: how they are served, how large they are, and what a browser and a compiler make of them."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest

from tenure.web import scripts
from tests.harness import Server

NODE = Path(__file__).parent / "node"
MAX_GZIPPED = 4_096
SCRIPTS = ("/tenure.js", "/churnkey.js")
PATHS = (*SCRIPTS, "/tenure.d.ts")


@pytest.mark.parametrize("path", PATHS)
def test_served_for_any_page(path: str, server: Server) -> None:
    """A page of any origin may load it, and a cache may keep it for an hour."""
    answer = server.http.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == (
        "application/typescript; charset=utf-8" if path.endswith(".ts") else "text/javascript; charset=utf-8"
    )
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", PATHS)
def test_not_sent_again(path: str, server: Server) -> None:
    """Who has this version gets 304 without a body, and who has another gets it."""
    etag = server.http.get(path).headers["ETag"]
    for known in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        answer = server.http.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert server.http.get(path, headers={"If-None-Match": 'W/"other"'}).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_head(path: str, server: Server) -> None:
    """HEAD says what GET would, without the body; other methods are refused."""
    head, get = server.http.head(path), server.http.get(path)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", get.headers["ETag"])
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    assert server.http.post(path).status_code == 405


@pytest.mark.parametrize(
    ("accepted", "gzipped"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("*", True), ("identity", False), ("gzip;q=0", False), ("", False)],
)
def test_compressed_for_who_takes_it(accepted: str, gzipped: bool, server: Server) -> None:
    """Gzip goes to who accepts it, and both are the same text."""
    answer = server.http.get("/tenure.js", headers={"Accept-Encoding": accepted})
    assert (answer.headers.get("Content-Encoding") == "gzip") is gzipped
    assert answer.text == scripts.joined("queue.js", "tenure.js")


@pytest.mark.parametrize("path", SCRIPTS)
def test_small(path: str, server: Server) -> None:
    """Each is under 4 KiB gzipped, as it goes over the wire."""
    answer = server.http.get(path, headers={"Accept-Encoding": "gzip"})
    assert int(answer.headers["Content-Length"]) < MAX_GZIPPED
    assert len(gzip.compress(answer.content)) < MAX_GZIPPED


@pytest.mark.parametrize("path", SCRIPTS)
def test_es2017(path: str) -> None:
    """Each parses as a script of ES2017, and asks for neither eval nor a name that it does not define."""
    text = scripts.joined("queue.js", path.removeprefix("/"))
    subprocess.run(["node", "parse.mjs"], input=text, text=True, cwd=NODE, check=True, timeout=60)


@pytest.mark.parametrize("name", ["tenure", "churnkey"])
def test_types(name: str, tmp_path: Path) -> None:
    """A strict TypeScript program compiles against the types, and so do the scripts themselves."""
    command = ["node_modules/.bin/tsc", "--noEmit", "--strict", "--allowJs", "--checkJs", "--target", "es2017",
               "--lib", "es2017,dom", "--types", ""]  # fmt: skip
    with scripts.resources.as_file(scripts.SOURCES) as sources:
        files = [str(sources / file) for file in ("tenure.d.ts", "queue.js", f"{name}.js")]
        subprocess.run([*command, *files, f"{name}.ts"], cwd=NODE, check=True, timeout=120)
