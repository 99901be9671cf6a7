"""Links in the control database, and the clusters by which all facts about a customer are found in one query.

A cluster holds every identifier that any fact joins, undone, ambiguous or in conflict as it may be; clusters only grow.
Who is one customer within a cluster is computed when reading, by `partition`.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from threading import Lock
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, Select, and_, bindparam, delete, func, or_, select, tuple_, update

from tenure import clock
from tenure.control.audit import record
from tenure.control.database import writing
from tenure.control.disjoint_sets import DisjointSets
from tenure.control.holding import MOST, counted, joined_by
from tenure.control.link import API, ERASED, GONE, LARGE, Link
from tenure.control.partition import Partition, partition
from tenure.control.tables import cluster, cluster_member, link
from tenure.control.unchanged import Unchanged
from tenure.identity import Identifier, identity_key

KNOWN = 20_000
"""Links whose evidence is kept in memory, so that the same ones again cost no query."""
CHUNK = 5_000
"""Values of one `IN`."""
REMEMBERED, WORTH_REMEMBERING = 20_000, 50
"""Identifiers of the clusters whose partition is kept in memory, all together, and of the smallest of them."""

LOOKED_AT = 1_000
"""Clusters that are looked through for identifiers that join too many: the largest."""

_WRITERS = 8751
"""The lock of PostgreSQL that those who write links take one after another; SQLite has but one writer."""


class Crowded(NamedTuple):
    """An identifier that joins more than `holding.MOST` ids of other kinds: it is held, unless a person says that it is
    an account that large."""

    identifier: Identifier
    joins: int
    is_large: bool


class Changed(NamedTuple):
    """A cluster, and the revision at which the facts about it changed last."""

    revision: int
    id: str
    app: str


class Links:
    """The links of all apps. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._unchanged = Unchanged(engine)
        self._known: dict[str, tuple[int, str, int]] = {}
        self._partitions: OrderedDict[str, tuple[int, int, Partition]] = OrderedDict()
        self._guard = Lock()

    def add(self, links: Iterable[Link]) -> None:
        """Record facts; of one that is there the earliest evidence is kept. Costs no write when all are known."""
        earliest: dict[str, Link] = {}
        for found in links:
            earliest[found.id] = earliest.get(found.id, found).said_again(found)
        news = {key: found for key, found in earliest.items() if self._is_news(key, found)}
        if not news:
            return
        fresh = self._fresh(news)
        if fresh:
            with self._writer.begin() as db:
                _wait_for_others(db)
                db.execute(self._upsert(), [_row(found) for found in fresh])
                _cluster(db, fresh)
                for found in fresh:
                    if not found.automatic:
                        record(db, "link.add", found.app, found.id, how=found.how)
        self._remember(news)

    def undo(self, ids: Collection[str], at: int) -> None:
        """Mark facts undone (`at`: microseconds since 1970 UTC); those that are undone already stay as they are."""
        with self._writer.begin() as db:
            _wait_for_others(db)
            for chunk in _chunks(ids):
                db.execute(update(link).where(link.c.id.in_(chunk), link.c.undone_at.is_(None)).values(undone_at=at))
                touched = select(cluster_member.c.cluster_id).join(link, link.c.key == cluster_member.c.key)
                clusters = touched.where(link.c.id.in_(chunk))
                db.execute(update(cluster).where(cluster.c.id.in_(clusters)).values(changed=_next_revision(db)))
            _record_undone(db, ids, at)

    def forget(self, app_id: str, identifiers: Iterable[Identifier]) -> None:
        """Remove every fact about these identifiers: for the erasure of a person. What others joined of them goes on to
        count for these, by hashes: see `holding`."""
        keys = [identity_key(app_id, identifier).hex() for identifier in identifiers]
        with self._writer.begin() as db:
            _wait_for_others(db)
            for chunk in _chunks(keys):
                own = cluster_member.c.key.in_(chunk)
                clusters = db.execute(select(cluster_member.c.cluster_id).where(own).distinct()).scalars().all()
                _remember_gone(db, keys, chunk)
                db.execute(delete(link).where(or_(link.c.key.in_(chunk), link.c.to_key.in_(chunk))))
                db.execute(delete(cluster_member).where(own))
                of_it = select(func.count()).where(cluster_member.c.cluster_id == cluster.c.id).scalar_subquery()
                left = update(cluster).where(cluster.c.id.in_(clusters))
                db.execute(left.values(size=of_it, changed=_next_revision(db)))
                db.execute(delete(cluster).where(cluster.c.id.in_(clusters), cluster.c.size == 0))
        with self._guard:
            self._known.clear()

    def remember_gone(self, facts: Iterable[Link], erased: Iterable[bytes]) -> None:
        """Note for those whom these facts, that are not kept, joined with who is erased, that they did."""
        self.add(_gone(facts, {key.hex() for key in erased}))

    def of(self, app_id: str, identifiers: Iterable[Identifier]) -> list[Link]:
        """Every fact that names one of these identifiers, in the order of its evidence."""
        keys = [identity_key(app_id, identifier).hex() for identifier in identifiers]
        found: dict[str, Link] = {}
        with self._engine.begin() as db:
            for chunk in _chunks(keys):
                rows = db.execute(select(link).where(or_(link.c.key.in_(chunk), link.c.to_key.in_(chunk))))
                found.update((row.id, _link(row)) for row in rows)
        return sorted(found.values(), key=lambda fact: fact.evidence)

    def known(self, app_id: str, identifiers: Sequence[Identifier]) -> set[Identifier]:
        """Those that any fact is about."""
        keys = {identity_key(app_id, identifier).hex(): identifier for identifier in identifiers}
        with self._engine.begin() as db:
            found = db.execute(select(cluster_member.c.key).where(cluster_member.c.key.in_(keys)))
            return {keys[key] for key in found.scalars()}

    def facts(self, app_id: str, identifier: Identifier) -> list[Link]:
        """Every fact that can matter to whose this identifier is, in no order."""
        key = identity_key(app_id, identifier).hex()
        own = select(cluster_member.c.cluster_id).where(cluster_member.c.key == key).scalar_subquery()
        with self._engine.begin() as db:
            return [_link(row) for row in db.execute(_facts().where(cluster_member.c.cluster_id == own)).all()]

    def customers(self, app_id: str, identifier: Identifier) -> Partition:
        """The customers by all facts that can matter to whose this identifier is.

        That of a large cluster is remembered until its facts change.
        """
        key = identity_key(app_id, identifier).hex()
        own = select(cluster.c.id, cluster.c.changed, cluster.c.size).join(cluster_member)
        with self._engine.begin() as db:
            found = db.execute(own.where(cluster_member.c.key == key)).first()
        if found is None:
            return partition(())
        if found.size < WORTH_REMEMBERING or found.size > REMEMBERED:
            return partition(self.facts(app_id, identifier))
        with self._guard:
            changed, _, customers = self._partitions.get(found.id, (None, 0, None))
        if customers is None or changed != found.changed:
            customers = partition(self.facts(app_id, identifier))
        with self._guard:
            self._partitions[found.id] = (found.changed, found.size, customers)
            self._partitions.move_to_end(found.id)
            while sum(size for _, size, _ in self._partitions.values()) > REMEMBERED:
                self._partitions.popitem(last=False)
        return customers

    def facts_of(self, clusters: Iterable[str]) -> dict[str, list[Link]]:
        """Every fact of each of these clusters."""
        found: defaultdict[str, list[Link]] = defaultdict(list)
        with self._engine.begin() as db:
            for chunk in _chunks(clusters):
                query = _facts().add_columns(cluster_member.c.cluster_id).where(cluster_member.c.cluster_id.in_(chunk))
                for row in db.execute(query):
                    found[row.cluster_id].append(_link(row))
        return dict(found)

    def crowded(self, app_id: str) -> list[Crowded]:
        """The identifiers of an app that join more ids than one does that stands for a customer, most first. Costs next
        to nothing while nothing changes."""
        return self._unchanged.answer(("crowded", app_id), None, lambda: self._crowded(app_id))

    def _crowded(self, app_id: str) -> list[Crowded]:
        large = select(cluster.c.id).where(cluster.c.app_id == app_id, cluster.c.size > MOST)
        with self._engine.begin() as db:
            ids = db.execute(large.order_by(cluster.c.size.desc(), cluster.c.id).limit(LOOKED_AT)).scalars().all()
        found = []
        for facts in self.facts_of(ids).values():
            kept = {fact.one for fact in facts if fact.how == LARGE and fact.undone_at is None}
            joined = joined_by(facts).items()
            found += [Crowded(side, count, side in kept) for side, count in joined if count > MOST]
        return sorted(found, key=lambda one: (-one.joins, one.identifier))

    def changed_after(self, revision: int, cluster_id: str, limit: int) -> list[Changed]:
        """Clusters that changed after this place in the order of revisions and ids, the earliest first.

        Each change of facts takes the next revision, so that whoever follows them has to remember but one place. Costs
        next to nothing while nothing changes.
        """
        place = revision, cluster_id, limit
        return self._unchanged.answer("changed after", place, lambda: self._changed_after(*place))

    def _changed_after(self, revision: int, cluster_id: str, limit: int) -> list[Changed]:
        later = or_(cluster.c.changed > revision, and_(cluster.c.changed == revision, cluster.c.id > cluster_id))
        query = select(cluster.c.changed, cluster.c.id, cluster.c.app_id).where(cluster.c.changed >= revision, later)
        with self._engine.begin() as db:
            rows = db.execute(query.order_by(cluster.c.changed, cluster.c.id).limit(limit))
            return [Changed(*row) for row in rows]

    def _is_news(self, key: str, found: Link) -> bool:
        known = self._known.get(key)
        return known is None or found.evidence < known

    def _fresh(self, news: dict[str, Link]) -> list[Link]:
        """Those that are not in the database, or there with later evidence."""
        columns = (link.c.id, link.c.received_at, link.c.receipt, link.c.position)
        kept = {}
        with self._engine.begin() as db:
            for chunk in _chunks(news):
                for key, *evidence in db.execute(select(*columns).where(link.c.id.in_(chunk))):
                    kept[key] = tuple(evidence)
        return [found for key, found in news.items() if key not in kept or found.evidence < kept[key]]

    def _upsert(self) -> Any:
        dialect = import_module(f"sqlalchemy.dialects.{self._engine.dialect.name}")  # each is large, and one is needed
        wanted = dialect.insert(link)
        evidence = ("received_at", "receipt", "position")
        new, old = (tuple_(*(side[name] for name in evidence)) for side in (wanted.excluded, link.c))
        return wanted.on_conflict_do_update(
            index_elements=["id"], set_={name: wanted.excluded[name] for name in evidence}, where=new < old
        )

    def _remember(self, news: dict[str, Link]) -> None:
        with self._guard:
            for key, found in news.items():
                self._known.pop(key, None)
                self._known[key] = found.evidence
            for key in list(islice(self._known, max(0, len(self._known) - KNOWN))):
                del self._known[key]


