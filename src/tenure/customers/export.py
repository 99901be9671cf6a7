"""All that is kept of one customer, as JSON Lines in a zip that is made while it is read: it is on no disk."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import msgspec

from tenure.control.link import GONE, Link
from tenure.control.store import Store
from tenure.customers.customer import Customer
from tenure.identity import keys_in
from tenure.warehouse.client import Tenant
from tenure.warehouse.personal import KEYED, PERHAPS_QUARANTINED, needles
from tenure.wire.times import rfc3339

_JSON = frozenset({"properties", "context", "traits", "user_traits", "channels", "users", "value", "fact"})
"""Columns whose text is JSON."""
_OURS = frozenset({"precedence", "superseded"})
"""Columns that say nothing of the customer."""
_COLUMNS = """
SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY position
"""
_CHUNK_BYTES = 64 * 1024
_NEEDLES = 100

Record = Mapping[str, Any]


class File(msgspec.Struct):
    """One file of an export: a record a line."""

    name: str
    records: int


class Manifest(msgspec.Struct):
    """`manifest.json`: what is in an export."""

    app: str
    made_at: str
    files: list[File]


def export(tenant: Tenant, store: Store, customer: Customer) -> Iterator[bytes]:
    """The zip, piece by piece. Raises Unavailable, at the latest while it is read."""
    pipe = _Pipe()
    files = []
    with zipfile.ZipFile(cast(BinaryIO, pipe), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, records in _kinds(tenant, store, customer):
            count = 0
            with archive.open(f"{name}.jsonl", "w", force_zip64=True) as file:
                for record in records:
                    file.write(msgspec.json.encode(record) + b"\n")
                    count += 1
                    if pipe.size > _CHUNK_BYTES:
                        yield pipe.take()
            files.append(File(f"{name}.jsonl", count))
        manifest = Manifest(tenant.app, rfc3339(time.time_ns() // 1_000_000), files)
        archive.writestr("manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    yield pipe.take()


def _kinds(tenant: Tenant, store: Store, customer: Customer) -> Iterator[tuple[str, Iterable[Record]]]:
    """The files: name, and records."""
    yield "identifiers", ({"kind": known.kind, "value": known.value} for known in customer.identifiers)
    yield "link", (_link(fact) for fact in _facts(store, tenant, customer))
    for table, keyed in KEYED.items():
        if not keyed.is_ordered:  # made of the others
            continue
        columns = [row[0] for row in tenant.rows(_COLUMNS, {"table": table}) if row[0] not in _OURS]
        held = " OR ".join(f"{column} IN {{keys:Array(FixedString(16))}}" for column in keyed.keys)
        sql = f"SELECT {', '.join(columns)} FROM {table} FINAL WHERE {held}"  # noqa: S608 - names of our schema
        yield table, _records(columns, tenant.stream(sql, {"keys": customer.keys}))
    yield "quarantine", _quarantined(tenant, customer)


def _facts(store: Store, tenant: Tenant, customer: Customer) -> list[Link]:
    """Without the notes about who was erased, which are about others."""
    return [fact for fact in store.links.of(tenant.app, customer.identifiers) if fact.how != GONE]


def _link(fact: Link) -> Record:
    one, other = ({"kind": side.kind, "value": side.value} for side in fact.pair)
    return {
        "one": one,
        "other": other,
        "how": fact.how,
        "source": fact.source,
        "verified": fact.verified,
        "received_at": rfc3339(fact.received_at // 1_000),
        "receipt": fact.receipt,
        "undone_at": None if fact.undone_at is None else rfc3339(fact.undone_at // 1_000),
        "note": fact.note,
    }


def _records(columns: list[str], rows: Iterable[Iterable[Any]]) -> Iterator[Record]:
    for row in rows:
        yield {name: _value(name, value) for name, value in zip(columns, row, strict=True)}


def _quarantined(tenant: Tenant, customer: Customer) -> Iterator[Record]:
    keys, wanted = set(customer.keys), needles(customer.identifiers)
    found = {}
    for start in range(0, len(wanted), _NEEDLES):
        parameters = {"app": tenant.app, "needles": wanted[start : start + _NEEDLES]}
        for receipt, part, payload in tenant.rows(PERHAPS_QUARANTINED, parameters):
            if not keys.isdisjoint(keys_in(tenant.app, payload)):
                found[receipt, part] = {"receipt": bytes(receipt).hex(), "part": part, "payload": payload}
    yield from found.values()


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    if name in _JSON and value:
        return msgspec.Raw(value.encode())
    return value


class _Pipe:
    """What a zip is written to, and taken from. It cannot seek, so that nothing written is changed later."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces, self.size = [], 0
        return taken
