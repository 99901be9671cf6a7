"""Golden pairs: what each dialect makes of a body, and answers.

`golden/<dialect>/<case>.input.json` is a body exactly as a client sends it. `<case>.events.json` has the
`path` (and `headers` where they matter), the rules of `tests/rules.py` that the pair `proves`, what was decoded
(fields at their default left out), and the reply or the error.

To add a case, write the input and an `.events.json` with only `{"path": …}`. To write the rest, or after a
change that is meant, run `TENURE_UPDATE_GOLDEN=1 pytest tests/wire/test_golden.py` and read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tenure.errors import Refused
from tenure.wire import registry
from tests.wire.taken import taken

NOW = 1_781_438_700_000
"""2026-06-14T12:05:00.000Z, five minutes after the time in Whisperr's page example."""

GOLDEN = Path(__file__).parent / "golden"
INPUTS = sorted(GOLDEN.glob("*/*.input.json"))
UPDATE = os.environ.get("TENURE_UPDATE_GOLDEN") == "1"


def outcome(path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """What the operation at `path` makes of `body`, as plain JSON."""
    operation = registry.find(path, headers)
    assert operation is not None
    try:
        decoded = operation.decode(body, NOW)
    except Refused as refused:
        return {"status": refused.status, "error": json.loads(operation.error(refused))}
    reply = operation.reply(taken(operation, decoded))
    lists = {name: [given(item) for item in getattr(decoded, name)] for name in ("events", "identifies", "refusals")}
    found: dict[str, Any] = {name: items for name, items in lists.items() if items}
    if decoded.tracker_key is not None:
        found["tracker_key"] = decoded.tracker_key
    if decoded.claims:
        found["claims"] = [given(claim) for claim in decoded.claims]
    return {**found, "status": reply.status, "reply": json.loads(reply.body)}


def given(item: msgspec.Struct) -> dict[str, Any]:
    """The fields of an event, an identify (and its changes) or a refusal that are not at their default."""
    return {
        field.name: given(value) if isinstance(value, msgspec.Struct) else json.loads(json.dumps(value))
        for field in msgspec.structs.fields(item)
        if (value := getattr(item, field.name)) != field.default
    }


def recording(path: Path) -> Path:
    """The file beside an input that says what it gives."""
    return path.with_name(path.name.replace(".input.json", ".events.json"))


def pair(path: Path) -> Any:
    """The test's parameter for an input, marked with the rules that the pair proves."""
    dialect, case = path.parent.name, path.name.split(".")[0]
    proves = json.loads(recording(path).read_text("utf-8")).get("proves", [])
    return pytest.param(path, id=f"{dialect}/{case}", marks=[pytest.mark.rule(name, dialect) for name in proves])


@pytest.mark.parametrize("path", [pair(path) for path in INPUTS])
def test_decodes_as_recorded(path: Path) -> None:
    """The body gives exactly the recorded events, identifies, refusals and reply."""
    recorded = json.loads(recording(path).read_text("utf-8"))
    asked = {name: recorded[name] for name in ("path", "headers", "proves") if name in recorded}
    found = asked | outcome(asked["path"], asked.get("headers", {}), path.read_bytes())
    if UPDATE:
        recording(path).write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", "utf-8")
    else:
        assert found == recorded


def test_every_recording_has_an_input() -> None:
    """No `.events.json` is left behind without the body it belongs to."""
    inputs = {path.name.removesuffix(".input.json") for path in INPUTS}
    assert {path.name.removesuffix(".events.json") for path in GOLDEN.glob("*/*.events.json")} == inputs


def test_every_operation_has_a_case() -> None:
    """Every path of every dialect is covered by at least one pair."""
    asked = [json.loads(path.read_text("utf-8"))["path"] for path in GOLDEN.glob("*/*.events.json")]
    found = [registry.find(path, {}) for path in asked]
    assert {operation.path for operation in found if operation is not None} == set(registry.ALL_PATHS)
