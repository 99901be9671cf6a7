"""Checking HMAC-SHA256 signatures without keeping the key that made them.

HMAC(key, message) = H(key⊕opad ‖ H(key⊕ipad ‖ message)) (RFC 2104). Each half of the key fills one block of SHA-256, so
what the key does to the hash is done after that block. The two states of the hash at that point are all that is kept:
they sign and check messages, but neither the key nor its digest can be had from them. `hashlib` neither gives nor takes
a state, hence the compression function below (FIPS 180-4, sections 4.2.2, 5.3.3 and 6.2.2).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from itertools import count

BLOCK = 64
STATE = 32
"""Bytes of a block of SHA-256, and of its state."""

_HEX = re.compile(r"[0-9a-fA-F]{64}")
_WORD = 0xFFFFFFFF
_BYTES_TO_IPAD, _BYTES_TO_OPAD = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


def signing_state(key: str) -> bytes:
    """What is kept of a key to check signatures with: the states after key⊕ipad and after key⊕opad, 64 bytes."""
    raw = key.encode("utf-8", "surrogatepass")
    block = (sha256(raw).digest() if len(raw) > BLOCK else raw).ljust(BLOCK, b"\0")
    return _compress(_START, block.translate(_BYTES_TO_IPAD)) + _compress(_START, block.translate(_BYTES_TO_OPAD))


@lru_cache(maxsize=1024)  # a compression takes 0.1 ms, and the same customers come again and again
def signature(state: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 of a message (32 bytes) by the key of which `state` was kept."""
    return _finish(state[STATE:], _finish(state[:STATE], message))


def verifies(states: Iterable[bytes], message: str, auth_hash: str) -> bool:
    """Whether `auth_hash` is the HMAC-SHA256, in hex, of `message` by one of the keys of which `states` were kept.

    Whatever the texts hold, nothing is raised. Every key is tried, and compared in constant time.
    """
    if not _HEX.fullmatch(auth_hash):
        return False
    claimed, signed = bytes.fromhex(auth_hash), message.encode("utf-8", "surrogatepass")
    right = [compare_digest(signature(state, signed), claimed) for state in states]  # all, also after one that is right
    return any(right)


def _finish(state: bytes, message: bytes) -> bytes:
    """The hash of (the one block that led to `state` ‖ `message`), padded as section 5.1.1 says."""
    padded = message + b"\x80" + b"\0" * (-(len(message) + 9) % BLOCK) + struct.pack(">Q", (BLOCK + len(message)) * 8)
    for at in range(0, len(padded), BLOCK):
        state = _compress(state, padded[at : at + BLOCK])
    return state


def _compress(state: bytes, block: bytes) -> bytes:
    """The state after one more block (section 6.2.2)."""
    schedule = list(struct.unpack(">16L", block))
    for t in range(16, 64):
        x, y = schedule[t - 15], schedule[t - 2]
        sigma0 = (x >> 7 | x << 25) ^ (x >> 18 | x << 14) ^ x >> 3
        sigma1 = (y >> 17 | y << 15) ^ (y >> 19 | y << 13) ^ y >> 10
        schedule.append(schedule[t - 16] + (sigma0 & _WORD) + schedule[t - 7] + (sigma1 & _WORD) & _WORD)
    before = struct.unpack(">8L", state)
    a, b, c, d, e, f, g, h = before
    for constant, word in zip(_CONSTANTS, schedule, strict=True):
        sum1 = (e >> 6 | e << 26) ^ (e >> 11 | e << 21) ^ (e >> 25 | e << 7)
        t1 = h + (sum1 & _WORD) + (e & f ^ ~e & g) + constant + word
        sum0 = (a >> 2 | a << 30) ^ (a >> 13 | a << 19) ^ (a >> 22 | a << 10)
        t2 = (sum0 & _WORD) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = t1 + t2 & _WORD, a, b, c, d + t1 & _WORD, e, f, g
    after = (a, b, c, d, e, f, g, h)
    return struct.pack(">8L", *(one + other & _WORD for one, other in zip(before, after, strict=True)))


def _first_primes(number: int) -> list[int]:
    primes: list[int] = []
    for candidate in count(2):
        if len(primes) == number:
            break
        if all(candidate % prime for prime in primes):
            primes.append(candidate)
    return primes


def _fraction_of_root(prime: int, root: int) -> int:
    """The first 32 bits of the fraction of a square or cube root."""
    low, high = 0, prime << 32
    while high - low > 1:  # the integer root of prime·2^(32·root), by bisection: floats are not exact enough
        middle = (low + high) // 2
        low, high = (middle, high) if middle**root <= prime << 32 * root else (low, middle)
    return low & _WORD


_CONSTANTS = tuple(_fraction_of_root(prime, 3) for prime in _first_primes(64))  # section 4.2.2
_START = struct.pack(">8L", *(_fraction_of_root(prime, 2) for prime in _first_primes(8)))  # section 5.3.3
