"""Tables of the control database. `migrations/` creates them; a test holds the two together."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    ScalarSelect,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
    select,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class AnyText(TypeDecorator[str]):
    """Text of any characters, kept as UTF-8: PostgreSQL's own text has no NUL."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Text to bytes."""
        return None if value is None else value.encode()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Bytes to text."""
        return None if value is None else bytes(value).decode()


app = Table(
    "app",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),  # milliseconds since 1970 UTC, here and below
    Column("changed", Integer, nullable=False, server_default="0"),  # see `Store.revision`
    Column("mode", String(16), nullable=False, server_default="live"),  # see `tenure.mode`
    Column("live_app_id", String(64)),  # of an app that keeps another mode: whose
    Column("retry_seconds", Integer),  # NULL: `entry.RETRY_SECONDS`
)

reinstated = Table(  # copies that a retry window made duplicates, and that are to be events of their own
    "reinstated",
    metadata,
    Column("app_id", String(64), ForeignKey("app.id"), primary_key=True),
    Column("event_id", String(32), primary_key=True),
    Column("done_at", BigInteger),  # NULL: the loader has not stored it yet
)


def settings_of(app_id: str) -> ScalarSelect[Any]:
    """The app whose settings count for an app: its own, or those of the app whose other mode it keeps."""
    return select(func.coalesce(app.c.live_app_id, app.c.id)).where(app.c.id == app_id).scalar_subquery()


app_origin = Table(  # an app without any takes every origin
    "app_origin",
    metadata,
    Column("app_id", String(64), ForeignKey("app.id"), primary_key=True),
    Column("origin", Text, primary_key=True),
)

rate_limit = Table(  # where an app differs from `policy.DEFAULT_LIMITS`
    "rate_limit",
    metadata,
    Column("app_id", String(64), ForeignKey("app.id"), primary_key=True),
    Column("dialect", String(32), primary_key=True),
    Column("per_minute", Integer),  # NULL: no limit
)

billing = Table(  # how an app counts MRR: see `billing.Billings`; an app without a row goes by the defaults
    "billing",
    metadata,
    Column("app_id", String(64), ForeignKey("app.id"), primary_key=True),
    Column("rules", Text, nullable=False),  # JSON: the switches that differ from the defaults
    Column("currency", String(3)),  # to report in
    Column("stamp", String(32), nullable=False),
)

rate = Table(  # what one unit of a currency is worth in units of `billing.currency`, from a day on
    "rate",
    metadata,
    Column("app_id", String(64), ForeignKey("app.id"), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("rate", String(32), nullable=False),  # a decimal
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("app_id", String(64), ForeignKey("app.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("prefix", String(16), nullable=False),  # enough of the key to recognise it by, never to use it
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the whole key, in hex
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("changed", Integer, nullable=False),  # see `Store.revision`
    Column("signing_state", LargeBinary),  # of a secret key: see `signing`
    Column("used_at", BigInteger),  # see `key_use`
    Column("trusted_at", BigInteger),  # of a publishable key: since when what it sends is verified
)

stripe_secret = Table(  # see `stripe_secrets`
    "stripe_secret",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("app_id", String(64), ForeignKey("app.id"), nullable=False, index=True),
    Column("prefix", String(16), nullable=False),  # enough of it to recognise it by
    Column("secret", Text),  # in clear, since Stripe's signatures need it; NULL when it is revoked
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("used_at", BigInteger),
)

erasure = Table(  # one customer's erasure: see `erasures`
    "erasure",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("app_id", String(64), ForeignKey("app.id"), nullable=False),
    Column("phase", String(16), nullable=False, index=True),
    Column("requested_at", BigInteger, nullable=False),
    Column("identifiers", Text),  # JSON, while they are needed to find what holds them; NULL when it is done
    Column("reached", Text, nullable=False),  # JSON: when each phase was reached
    Column("removed", Text, nullable=False),  # JSON: how much was removed, by store and table
    Column("ordered_at", BigInteger, nullable=False, server_default="0"),  # the request in the order of receipt
    Column("cut_off", BigInteger, nullable=False, server_default="0"),  # the request as clients' clocks have it
    Column("boot", String(64), nullable=False, server_default=""),  # of the machine, since which
    Column("known_at", BigInteger, nullable=False, server_default="0"),
    Column("uptime", BigInteger, nullable=False, server_default="0"),  # so many milliseconds had passed
)

erased_key = Table(  # what is kept for ever, so that old events that come again are recognised
    "erased_key",
    metadata,
    Column("key", String(32), primary_key=True),  # `identity_key` in hex
    Column("erasure_id", String(32), ForeignKey("erasure.id"), primary_key=True, index=True),
)

link = Table(  # one fact a row: see `link.Link`
    "link",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("app_id", String(64), ForeignKey("app.id"), nullable=False),
    Column("key", String(32), nullable=False, index=True),  # `identity_key` of one side in hex: short enough to index
    Column("kind", String(16), nullable=False),
    Column("value", AnyText, nullable=False),
    Column("to_key", String(32), nullable=False, index=True),
    Column("to_kind", String(16), nullable=False),
    Column("to_value", AnyText, nullable=False),
    Column("how", String(16), nullable=False),
    Column("source", String(32), nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("received_at", BigInteger, nullable=False),  # microseconds since 1970 UTC, as in the journal
    Column("receipt", String(32), nullable=False),
    Column("position", Integer, nullable=False),
    Column("undone_at", BigInteger),  # microseconds
    Column("note", AnyText),
)

cluster = Table(  # identifiers that any fact joins, undone or not: all that can matter to who is one customer
    "cluster",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("app_id", String(64), ForeignKey("app.id"), nullable=False),
    Column("size", Integer, nullable=False),
    Column("changed", BigInteger, nullable=False),  # see `Links.changed_after`
    Index("ix_cluster_changed", "changed", "id"),
)

cluster_member = Table(
    "cluster_member",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("cluster_id", String(32), ForeignKey("cluster.id"), nullable=False, index=True),
)

backfill = Table(  # what the loader has to fill in once, from what was loaded before there was any of it
    "backfill",
    metadata,
    Column("name", String(64), primary_key=True),
)

health_settings = Table(  # of an app that says something: see `health.settings`
    "health_settings",
    metadata,
    Column("app_id", String(64), ForeignKey("app.id"), primary_key=True),
    Column("settings", Text, nullable=False),  # JSON
)

person = Table(  # who may use the pages: see `people`
    "person",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("email", String(320), nullable=False, unique=True),  # in lower case
    Column("password", Text),  # argon2id, with its parameters and salt; NULL until one is set
    Column("role", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
)

browser_session = Table(
    "browser_session",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the token, in hex
    Column("person_id", String(32), ForeignKey("person.id"), nullable=False, index=True),
    Column("user_agent", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

sign_in_link = Table(  # until it is used
    "sign_in_link",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the token, in hex
    Column("person_id", String(32), ForeignKey("person.id"), index=True),  # NULL: for the first admin
    Column("expires_at", BigInteger, nullable=False),
)

sign_in_attempt = Table(  # that failed, or is being looked at; kept as long as it counts: see `throttle`
    "sign_in_attempt",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("email_digest", String(64), nullable=False, index=True),
    Column("at", BigInteger, nullable=False, index=True),
)

audit = Table(  # see `audit`
    "audit",
    metadata,
    Column("id", String(32), primary_key=True),  # grows with time
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(64), nullable=False),
    Column("app_id", String(64)),
    Column("subject", Text),
    Column("details", Text, nullable=False),  # JSON
    Column("address", String(64)),  # of the network
    Index("ix_audit_app_id", "app_id", "id"),
    Index("ix_audit_actor", "actor", "id"),
    Index("ix_audit_action", "action", "id"),
)

repair = Table(  # see `repairs`
    "repair",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("app_id", String(64), ForeignKey("app.id"), nullable=False),
    Column("match", Text, nullable=False),  # JSON, as `steps`
    Column("steps", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),  # microseconds, and so is `done_at`
    Column("made_by", Text, nullable=False),
    Column("total", BigInteger),
    Column("replayed", BigInteger, nullable=False),
    Column("unusable", BigInteger, nullable=False),
    Column("done_at", BigInteger, index=True),
)

saved_view = Table(  # of the list of customers: see `saved_views`
    "saved_view",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("app_id", String(64), ForeignKey("app.id"), nullable=False),
    Column("name", String(80), nullable=False),
    Column("query", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("app_id", "name"),
)

incident = Table(  # see `incidents`
    "incident",
    metadata,
    Column("id", String(32), primary_key=True),  # of the kind, the place and the app
    Column("since", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON: an `Incident`
    Column("accepted_at", BigInteger),  # NULL: open
)

journal = Table(  # every journal that was ever written to: see `received`
    "journal",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("node", String(32), nullable=False),  # the data directory that it belongs to
    Column("position", BigInteger, nullable=False),  # the last one that was acknowledged, at most a second ago
    Column("written_at", BigInteger, nullable=False),
)

journal_count = Table(  # what each journal acknowledged of an app in an hour of receipt, for ever
    "journal_count",
    metadata,
    Column("journal_id", String(32), ForeignKey("journal.id"), primary_key=True),
    Column("app_id", String(64), primary_key=True),
    Column("hour", Integer, primary_key=True),  # since 1970 UTC
    Column("events", BigInteger, nullable=False),
    Column("identifies", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),  # refusals that the response did not report
    Column("rejected", BigInteger, nullable=False),  # those that it did
    Column("receipt_sum", BigInteger, nullable=False),  # see `entry.Tally`
    Column("last_at", BigInteger, nullable=False),  # microseconds since 1970 UTC
)
