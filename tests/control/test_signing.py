"""Signatures are those of the standard, made without the key."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.control import keys
from tenure.control.signing import signature, signing_state, verifies

KEYS = st.text(min_size=1, max_size=100).filter(lambda key: len(key.encode("utf-8", "surrogatepass")) <= 200)


def hex_hmac(key: str, message: str) -> str:
    return hmac.new(
        key.encode("utf-8", "surrogatepass"), message.encode("utf-8", "surrogatepass"), "sha256"
    ).hexdigest()


@settings(deadline=None)
@given(KEYS | st.text("aé", min_size=55, max_size=100), st.binary(max_size=300))
def test_signature_is_that_of_the_standard_library(key: str, message: bytes) -> None:
    """Whatever the key and the message, the result is HMAC-SHA256."""
    expected = hmac.new(key.encode("utf-8", "surrogatepass"), message, "sha256").digest()
    assert signature(signing_state(key), message) == expected


@pytest.mark.parametrize(
    ("key", "message", "expected"),
    [
        (
            "\x0b" * 20,
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            "Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
    ],
)
def test_vectors_of_rfc_4231(key: str, message: bytes, expected: str) -> None:
    """Cases 1 and 2, those whose keys are text."""
    assert signature(signing_state(key), message).hex() == expected


@pytest.mark.parametrize("length", [55, 56, 63, 64, 65, 119, 120])
def test_messages_and_keys_at_the_edge_of_a_block(length: int) -> None:
    """Where the padding needs another block, and where a key is hashed first."""
    text = "k" * length
    assert verifies([signing_state(text)], text, hex_hmac(text, text))


def test_state_gives_no_key_away() -> None:
    """64 bytes for any key; the key is not in them, nor is its digest, by which it is known."""
    state = signing_state("sk_live_abc")
    assert len(state) == 64
    assert b"sk_" not in state
    assert bytes.fromhex(keys.digest("sk_live_abc")) not in state


def test_any_live_key_may_have_signed() -> None:
    """The first, the last, in lower or upper case; not a key that is not there."""
    states = [signing_state(key) for key in ("one", "two", "three")]
    for key in ("one", "two", "three"):
        assert verifies(states, "cus_1", hex_hmac(key, "cus_1"))
        assert verifies(states, "cus_1", hex_hmac(key, "cus_1").upper())
    assert not verifies(states, "cus_1", hex_hmac("four", "cus_1"))
    assert not verifies(states, "cus_2", hex_hmac("one", "cus_1"))
    assert not verifies([], "cus_1", hex_hmac("one", "cus_1"))


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_text_is_an_answer(message: str, auth_hash: str) -> None:
    """A hostile message or hash is wrong, never an error."""
    assert not verifies([signing_state("key")], message, auth_hash)


@pytest.mark.parametrize(
    "auth_hash",
    [
        "",
        "0",
        "\ud800" * 64,
        "\0" * 64,
        "٣" * 64,
        "g" * 64,
        "ab " * 32,
        "a" * 63,
        "a" * 65,
        "a" * 64 + "\n",
        "a" * 10**6,
    ],
)
def test_what_is_not_64_hex_digits_is_wrong(auth_hash: str) -> None:
    """Only ASCII hex digits of the right number are looked at."""
    assert not verifies([signing_state("key")], "cus_1\ud800", auth_hash)
