"""Facts in the control database, and that all that matter to a customer are found together."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from tenure.control.database import connect, migrate, writing
from tenure.control.link import API, CARRIED, LARGE, MERGE, Link
from tenure.control.links import Links
from tenure.control.partition import partition
from tenure.control.store import Store
from tenure.identity import Identifier, identity_key
from tenure.settings import Settings

Links_ = tuple[Store, str]


@pytest.fixture(scope="module")
def store(new_settings: Callable[[], Settings]) -> Store:
    engine = connect(new_settings())
    migrate(engine)
    return Store(engine)


_apps = (f"app {number}" for number in range(1_000_000))


@pytest.fixture
def app(store: Store) -> str:
    return store.create_app(next(_apps)).id


def uid(value: str) -> Identifier:
    return Identifier("uid", value)


def carried(app: str, one: str, other: str, at: int = 1) -> Link:
    return Link(app, Identifier("customer_id", one), uid(other), CARRIED, "native", True, at, f"{at:032x}")


def large(app: str, value: str) -> Link:
    own = Identifier("customer_id", value)
    return Link(app, own, own, LARGE, API, True, 1, f"large {value}")


def test_all_facts_are_found_from_any_identifier(store: Store, app: str) -> None:
    """Chains and cycles in any order: each identifier of them leads to every fact, in its own app only."""
    chain = [carried(app, f"c{n // 2}", f"u{(n + 1) // 2}") for n in range(40)] + [carried(app, "c0", "u20")]
    random.Random(8).shuffle(chain)
    for at in range(0, len(chain), 7):
        store.links.add(chain[at : at + 7])
    for side in {side for link in chain for side in link.pair}:
        assert sorted(store.links.facts(app, side)) == sorted(chain)
        assert store.links.known(app, [side, uid("nobody")]) == {side}
    other = store.create_app(next(_apps)).id
    assert store.links.facts(other, uid("u1")) == []
    assert store.links.known(other, [uid("u1")]) == set()


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=20),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
def test_order_and_batching_change_nothing(
    store: Store, said: list[tuple[int, int, int]], shuffle: random.Random, size: int
) -> None:
    """Facts loaded in any order, in any batches, some twice, are the same facts with the earliest evidence."""
    found = []
    for order in (said, shuffle.sample(said * 2, len(said) * 2)):
        app = store.create_app(next(_apps)).id
        loaded = [carried(app, f"c{one}", f"u{other}", at) for one, other, at in order]
        for at in range(0, len(loaded), size):
            Links(store.links._engine).add(loaded[at : at + size])  # a new one forgets what it has seen
        facts = {link._replace(app="") for one, other, _ in said for link in store.links.facts(app, uid(f"u{other}"))}
        found.append(facts)
    assert found[0] == found[1]
    earliest: dict[tuple[int, int], int] = {}
    for one, other, at in said:
        earliest[one, other] = min(at, earliest.get((one, other), at))
    assert sorted(link.received_at for link in found[0]) == sorted(earliest.values())


def test_a_link_that_is_known_costs_no_write(store: Store, app: str) -> None:
    """The same again, or with later evidence, sends nothing; who has forgotten looks; earlier evidence is written."""
    store.links.add([carried(app, "c", "u", 5)])
    statements: list[str] = []
    event.listen(store.links._engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    store.links.add([carried(app, "c", "u", 5), carried(app, "c", "u", 6)] * 100)
    assert statements == []
    Links(store.links._engine).add([carried(app, "c", "u", 7)])
    assert {statement.split()[0] for statement in statements} <= {"BEGIN", "SELECT"}
    store.links.add([carried(app, "c", "u", 4)])
    assert [link.received_at for link in store.links.facts(app, uid("u"))] == [4]


def test_any_text_is_an_identifier(store: Store, app: str) -> None:
    """One character or 1,024, of any script, NUL too: what is read is what was written."""
    for value in ("x", "\0", "a\0b", "é" * 1_024, "مرحبا", "🜁" * 1_024, "'; DROP TABLE link; --", " "):
        one, other = Identifier("customer_id", value), uid(value)
        store.links.add([Link(app, one, other, CARRIED, "native", True, 1, "r", note=value)])
        (link,) = store.links.facts(app, other)
        assert (link.one, link.other, link.note) == (one, other, value)


def test_undoing_is_a_fact_with_a_time(store: Store, app: str) -> None:
    """The first undoing counts, and merging again is another fact."""
    merge = Link(app, uid("a"), uid("b"), MERGE, API, True, 1, "m1")
    store.links.add([merge])
    for at in (7, 9):
        store.links.undo([merge.id], at)
    assert [link.undone_at for link in store.links.facts(app, uid("a"))] == [7]
    store.links.add([merge._replace(receipt="m2", received_at=8)])
    facts = store.links.facts(app, uid("b"))
    sizes = [len(partition(facts, as_of).customer(uid("a"))) for as_of in (0, 6, 7, 8, None)]
    assert sizes == [1, 2, 1, 2, 2]


def test_what_is_forgotten_was_never_said(store: Store, app: str) -> None:
    """No fact about a forgotten identifier is left, those about others are, and it can be linked anew."""
    said = [carried(app, "c1", "u1"), carried(app, "c1", "u2"), carried(app, "c2", "u2")]
    store.links.add(said)
    store.links.forget(app, [Identifier("customer_id", "c1"), uid("u1")])
    assert [fact for fact in store.links.facts(app, uid("u2")) if fact.joins] == said[2:]
    assert store.links.known(app, [side for link in said for side in link.pair]) == set(said[2].pair)
    store.links.forget(app, said[2].pair)
    assert [found for found in store.links.changed_after(0, "", 100_000) if found.app == app] == []
    store.links.add(said)
    assert sorted(store.links.facts(app, uid("u1"))) == sorted(said)


def test_who_was_erased_goes_on_to_count(store: Store, app: str) -> None:
    """Of 11 ids that one joined, erasing any leaves the others apart; what is kept of who is gone is a hash."""
    shop = Identifier("customer_id", "shop")
    said = [carried(app, "shop", f"u{n}", n + 1) for n in range(11)]
    store.links.add(said)
    store.links.forget(app, [uid("u3")])
    assert len(store.links.customers(app, shop).customer(shop)) == 1
    (note,) = [fact for fact in store.links.facts(app, shop) if not fact.joins]
    assert note.other.value == identity_key(app, uid("u3")).hex()
    store.links.add(said[3:4])
    assert partition(store.links.facts(app, shop)).held == {shop}
    store.links.forget(app, [shop, *(uid(f"u{n}") for n in range(11))])
    assert store.links.facts(app, shop) == []
    store.links.add(said[:10])
    assert len(store.links.customers(app, shop).customer(shop)) == 11


def test_every_change_takes_the_next_revision(store: Store, app: str) -> None:
    """Who follows the changes sees each cluster again after each change of its facts, and the others not."""

    def changes_after(place: tuple[int, str]) -> list[tuple[int, str]]:
        return [
            (found.revision, found.id) for found in store.links.changed_after(*place, limit=100_000) if found.app == app
        ]

    store.links.add([carried(app, "c1", "u1"), carried(app, "c2", "u2")])
    first = changes_after((0, ""))
    assert len(first) == 2
    assert changes_after(first[0]) == first[1:]
    store.links.add([carried(app, "c1", "u2")])
    (joined,) = changes_after(first[-1])
    store.links.undo([carried(app, "c1", "u2").id], 5)
    ((revision, cluster),) = changes_after(joined)
    assert (revision > joined[0], cluster) == (True, joined[1])
    assert {cluster: 3} == {key: len(facts) for key, facts in store.links.facts_of([cluster]).items()}
    store.links.add([carried(app, "c1", "u2", 9)])
    assert changes_after((revision, cluster)) == []


def test_2500_identifiers_are_one_customer(store: Store, app: str) -> None:
    """As many as that, one event at a time, are found as one, where a person says that the account is so large."""
    store.links.add([large(app, "c")])
    for start in range(0, 2_500, 500):
        store.links.add(carried(app, "c", f"u{n}") for n in range(start, start + 500))
    assert len(partition(store.links.facts(app, uid("u7"))).customer(uid("u1"))) == 2_501


def test_links_of_an_older_database_are_kept(new_settings: Callable[[], Settings]) -> None:
    """Links from before there were facts lead from each side to the other, and their evidence goes on."""
    engine = connect(new_settings())
    migrate(engine, "0002")
    app = "app_0000000000000001"
    with writing(engine).begin() as db:
        db.exec_driver_sql(f"INSERT INTO app (id, name, created_at) VALUES ('{app}', 'a', 1)")
        for number, (one, other) in enumerate([("c1", "u1"), ("c2", "u1"), ("c3", "u3")]):
            keys = [identity_key(app, side).hex() for side in (Identifier("customer_id", one), uid(other))]
            db.exec_driver_sql(
                "INSERT INTO link (id, app_id, key, kind, value, to_key, to_kind, to_value, source, receipt, linked_at)"
                f" VALUES ('{number}', '{app}', '{keys[0]}', 'customer_id', '{one}', '{keys[1]}', 'uid', '{other}',"
                " 'native', 'r', 2)"
            )
    migrate(engine)
    links = Store(engine).links
    assert [side.value for side in partition(links.facts(app, uid("u1"))).customer(uid("u1"))] == ["c1", "c2", "u1"]
    links.add([carried(app, "c1", "u1", 1)])
    assert sorted(link.received_at for link in links.facts(app, uid("u1"))) == [1, 2_000]
    assert len(links.changed_after(0, "", 10)) == 2


def test_a_large_cluster_that_is_remembered_follows_its_facts(store: Store, app: str) -> None:
    """What is remembered of it is asked for again after a link, an undoing and a forgetting, by whichever process."""
    owner = Identifier("customer_id", "many")
    store.links.add([large(app, "many")])
    whole = [carried(app, "many", f"u{n}", n + 1) for n in range(200)]
    store.links.add(whole[:-1])
    for _ in range(2):
        assert len(store.links.customers(app, owner).customer(owner)) == 200
    other = Links(store.links._engine)
    other.add(whole[-1:])
    assert len(store.links.customers(app, owner).customer(owner)) == 201
    other.undo([whole[0].id], 1_000)
    assert len(store.links.customers(app, owner).customer(owner)) == 200
    other.forget(app, [uid("u7")])
    assert len(store.links.customers(app, owner).customer(owner)) == 199
    assert store.links.customers(app, owner) == partition(store.links.facts(app, owner))
    assert store.links.customers(app, uid("nobody")) == partition(())
