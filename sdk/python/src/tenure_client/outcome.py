"""What the answer to a batch means: pure, without a clock or a queue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from tenure_client.queue import Item
from tenure_client.report import Kind, Report

MAX_RETRY_AFTER = 3600.0
MAX_MESSAGE = 500


@dataclass(frozen=True)
class Reply:
    """The server's answer."""

    status: int
    headers: Mapping[str, str]
    """Names in any case, looked up in lower case."""
    body: bytes


@dataclass(frozen=True)
class Fault:
    """No answer: the network or a timeout."""

    message: str


@dataclass(frozen=True)
class Outcome:
    """What to do with the batch.

    `done`: it is resolved, `dropped` of its events without being delivered. `retry`: the same again, later.
    `pause`: keep it, send nothing. `split`: keep it, send halves.
    """

    action: Literal["done", "retry", "pause", "split"]
    reports: tuple[Report, ...] = ()
    dropped: int = 0
    retry_after: float | None = None
    """Seconds that the server asks for."""


def judge(answer: Reply | Fault, items: list[Item], now: float) -> Outcome:
    """The outcome of sending `items` at `now` (seconds since 1970, for a Retry-After that is a date)."""
    if isinstance(answer, Fault):
        return Outcome("retry", (Report("retry", answer.message, len(items)),))
    status = answer.status
    if 200 <= status < 300:
        return _stored(answer, items)
    if status in (401, 403) and _json(answer).get("error") != "wrong_auth_hash":
        return Outcome("pause", (_refusal("auth", answer, items),))
    if status == 413 and len(items) > 1:
        return Outcome("split")
    if status in (408, 429) or not 400 <= status < 500:
        why: Kind = "redirect" if 300 <= status < 400 else "retry"
        return Outcome("retry", (_refusal(why, answer, items),), retry_after=_retry_after(answer, now))
    kind: Kind = "invalid" if status == 401 else "too_large" if status == 413 else "rejected"
    return Outcome("done", (_refusal(kind, answer, items),), dropped=len(items))


def _stored(reply: Reply, items: list[Item]) -> Outcome:
    # 2xx is durable, so whatever the body does not say counts as delivered.
    results = _json(reply).get("results")
    reports = []
    for result in results if isinstance(results, list) else []:
        if not isinstance(result, dict) or result.get("status") not in ("invalid", "conflict"):
            continue
        index = result.get("index")
        if type(index) is int and 0 <= index < len(items):
            reports.append(_of_element(result, reply.status, items[index]))
    return Outcome("done", tuple(reports), dropped=sum(report.kind == "invalid" for report in reports))


def _of_element(result: dict[str, object], status: int, item: Item) -> Report:
    if result["status"] == "conflict":
        message = "An event with this message id and other content was stored before; the first counts."
        return Report("conflict", message, 1, (item.message_id,), status)
    message = f"The server refused the event: {_text(result, 'message') or 'it gave no reason'}"
    return Report("invalid", message, 1, (item.message_id,), status, _text(result, "code"), _text(result, "field"))


ADVICE = {
    "auth": "The key was refused ({status}). Events are kept; nothing is sent until set_key or flush.",
    "redirect": "The server answered with a redirect ({status}), which is not followed: set base_url right.",
    "retry": "The server answered {status}. The events are kept and sent again.",
    "too_large": "The event is larger than the server takes ({status}). It was dropped.",
    "rejected": "The server refused the request ({status}). Its events were dropped.",
    "invalid": "auth_hash is wrong for every event of the request ({status}). They were dropped.",
}


def _refusal(kind: Kind, reply: Reply, items: list[Item]) -> Report:
    error = _json(reply)
    said = _text(error, "message")
    message = ADVICE[kind].format(status=reply.status) + (f" It said: {said}" if said else "")
    message_ids = tuple(item.message_id for item in items)
    return Report(kind, message, len(items), message_ids, reply.status, _text(error, "error"), _text(error, "field"))


def _retry_after(reply: Reply, now: float) -> float | None:
    value = reply.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    try:
        return min(parsedate_to_datetime(value).timestamp() - now, MAX_RETRY_AFTER)
    except (ValueError, TypeError, OverflowError):
        return None


def _json(reply: Reply) -> dict[str, object]:
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: dict[str, object], name: str) -> str | None:
    text = value.get(name)
    return text[:MAX_MESSAGE] if isinstance(text, str) else None
