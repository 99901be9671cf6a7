"""The examples of `docs/attributes.md` work as they stand, one after another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.harness import Server

PAGE = Path(__file__).parent.parent / "docs" / "attributes.md"


def masked(value: Any) -> Any:
    """The value, with `…` for what differs from time to time."""
    if isinstance(value, dict):
        return {name: "…" if name in ("received_at", "receipt") else masked(part) for name, part in value.items()}
    return [masked(part) for part in value] if isinstance(value, list) else value


def test_every_example_works(server: Server, keys: dict[str, str]) -> None:
    """What the page sends is taken, and what it says of an answer is all of the answer."""
    examples = re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) >= 3
    for method, path, body in examples:
        if method == "POST":
            headers = {"X-API-Key": keys["secret_key"], "Content-Type": "application/json"}
            answer = server.http.post(path, content=body, headers=headers)
            assert {result["status"] for result in answer.json()["results"]} == {"stored_pending"}
            server.wait_loaded()
        else:
            asked = urlsplit(path)
            assert masked(server.read(asked.path, keys, **dict(parse_qsl(asked.query)))) == json.loads(body), path
    headers = {"Authorization": f"Bearer {keys['read_key']}"}
    (asked_before,) = re.findall(r"`(\S+as_of=\S+)` answers 404, `unknown_customer`", PAGE.read_text())
    before = server.http.get(asked_before, headers=headers)
    assert (before.status_code, before.json()["error"]) == (404, "unknown_customer")