def _remember_gone(db: Connection, keys: Collection[str], chunk: Sequence[str]) -> None:
    """Note for others that they joined some of `chunk`; `keys` are all that is forgotten."""
    rows = db.execute(select(link).where(or_(link.c.key.in_(chunk), link.c.to_key.in_(chunk)))).all()
    gone = {note.id: note for note in _gone(map(_link, rows), frozenset(keys))}
    there = set(db.execute(select(link.c.id).where(link.c.id.in_(gone))).scalars())
    new = [_row(note) for key, note in gone.items() if key not in there]
    if new:
        db.execute(link.insert(), new)


def _gone(facts: Iterable[Link], erased: Container[str]) -> Iterator[Link]:
    """Notes for those who are left by these facts that they joined some of `erased`."""
    for fact in facts:
        for side, other in counted(fact):
            key = fact.key(other)
            if key in erased and fact.key(side) not in erased:
                yield fact._replace(one=side, other=Identifier(ERASED, key), how=GONE, source=API, undone_at=None)


def _record_undone(db: Connection, ids: Collection[str], at: int) -> None:
    """Facts have hashes of identifiers for their ids, unless they are by hand: those alone are named."""
    undone: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for chunk in _chunks(ids):
        for row in db.execute(select(link).where(link.c.id.in_(chunk), link.c.undone_at == at)):
            undone[row.app_id].append(row)
    for app_id, rows in undone.items():
        by_hand = [row.id for row in rows if not _link(row).automatic]
        record(db, "link.undo", app_id, by_hand[0] if len(by_hand) == 1 else None, facts=len(rows), by_hand=by_hand)


