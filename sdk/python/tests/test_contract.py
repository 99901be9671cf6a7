"""Every case of sdk/contract, with both clients, each with both queues."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from scripted import FakeClock, ScriptedServer

from tenure_client import AsyncClient, Client, ClientClosed, InvalidEvent, Report

CASES = sorted((Path(__file__).parents[2] / "contract" / "cases").glob("*.json"))
ERRORS = {"invalid": InvalidEvent, "closed": ClientClosed}


def real_value(value: Any) -> Any:
    """The Python value that a `{"$": …}` of a case stands for."""
    if isinstance(value, list):
        return [real_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value.get("$"):
        case None:
            return {name: real_value(item) for name, item in value.items()}
        case "nan":
            return float("nan")
        case "infinity":
            return float("inf")
        case "time":
            return datetime.fromisoformat(value["value"].replace("Z", "+00:00"))
        case "set":
            return set(value["value"])
        case "lone_surrogate":
            return "\ud800"
        case "unserialisable":
            return object()
        case "cycle":
            cycle: list[Any] = []
            cycle.append(cycle)
            return cycle
        case "nested":
            nested: list[Any] = []
            for _ in range(value["levels"] - 1):
                nested = [nested]
            return nested
    raise AssertionError(value)


class Run:
    """One client at work on one case."""

    def __init__(self, case: dict[str, Any], kind: type[Client | AsyncClient], queue: Path | None) -> None:
        self.case = case
        self.server = ScriptedServer(case.get("replies", []))
        self.clock = FakeClock(self.server)
        self.reports: list[Report] = []
        self.loop = asyncio.new_event_loop()
        options: dict[str, Any] = case.get("options", {})
        self.client = kind(
            self.server.url,
            "sk_contract",
            queue_path=queue,
            on_error=self.reports.append,
            clock=self.clock,
            background=False,
            **options,
        )
        self.calls = 0
        self.message_ids: list[object] = []

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        result = getattr(self.client, name)(*args, **kwargs)
        return self.loop.run_until_complete(result) if inspect.isawaitable(result) else result

    def step(self, step: dict[str, Any]) -> None:
        step = dict(step)
        match step.pop("do"):
            case "track":
                self.track(step)
            case "identify":
                self.queue_one("identify", (), step)
            case "flush" | "close" as name:
                timeout = {"timeout": step["timeout"]} if "timeout" in step else {}
                assert self.call(name, **timeout) == step.get("remaining", 0)
            case "set_key":
                self.call("set_key", step["key"])
            case "advance":
                self.clock.now += step["seconds"]
            case "work":
                self.call("_work")
                assert len(self.server.requests) == step["requests"]
            case other:
                raise AssertionError(other)

    def track(self, step: dict[str, Any]) -> None:
        times, pad, event = step.pop("times", None), step.pop("pad", None), step.pop("event")
        for number in range(times or 1):
            fields = dict(step)
            extra = ({} if times is None else {"n": number}) | ({} if pad is None else {"pad": "x" * pad})
            if extra:
                fields["properties"] = fields.get("properties", {}) | extra
            self.queue_one("track", (event,), fields)

    def queue_one(self, name: str, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
        raises = fields.pop("raises", None)
        fields = {field: real_value(value) for field, value in fields.items()}
        if raises is not None:
            with pytest.raises(ERRORS[raises]):
                self.call(name, *args, **fields)
            return
        self.message_ids.append(self.call(name, *args, **fields))
        self.calls += 1

    def check(self) -> None:
        expect = self.case["expect"]
        requests = self.server.requests
        if "requests" in expect:
            assert len(requests) == len(expect["requests"])
            for request, wanted in zip(requests, expect["requests"], strict=True):
                self.check_request(request, wanted)
        if "waits" in expect:
            assert len(self.clock.waits) == len(expect["waits"]), self.clock.waits
            for wait, (least, most) in zip(self.clock.waits, expect["waits"], strict=True):
                assert least - 1e-6 <= wait <= most + 1e-6
        counts = self.client.counts
        if "counts" in expect:
            assert vars(counts) == expect["counts"]
        if "reports" in expect:
            assert len(self.reports) == len(expect["reports"]), self.reports
            for report, wanted in zip(self.reports, expect["reports"], strict=True):
                seen = vars(report) | {"message_ids": list(report.message_ids)}
                assert_subset(seen, wanted)
        assert counts.delivered + counts.queued + counts.dropped == self.calls
        made = [message_id for message_id in self.message_ids if message_id is not None]
        assert len(set(made)) == len(made)
        assert all(event["message_id"] in made for request in requests for event in request.events)

    def check_request(self, request: Any, wanted: dict[str, Any]) -> None:
        assert request.method == wanted.get("method", request.method)
        assert request.path == wanted.get("path", request.path)
        for name, value in wanted.get("headers", {}).items():
            assert request.headers[name] == value
        assert len(request.events) == wanted.get("count", len(request.events))
        for event, subset in zip(request.events, wanted.get("events", []), strict=False):
            assert_subset(event, subset)
        if "exactly" in wanted:
            assert request.events == [{"message_id": event["message_id"]} | exact for event, exact in zip(
                request.events, wanted["exactly"], strict=True)]  # fmt: skip
        assert len(request.body) <= wanted.get("max_bytes", len(request.body))
        if "same_events_as" in wanted:
            assert request.events == self.server.requests[wanted["same_events_as"]].events

    def end(self) -> None:
        self.call("close", 0)
        self.server.close()
        self.loop.close()


def assert_subset(seen: Any, wanted: Any) -> None:
    """Every field that is wanted is there and as wanted, at every level."""
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            assert name in seen
            assert_subset(seen[name], value)
    else:
        assert seen == wanted


def test_there_are_cases() -> None:
    """The directory of the cases was found."""
    assert len(CASES) > 30


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    path, kind, on_disk = request.param
    running = Run(json.loads(path.read_text()), kind, tmp_path / "queue.db" if on_disk else None)
    yield running
    running.end()


VARIANTS = [
    pytest.param((path, kind, on_disk), id=f"{path.stem}-{kind.__name__}-{'disk' if on_disk else 'memory'}")
    for path in CASES
    for kind in (Client, AsyncClient)
    for on_disk in (False, True)
    if not (on_disk and json.loads(path.read_text()).get("queue") == "memory")
]


@pytest.mark.parametrize("run", VARIANTS, indirect=True)
def test_contract(run: Run) -> None:
    """The client does what the case says."""
    for step in run.case["steps"]:
        run.step(step)
    run.check()
