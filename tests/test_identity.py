"""Ids and keys are computed from what an event says, and from nothing else."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure import entry
from tenure.entry import Entry
from tenure.event import Changes, Event, Identify
from tenure.identity import (
    Identifier,
    Sender,
    content_hash,
    element_ids,
    event_ids,
    event_names,
    family,
    identifiers,
    identity_key,
    normal,
)

APP = "app_0000000000000001"
text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)


def an_event(**fields: object) -> Event:
    return Event(**({"index": 0, "name": "login", "uid": "u", "occurred_at": 1, "precise": True} | fields))  # type: ignore[arg-type]


def ids(*events: Event, receipt: str = "r1", key: str | None = None, app: str = APP) -> list[bytes]:
    return event_ids(request(*events, receipt=receipt, idempotency_key=key, app=app))


def request(*events: Event, **more: Any) -> Entry:
    said = {"app": APP, "receipt": "r1", "received_at": 1, "dialect": "churnkey", "verified": True, "key_prefix": "sk"}
    return Entry(**(said | more), events=list(events))


@pytest.mark.rule("message-id", "whisperr", "native")
def test_message_id_decides_alone() -> None:
    """Whatever else differs, the same message id is the same event, in any request."""
    assert ids(an_event(message_id="m"), receipt="r1") == ids(an_event(message_id="m", name="other"), receipt="r2")
    assert ids(an_event(message_id="m")) != ids(an_event(message_id="n"))


def test_apps_never_share_ids() -> None:
    """The same message id in another app is another event."""
    assert ids(an_event(message_id="m")) != ids(an_event(message_id="m"), app="app_0000000000000002")


def test_retried_request_has_the_same_ids() -> None:
    """Without message ids, events with a precise time of their own are recognised by their content."""
    assert ids(an_event(), an_event(name="b"), receipt="r1") == ids(an_event(), an_event(name="b"), receipt="r2")


def test_identical_events_of_one_request_are_different_events() -> None:
    """Two equal events in one batch are told apart by their ordinal, the same way in each retry."""
    first, second = ids(an_event(index=0), an_event(index=1))
    assert first != second
    assert ids(an_event(index=0), an_event(index=1), receipt="r2") == [first, second]


def test_imprecise_events_are_unique_to_their_receipt() -> None:
    """Without a time, or with a bare date, two equal events may both be real."""
    for event in (an_event(occurred_at=None, precise=False), an_event(precise=False)):
        assert ids(event, receipt="r1") != ids(event, receipt="r2")


def test_idempotency_key_makes_a_request_repeatable() -> None:
    """With an Idempotency-Key even events without a time are recognised in a retry."""
    event = an_event(occurred_at=None, precise=False)
    assert ids(event, receipt="r1", key="k") == ids(event, receipt="r2", key="k")
    assert ids(event, key="k") != ids(event, key="l")


@given(
    st.sampled_from(["native", "import", "churnkey", "windback", "customerscore", "whisperr", "stripe"]), st.booleans()
)
def test_senders_share_ids_within_a_family_and_a_trust_alone(dialect: str, verified: bool) -> None:
    """Native requests and imports are one family, every vendor is one; what is not verified has ids of its own."""
    senders = [
        (of, trusted) for of in ("native", "import", "churnkey", "whisperr", "stripe") for trusted in (True, False)
    ]
    for message_id in ("1", None):
        event = an_event(message_id=message_id)
        (own,) = event_ids(request(event, dialect=dialect, verified=verified))
        for of, trusted in senders:
            same = trusted == verified and (family(of) == family(dialect) if message_id else of == dialect)
            assert (event_ids(request(event, dialect=of, verified=trusted)) == [own]) == same


def test_a_signed_element_is_verified_and_an_idempotency_key_is_of_its_api_key() -> None:
    """Whatever key it came with; the same Idempotency-Key of another API key is another request."""
    signed, plain = an_event(message_id="m", signed=True), an_event(message_id="m")
    assert event_ids(request(signed, verified=False)) == event_ids(request(plain))
    late = an_event(occurred_at=None, precise=False)
    keyed = [event_ids(request(late, idempotency_key="k", key=key)) for key in ("a", "a", "b")]
    assert keyed[0] == keyed[1] != keyed[2]


def test_a_verified_native_copy_keeps_the_id_of_older_releases() -> None:
    """Everybody else has one of their own, and the old one only where it is theirs already."""
    (native,) = event_names(request(an_event(message_id="m"), dialect="native"))
    assert native.own == native.old == bytes.fromhex("f240bfd36ff986171040f0123a6f48cd")
    (vendor,) = event_names(request(an_event(message_id="m"), dialect="whisperr"))
    assert vendor.own != vendor.old == native.old
    assert vendor.of(True, Sender("whisperr", True)) == vendor.old
    assert native.of(True, Sender("whisperr", True)) not in (native.old, vendor.own)
    assert vendor.of(True, Sender("", None)) == vendor.old


@given(text, text, text, text)
def test_parts_cannot_be_shifted(one: str, two: str, other_one: str, other_two: str) -> None:
    """Moving characters from one field to the next changes the content."""
    same = content_hash(APP, "d", an_event(uid=one, email=two)) == content_hash(
        APP, "d", an_event(uid=other_one, email=other_two)
    )
    assert same == ((one, two) == (other_one, other_two))


@given(st.emails())
def test_spellings_of_an_email_are_one_identifier(email: str) -> None:
    """Case, Unicode form and surrounding space do not make another customer."""
    for spelling in (email.upper().lower(), f" {email} ", unicodedata.normalize("NFD", email)):
        assert identity_key(APP, Identifier("email", normal("email", spelling))) == identity_key(
            APP, Identifier("email", normal("email", email))
        )


def test_kinds_do_not_collide() -> None:
    """Customer 42 and user 42 have different keys."""
    assert identity_key(APP, Identifier("customer_id", "42")) != identity_key(APP, Identifier("uid", "42"))


def test_strongest_identifier_comes_first() -> None:
    """An event is kept under its customer id, else its uid, billing id, e-mail, anonymous id."""
    event = an_event(customer_id="c", uid="u", email="E@x.y", anonymous_id="a", billing_id="b")
    assert [(i.kind, i.value) for i in identifiers(event)] == [
        ("customer_id", "c"),
        ("uid", "u"),
        ("billing_id", "b"),
        ("email", "e@x.y"),
        ("anonymous_id", "a"),
    ]


WHO = {"customer_id": "c", "uid": "u", "email": "E@x.y", "anonymous_id": "a", "user_id": "p"}
EVENT = Event(index=0, name="login", occurred_at=1, precise=True, properties='{"a":1}', **WHO)
IDENTIFY = Identify(index=1, set_at=1, precise=True, traits='{"plan":"pro"}', changes=Changes(unset=("old",)), **WHO)
BEFORE_BILLING_IDS = (
    "9ab46170705f30303030303030303030303030303031d920373737373737373737373737373737373737373737373737373737373737373705"
    "a8636875726e6b6579c3a2736bc0919e00a56c6f67696e01c3c0a163a175a54540782e79a161a170a77b2261223a317da27b7dc0c291dc0010"
    "0101a163a175a54540782e79a161a170ae7b22706c616e223a2270726f227da27b7da25b5dc0c2c3c093a27b7da27b7d91a36f6c64c090"
)
"""An entry with these two, as a journal of the version before has it."""


def test_without_a_billing_id_everything_is_as_it_was() -> None:
    """Ids and content hashes are those of the version before, and what it left in a journal is read."""
    assert content_hash(APP, "churnkey", EVENT).hex() == "7b9e67ff39dd1fb4"
    assert ids(EVENT)[0].hex() == "6b1045f2319b76178e6523696a8443eb"
    assert element_ids(request(identifies=[IDENTIFY]))[0].hex() == "16ba28190cbb5eb1f76255893922ecdc"
    kept = entry.decode(bytes.fromhex(BEFORE_BILLING_IDS))
    assert (kept.events, kept.identifies) == ([EVENT], [IDENTIFY])


def test_a_billing_id_is_part_of_the_content() -> None:
    """Two elements that differ in nothing else are different ones."""
    one, other = (an_event(billing_id=value) for value in ("cus_1", "cus_2"))
    assert len({content_hash(APP, "d", event) for event in (one, other, an_event())}) == 3
    said = [msgspec.structs.replace(IDENTIFY, billing_id=value) for value in (None, "cus_1", "cus_2")]
    assert len({element_ids(request(identifies=[identify]))[0] for identify in said}) == 3