def _facts() -> Select[Any]:
    return select(link).join(cluster_member, cluster_member.c.key == link.c.key)


def _link(row: Row[Any]) -> Link:
    one, other = Identifier(row.kind, row.value), Identifier(row.to_kind, row.to_value)
    return Link(row.app_id, one, other, row.how, row.source, row.verified, row.received_at, row.receipt, row.position,
                row.undone_at, row.note)  # fmt: skip


def _row(found: Link) -> dict[str, Any]:
    return {
        "id": found.id,
        "app_id": found.app,
        "key": found.key(found.one),
        "kind": found.one.kind,
        "value": found.one.value,
        "to_key": found.key(found.other),
        "to_kind": found.other.kind,
        "to_value": found.other.value,
        "how": found.how,
        "source": found.source,
        "verified": found.verified,
        "received_at": found.received_at,
        "receipt": found.receipt,
        "position": found.position,
        "undone_at": found.undone_at,
        "note": found.note,
    }


def _cluster(db: Connection, fresh: Sequence[Link]) -> None:
    """Put both sides of each fact into one cluster: smaller ones join the largest."""
    apps: dict[str, str] = {}
    sets: DisjointSets[str] = DisjointSets()
    for found in fresh:
        one = found.key(found.one)
        apps[one] = found.app
        sets.root(one)
        if found.joins:
            other = found.key(found.other)
            apps[other] = found.app
            sets.join(one, other)
    kept: dict[str, str] = {}
    for chunk in _chunks(apps):
        rows = db.execute(select(cluster_member).where(cluster_member.c.key.in_(chunk)))
        kept |= {key: cluster_id for key, cluster_id in rows}  # noqa: C416 - a row is no pair to mypy
    for key, cluster_id in kept.items():
        sets.join(key, cluster_id)  # clusters are nodes beside keys: both are random enough never to be equal
    sizes: dict[str, int] = {}
    for chunk in _chunks(set(kept.values())):
        rows = db.execute(select(cluster.c.id, cluster.c.size).where(cluster.c.id.in_(chunk)))
        sizes |= {cluster_id: size for cluster_id, size in rows}  # noqa: C416 - as above
    _write_clusters(db, sets, apps, kept, sizes)


