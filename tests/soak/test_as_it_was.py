"""What was answered is answered again: as known then, and after merges that were undone."""

from __future__ import annotations

import io
import random
import time
import zipfile
from typing import Any
from urllib.parse import quote

from tests.harness import Server
from tests.test_one_history import TELLERS, send

Keys = dict[str, str]

PARTS = ("", "/timeline", "/attributes", "/users", "/identity", "/churn-events")
NAMES = [f"{kind}{who}" for kind in ("customer_id:cus_", "uid:u", "anonymous_id:anon-") for who in range(3)]
NAMES += [f"email:user{who}@example.com" for who in range(3)]


def answers(server: Server, keys: Keys, names: list[str], **parameters: Any) -> dict[str, Any]:
    """Everything that can be asked about these customers."""
    found = {}
    for name in names:
        for part in PARTS:
            path = f"/v1/customers/{quote(name, safe='')}{part}"
            answer = server.http.get(path, params=parameters, headers={"Authorization": f"Bearer {keys['read_key']}"})
            assert answer.status_code in (200, 404), answer.text
            found[path] = {key: value for key, value in answer.json().items() if key != "as_of"}
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    assert one.keys() == other.keys()
    return {path: (one[path], other[path]) for path in one if one[path] != other[path]}


def change(server: Server, keys: Keys, path: str, body: Any) -> Any:
    return server.http.post(path, json=body, headers={"Authorization": f"Bearer {keys['secret_key']}"})


def now() -> str:
    """A time after all that was received before, and before all that will be: times are told in milliseconds."""
    time.sleep(0.002)
    moment = f"{time.time():.3f}"
    time.sleep(0.002)
    return moment


def test_every_answer_can_be_asked_for_again(server: Server, keys: Keys) -> None:
    """Five dialects, merges and splits at random; at some times everything is asked, and as of these times again."""
    rng = random.Random(1)
    merges: list[tuple[str, str]] = []
    known = {}
    for step in range(3):
        for n in range(8):
            number = step * 8 + n
            dialect, element = rng.choice(TELLERS)(rng.randrange(3), rng.randrange(1, 29), number)
            send(server, keys, dialect, [element])
        server.wait_loaded()
        one, other = rng.sample(NAMES, 2)
        if merges and rng.random() < 0.5:
            who, merge = merges.pop()
            assert change(server, keys, f"/v1/customers/{who}/split", {"merge": merge}).status_code in (200, 409)
        joined = change(server, keys, f"/v1/customers/{one}/merge", {"with": other})
        if joined.status_code == 200:
            merges.append((one, joined.json()["merge"]))
        before = now()
        known[before] = answers(server, keys, NAMES[::2])
    assert any(any(found.values()) for found in known.values())
    for moment, found in known.items():
        again = answers(server, keys, NAMES[::2], as_of=moment)
        assert differences(_without_windows(found), _without_windows(again)) == {}


def _without_windows(found: Any) -> Any:
    """Days are counted back from the asking, which takes longer than the moment that is asked for again."""
    if isinstance(found, dict):
        return {key: _without_windows(value) for key, value in found.items() if not key.startswith("last_7_")}
    return [_without_windows(value) for value in found] if isinstance(found, list) else found


def listed(server: Server, keys: Keys) -> list[Any]:
    return sorted(server.read("/v1/customers", keys, limit=1000)["items"], key=lambda item: str(item["id"]))


def exported(server: Server, keys: Keys, name: str) -> dict[str, list[bytes]]:
    answer = server.http.get(
        f"/v1/customers/{quote(name, safe='')}/export", headers={"Authorization": f"Bearer {keys['read_key']}"}
    )
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    return {file: sorted(archive.read(file).splitlines()) for file in archive.namelist() if file != "manifest.json"}


def test_chains_and_cycles_of_merges_undone_leave_no_trace(server: Server, keys: Keys) -> None:
    """Three customers in a chain that cannot be closed to a cycle, undone in another order than they were merged."""
    names = ["customer_id:cus_0", "customer_id:cus_1", "customer_id:cus_2"]
    for n in range(36):
        dialect, element = TELLERS[n % len(TELLERS)](n % 3, 1 + n % 28, n)
        send(server, keys, dialect, [element])
    server.wait_loaded()
    _wait_listed(server, keys)
    before = answers(server, keys, names), listed(server, keys), [exported(server, keys, name) for name in names]
    merges = []
    for one, other in ((0, 1), (2, 1)):
        joined = change(server, keys, f"/v1/customers/{names[one]}/merge", {"with": names[other]})
        assert joined.status_code == 200, joined.text
        merges.append(joined.json()["merge"])
    refused = change(server, keys, f"/v1/customers/{names[2]}/merge", {"with": names[0]})
    assert (refused.status_code, refused.json()["error"]) == (409, "already_one_customer")
    _wait_listed(server, keys)
    assert len({str(answer) for answer in answers(server, keys, names).values()}) == len(PARTS)
    for merge in merges:
        assert change(server, keys, f"/v1/customers/{names[1]}/split", {"merge": merge}).status_code in (200, 409)
    for merge in merges:
        change(server, keys, f"/v1/customers/{names[0]}/split", {"merge": merge})
    _wait_listed(server, keys)
    after = answers(server, keys, names)
    for path in [path for path in after if path.endswith("/identity")]:
        assert {link["how"] for link in after[path].pop("undone")} <= {"merge"}
        before[0][path].pop("undone")
    assert differences(before[0], after) == {}
    assert listed(server, keys) == before[1]
    for name, held in zip(names, before[2], strict=True):
        now_held = exported(server, keys, name)
        now_held["link.jsonl"] = [link for link in now_held["link.jsonl"] if b'"how":"merge"' not in link]
        assert now_held == held


def _wait_listed(server: Server, keys: Keys) -> None:
    """Wait until the list has the customers that the identities make, with all their events."""
    deadline = time.monotonic() + 60
    while True:
        items = listed(server, keys)
        wholes = [server.read(f"/v1/customers/{quote(item['id'], safe='')}", keys) for item in items]
        if [(one["id"], one["identifiers"], one["activity"]["count"]) for one in wholes] == [
            (item["id"], item["identifiers"], item["events"]) for item in items
        ] and sum(item["events"] for item in items) == sum(
            name["count"] for name in server.read("/v1/events", keys)["items"]
        ):
            return
        assert time.monotonic() < deadline, (items, wholes)
        time.sleep(0.05)
