"""Passwords of people, kept as argon2id with the library's parameters: those of RFC 9106 for small machines."""

from __future__ import annotations

import unicodedata
from functools import cache
from threading import Semaphore
from typing import NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from tenure.errors import BadRequest

LEAST, MOST = 12, 256
"""Characters of a password. The upper bound keeps a request from costing more than it must."""

_HASHER = PasswordHasher()
_AT_ONCE = Semaphore(2)
"""Each takes 64 MiB: a flood of guesses must not take all memory."""


class Verdict(NamedTuple):
    """Whether a password is right; and its hash by the parameters of today, where the kept one is by others."""

    right: bool
    renewed: str | None = None


def check_form(password: str) -> None:
    """Raises BadRequest when this can be nobody's password."""
    if not LEAST <= len(password) <= MOST:
        raise BadRequest(f"a password has {LEAST} to {MOST} characters", code="bad_password", field="password")


def hashed(password: str) -> str:
    """What is kept of a password. Raises BadRequest when it cannot be one."""
    check_form(password)
    with _AT_ONCE:
        return _HASHER.hash(_bytes(password))


def verify(kept: str | None, password: str) -> Verdict:
    """Whether this is the password of which `kept` was kept; without any it is not, which takes the same time."""
    text, nobodys = _bytes(password[:MOST]), _nobodys()
    with _AT_ONCE:
        try:
            _HASHER.verify(nobodys if kept is None else kept, text)
        except VerificationError:
            return Verdict(False)
        if kept is None or len(password) > MOST:
            return Verdict(False)
        return Verdict(True, _HASHER.hash(text) if _HASHER.check_needs_rehash(kept) else None)


@cache
def _nobodys() -> str:
    return _HASHER.hash(b"")


def _bytes(password: str) -> bytes:
    """Equal for texts that look the same, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