def _write_clusters(
    db: Connection, sets: DisjointSets[str], apps: dict[str, str], kept: dict[str, str], sizes: dict[str, int]
) -> None:
    revision = _next_revision(db)
    made: list[dict[str, Any]] = []
    grown: list[dict[str, Any]] = []
    members: list[dict[str, Any]] = []
    joined: list[dict[str, Any]] = []
    for nodes in sets.sets():
        old = sorted((node for node in nodes if node in sizes), key=lambda node: (sizes[node], node))
        new = [node for node in nodes if node in apps and node not in kept]
        target = old.pop() if old else secrets.token_hex(16)
        size = sizes.get(target, 0) + sum(sizes[cluster_id] for cluster_id in old) + len(new)
        row = {"size": size, "changed": revision}
        if target in sizes:
            grown.append(row | {"own": target})
        else:
            made.append(row | {"id": target, "app_id": apps[new[0]]})
        members += [{"key": key, "cluster_id": target} for key in new]
        joined += [{"own": cluster_id, "cluster_id": target} for cluster_id in old]
    own = cluster.c.id == bindparam("own")
    for statement, rows in (
        (cluster.insert(), made),
        (update(cluster).where(own), grown),
        (update(cluster_member).where(cluster_member.c.cluster_id == bindparam("own")), joined),
        (delete(cluster).where(own), [{"own": row["own"]} for row in joined]),
        (cluster_member.insert(), members),
    ):
        if rows:
            db.execute(statement, rows)


def _next_revision(db: Connection) -> int:
    """At least a reading of the hybrid clock, so that it grows even after the latest cluster is gone."""
    latest = db.execute(select(func.coalesce(func.max(cluster.c.changed), 0))).scalar_one()
    return max(int(latest) + 1, clock.now())


def _wait_for_others(db: Connection) -> None:
    if db.dialect.name == "postgresql":
        db.execute(select(func.pg_advisory_xact_lock(_WRITERS)))


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    found = iter(values)
    while chunk := list(islice(found, CHUNK)):
        yield chunk
