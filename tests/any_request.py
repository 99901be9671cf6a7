"""Requests of every kind, made from the golden bodies: good, nearly good, and hostile ones."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from urllib.parse import unquote

import httpx
from backports import zstd

from tenure.wire import registry
from tenure.wire.dialect import Operation
from tests.wire.mutation import INTERESTING, Golden, changed, damaged, field_names, golden

Keys = dict[str, str]

SLUGS = ["my-saas", "%C3%A9", "a%00b", "%F0%9F%99%82", "x" * 500, "'--", "%25", ".x", "a+b"]
OTHER_METHODS = ["GET", "PUT", "PATCH", "OPTIONS", "HEAD", "X"]
ENCODERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}
RECENTLY = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}".encode()
"""Takes the place of the golden bodies' date, so that it is within every dialect's window."""


class Request(NamedTuple):
    """One request, and what it says once its encoding is undone."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes
    body: bytes
    chunk: int | None
    """Bytes of a chunk, where it is sent in chunks."""

    @property
    def operation(self) -> Operation | None:
        """What it asks for, as the server finds it."""
        return registry.find(unquote(self.path), {name.lower(): value for name, value in self.headers.items()})

    def send(self, client: httpx.Client) -> httpx.Response:
        """The server's answer."""
        content = self.content if self.chunk is None else _chunks(self.content, self.chunk)
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        return client.request(self.method, self.path, headers=headers, content=content)


def requests(keys: Keys, churn_event_id: str, count: int, seed: int) -> list[Request]:
    """As many requests as are asked for; the same for the same seed, keys and day.

    `churn_event_id` is one that the app of the keys has.
    """
    random = Random(seed)
    names = field_names()
    pairs = [pair._replace(body=pair.body.replace(b"2026-06-14", RECENTLY)) for pair in golden()]
    good = [pair for pair in pairs if pair.status < 300]
    return [
        _request(random, keys, churn_event_id, names, good if random.random() < 0.9 else pairs) for _ in range(count)
    ]


def _request(random: Random, keys: Keys, churn_event_id: str, names: list[str], pairs: list[Golden]) -> Request:
    path, asked, body, _ = random.choice(pairs)
    if random.random() < 0.03:
        path = random.choice(pairs).path
    body = _body(random, keys, names, body)
    operation = registry.find(path, asked)
    assert operation is not None
    path = (
        operation.path.format(slug=random.choice(SLUGS), churn_event_id=churn_event_id, app=keys["app"])
        if "{" in operation.path
        else path
    )
    path += "/" * (random.random() < 0.1)
    headers = _credentials(random, keys, operation)
    if random.random() < 0.1:
        headers["Idempotency-Key"] = random.choice(["one", "two", "", "\xe9", "x" * 255, "x" * 256])
    if random.random() < 0.1:
        headers["Origin"] = random.choice(["https://example.com", "null", "\xff"])
    method = operation.method if random.random() < 0.97 else random.choice(OTHER_METHODS)
    content, encoding = _encoded(random, b"" if method == "OPTIONS" else body)
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    chunk = random.randrange(1, 2_000) if random.random() < 0.2 else None
    return Request(method, path, headers, content, body, chunk)


def _body(random: Random, keys: Keys, names: list[str], body: bytes) -> bytes:
    """A golden body as it is, with a few changes, or damaged."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    for _ in range(random.choice([0, 0, 0, 1, 1, 2])):
        value = changed(value, random, names)
    if isinstance(value, dict) and "trackerKey" in value and random.random() < 0.9:
        value["trackerKey"] = keys["tracker_key"]
    if random.random() < 0.2:
        _put_somewhere(random, value)
    written = json.dumps(value).encode()
    return damaged(written, random) if random.random() < 0.06 else written


def _put_somewhere(random: Random, value: Any) -> None:
    """Something interesting as an identifier, where nearly every element is taken with it."""
    elements = value.get("events", [value]) if isinstance(value, dict) else value
    for element in elements if isinstance(elements, list) else []:
        for name in ("customerId", "uid", "customer_id", "external_user_id"):
            if isinstance(element, dict) and name in element:
                element[name] = random.choice(INTERESTING)


def _credentials(random: Random, keys: Keys, operation: Operation) -> dict[str, str]:
    secret, app = keys["secret_key"], keys["app"]
    if random.random() < 0.06:
        secret = random.choice([keys["read_key"], keys["publishable_key"], "sk_unknown", "", "\xff\xfe", "x" * 5_000])
    if random.random() < 0.03:
        app = random.choice(["app_0000000000000000", "\xff", ""])
    if operation.dialect == "customerscore":
        return {"customerscore-key": secret}
    if operation.dialect == "churnkey":
        return {"x-ck-app": app} if operation.path.endswith("browser") else {"x-ck-api-key": secret, "x-ck-app": app}
    if "publishable" in operation.key_kinds and random.random() < 0.3:
        secret = keys["publishable_key"]
    return random.choice([{"X-API-Key": secret}, {"Authorization": f"Bearer {secret}".strip()}])


def _encoded(random: Random, body: bytes) -> tuple[bytes, str | None]:
    """The body as it is sent, and its Content-Encoding; now and then one that it does not have."""
    chance = random.random()
    if chance < 0.7:
        return body, None
    encoding = random.choice(list(ENCODERS))
    if chance < 0.95:
        return ENCODERS[encoding](body), encoding
    return random.choice([(body, encoding), (body, "br"), (ENCODERS[encoding](body)[:-3], encoding)])


def _chunks(content: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]
