"""Who is asking, and what they may do: held in memory, so that a request needs no look-up in a database."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection
from hmac import compare_digest
from typing import NamedTuple

from tenure.control import keys
from tenure.control.keys import Key
from tenure.control.policy import Policy
from tenure.control.signing import verifies
from tenure.control.store import Store
from tenure.control.stripe_secrets import StripeSecret
from tenure.errors import Forbidden, Unauthenticated
from tenure.ingest.stripe_signature import check_age, signer

REFRESH_SECONDS = 1.0
"""How long a revoked key may still work, and a new one not yet in a process that never missed it."""
MISSES_A_SECOND = 20
"""An unknown key, or a signature by one, makes the ring look again, so that a new key works at once; guesses do so this
often at the most."""

_NO_RULES = Policy()


_QUOTED = re.compile("[\"'`\u2018\u2019\u201c\u201d]|\u00e2\u0080[\u0098-\u009d]|.*[\"'`]\\Z", re.DOTALL)
"""Typographic quotation marks too, be they read as Latin-1, which headers are."""


class Known(NamedTuple):
    """A key as it is recognised by its beginning."""

    app: str
    prefix: str
    is_live: bool


class Keyring:
    """The live keys and the rules of all apps. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.use = store.key_use
        self._keys: dict[str, Key] = {}
        self._states: dict[str, tuple[bytes, ...]] = {}
        self._policies: dict[str, Policy] = {}
        self._stripe_secrets: dict[str, tuple[StripeSecret, ...]] = {}
        self._shown: dict[str, Known] = {}
        self._revision = -1
        self._misses_left = float(MISSES_A_SECOND)
        self._missed_at = time.monotonic()
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Take up what changed. Costs one small query when nothing did."""
        with self._lock:
            revision = self._store.revision()
            if revision == self._revision:
                return
            self._policies = self._store.policies()
            self._states = self._store.signing_states()
            self._stripe_secrets = self._store.stripe_secrets.live()
            own_ids = [_own_id(app) for app in self._policies]
            self._keys = {key.digest: key for key in [*self._store.live_keys(), *own_ids]}
            self._shown = {}
            for row in self._store.list_keys():  # of two that begin alike, the live one
                known = Known(row.app, row.prefix, row.revoked_at is None)
                if row.kind != keys.APP_ID and (known.is_live or row.prefix not in self._shown):
                    self._shown[row.prefix] = known
            self._revision = revision

    def begins_like(self, secret: str) -> Known | None:
        """The key of this installation, live or revoked, that is shown as the beginning of `secret`."""
        return self._shown.get(keys.shown_prefix(secret)) if secret else None

    def knows_app(self, app_id: str) -> str:
        """The app whose public id this is; empty when it is none's."""
        key = self._keys.get(keys.digest(app_id))
        return key.app if key is not None and key.kind == keys.APP_ID else ""

    def authenticate(self, secret: str, kinds: Collection[str]) -> Key:
        """The key that `secret` is. Raises Unauthenticated if unknown, Forbidden if of none of these kinds."""
        key = self._find(secret)
        if key is None or key.kind not in keys.KINDS or key.kind == keys.TRACKER:
            message = f"this key is not known here, or has been revoked{_hint(secret)}"
            raise Unauthenticated(message, code="unknown_key")
        if key.kind not in kinds:
            wanted = " or ".join(sorted(kinds))
            raise Forbidden(f"a {key.kind} key may not do this; it takes a {wanted} key", code="wrong_key_kind")
        self.use.note(key.id)
        return key

    def app_key(self, app_id: str) -> Key:
        """The app whose public id this is, its own or one imported for it, as a key of kind `app-id`.

        Raises Unauthenticated if unknown.
        """
        key = self._find(app_id)
        if key is None or key.kind != keys.APP_ID:
            message = f"this app id is not known here{_hint(app_id)}"
            raise Unauthenticated(message, code="unknown_app", field="x-ck-app")
        self.use.note(key.id)
        return key

    def policy(self, app: str) -> Policy:
        """The rules of an app, by its own id."""
        return self._policies.get(app, _NO_RULES)

    def has_signed(self, app: str, subject: str, auth_hash: str) -> bool:
        """Whether `auth_hash` is the signature of `subject` under one of the app's live secret keys."""
        states = self._states.get(app, ())
        if verifies(states, subject, auth_hash):
            return True
        if not self._may_look_again():
            return False
        self.refresh()
        fresh = self._states.get(app, ())
        return fresh != states and verifies(fresh, subject, auth_hash)

    def stripe_key(self, app: str, signature: str, body: bytes) -> Key:
        """The webhook secret of the app that a body was signed with, as a key. Raises Unauthenticated."""
        secret = signer(self._stripe_secrets.get(app, ()), signature, body)
        if secret is None and self._may_look_again():
            self.refresh()
            secret = signer(self._stripe_secrets.get(app, ()), signature, body)
        if secret is None:
            message = "Stripe-Signature is not a signature of this body with a live webhook secret of this app"
            raise Unauthenticated(message, code="wrong_signature", field="Stripe-Signature")
        check_age(secret, signature, body)
        self.use.note(secret.id)
        return Key(secret.id, secret.app, keys.STRIPE, secret.prefix, "")

    def check_tracker(self, tracker: str, app: str) -> None:
        """Raises Forbidden unless `tracker` is a tracker key of this app."""
        key = self._find(tracker)
        if key is None or key.kind != keys.TRACKER or key.app != app:
            message = f"trackerKey does not belong to the key in the header{_hint(tracker)}"
            raise Forbidden(message, code="wrong_tracker", field="trackerKey")
        self.use.note(key.id)

    def check_app_id(self, app_id: str, app: str, field: str = "x-ck-app") -> None:
        """Raises Unauthenticated unless `app_id` is the app's own id or one imported for it."""
        key = self._find(app_id)
        if key is None or key.kind != keys.APP_ID or key.app != app:
            raise Unauthenticated(f"{field} does not belong to the key{_hint(app_id)}", code="wrong_app", field=field)
        self.use.note(key.id)

    def _find(self, secret: str) -> Key | None:
        digest = keys.digest(secret)
        key = self._keys.get(digest)
        if key is None and self._may_look_again():
            self.refresh()
            key = self._keys.get(digest)
        # The digest of a guess tells nothing about the key, so the look-up leaks nothing; compare all the same.
        if key is None or not compare_digest(key.digest, digest):
            return None
        return key

    def _may_look_again(self) -> bool:
        now = time.monotonic()
        self._misses_left = min(MISSES_A_SECOND, self._misses_left + (now - self._missed_at) * MISSES_A_SECOND)
        self._missed_at = now
        if self._misses_left < 1:
            return False
        self._misses_left -= 1
        return True


def _hint(sent: str) -> str:
    """What to say of a key that is quoted as on the vendors' pages (`customerscore-key: "your-key"`)."""
    is_quoted = _QUOTED.match(sent) is not None
    return ": it was sent in quotation marks, which are no part of it; send it without" if is_quoted else ""


def _own_id(app: str) -> Key:
    """An app's own id, as if it were an imported one. It is public, so it is its own prefix."""
    return Key(app, app, keys.APP_ID, app, keys.digest(app))
