"""API keys: how they look, how they are kept, and which kinds there are.

A key is `<kind prefix>_<random>`: 192 random bits in URL-safe base64. Only its SHA-256 is kept, and of a secret key
what checks signatures made with it (`signing`); a slow password hash would protect nothing here, since a random key
cannot be guessed.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

import msgspec

from tenure.errors import BadRequest

SECRET, PUBLISHABLE, TRACKER, READ = "secret", "publishable", "tracker", "read"
KIND_PREFIX = {SECRET: "sk_live_", PUBLISHABLE: "pub_", TRACKER: "CS-", READ: "rk_"}
KINDS = tuple(KIND_PREFIX)
"""secret: a server may send anything; publishable: a browser may send; tracker: names the app in a
Customerscore body, never a credential alone; read: may read, never send."""

STRIPE = "stripe"
"""Not a key of its own: a webhook secret, whose signature vouches for what was sent as a secret key does."""
VOUCHING = frozenset({SECRET, STRIPE})

APP_ID = "app-id"
"""Not a key of its own: an id by which a vendor's client knows the app (`x-ck-app`), kept like one."""

IMPORTED = (*KINDS, APP_ID)
"""What can be taken over from a vendor."""
MIN_SECRET = 16
"""Shortest vendor's key that is taken over: what is shorter could be guessed."""

TRUST_RISK = (
    "Whoever has this key can say anything of any customer, and it counts: names, attributes, what they pay, and who "
    "is one customer. Trust it only if it is on your servers alone. A key that is in a page or an app is known to "
    "everybody who looks; there, have your server sign (auth_hash)."
)
"""What it means to trust a publishable key."""
WHAT_TO_DO = (
    "What is sent with a key that anybody may have is not verified: names, attributes, subscriptions and use are "
    "stored, shown apart, and count for nothing. From a server, send with the secret key, or trust the key if it is on "
    "servers alone (`tenure key trust`, or Settings, Keys). From a browser or an app, send an auth_hash that your "
    "server makes."
)
"""What to do where something is held back, since it came with a key that anybody may have."""

SHOWN = 12
"""Characters of a key that are kept in clear to recognise it by; at most a third of it."""


class Key(msgspec.Struct, frozen=True):
    """A key as it is known without its secret part."""

    id: str
    app: str
    kind: str
    prefix: str
    digest: str
    is_trusted: bool = False
    """Whether a publishable key is trusted: then what it sends is verified."""

    @property
    def vouches(self) -> bool:
        """Whether what is sent with it is verified."""
        return self.kind in VOUCHING or (self.kind == PUBLISHABLE and self.is_trusted)


def generate(kind: str) -> str:
    """A new random key of a kind."""
    if kind == TRACKER:  # public and typed by hand: short, as the vendor's are
        alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
        return KIND_PREFIX[kind] + "".join(secrets.choice(alphabet) for _ in range(10))
    return KIND_PREFIX[kind] + secrets.token_urlsafe(24)


def check_imported(kind: str, key: str) -> None:
    """Raises BadRequest when a vendor's key of this kind cannot be taken over."""
    shortest = MIN_SECRET if kind in (SECRET, PUBLISHABLE, READ) else 1
    if len(key) < shortest:
        raise BadRequest(f"a {kind} key has at least {shortest} characters", field="key")


def digest(key: str) -> str:
    """SHA-256 of a key, in hex: what is stored and compared."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def shown_prefix(key: str) -> str:
    """The part of a key that may be shown and logged."""
    return key[: min(SHOWN, len(key) // 3)]
