"""Links as facts, and clusters of them.

Revision ID: 0003
Revises: 0002
"""

import secrets
from hashlib import blake2b

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SIDES = ("key", "kind", "value", "to_key", "to_kind", "to_value")


def upgrade() -> None:
    """Make the tables anew, and keep the links: each was carried together, as far as is known under a secret key."""
    db = op.get_bind()
    old = sa.Table("link", sa.MetaData(), autoload_with=db)
    links = [row._asdict() for row in db.execute(sa.select(old))]
    op.drop_table("link")
    _create()
    if links:
        tables = sa.MetaData()
        tables.reflect(db, only=("link", "cluster", "cluster_member"))
        db.execute(tables.tables["link"].insert(), [_fact(row) for row in links])
        _cluster(db, tables, links)


def _create() -> None:
    op.create_table(
        "link",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("to_key", sa.String(32), nullable=False),
        sa.Column("to_kind", sa.String(16), nullable=False),
        sa.Column("to_value", sa.LargeBinary, nullable=False),
        sa.Column("how", sa.String(16), nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("verified", sa.Boolean, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("receipt", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("undone_at", sa.BigInteger),
        sa.Column("note", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_link"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_link_app_id"),
    )
    op.create_index("ix_link_key", "link", ["key"])
    op.create_index("ix_link_to_key", "link", ["to_key"])
    op.create_table(
        "cluster",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cluster"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_cluster_app_id"),
    )
    op.create_index("ix_cluster_changed", "cluster", ["changed", "id"])
    op.create_table(
        "cluster_member",
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("cluster_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_cluster_member"),
        sa.ForeignKeyConstraint(["cluster_id"], ["cluster.id"], name="fk_cluster_member_cluster_id"),
    )
    op.create_index("ix_cluster_member_cluster_id", "cluster_member", ["cluster_id"])


def _fact(row: dict[str, object]) -> dict[str, object]:
    said = f"{row['key']}{row['to_key']}carried together/{row['source']}/1"
    fact = {name: row[name] for name in ("app_id", "source", "receipt", *_SIDES)}
    values = {name: str(row[name]).encode() for name in ("value", "to_value")}
    return (
        fact
        | values
        | {
            "id": blake2b(said.encode(), digest_size=16, person=b"link").hexdigest(),
            "how": "carried together",
            "verified": True,
            "received_at": int(str(row["linked_at"])) * 1_000,
            "position": 0,
        }
    )


def _cluster(db: sa.Connection, tables: sa.MetaData, links: list[dict[str, object]]) -> None:
    members: dict[object, list[object]] = {}
    apps = {}
    for row in links:
        sides = [members.setdefault(row[name], [row[name]]) for name in ("key", "to_key")]
        smaller, larger = sorted(sides, key=len)
        if smaller is not larger:
            larger += smaller
            for key in smaller:
                members[key] = larger
        apps[row["key"]] = apps[row["to_key"]] = row["app_id"]
    names = {id(found): secrets.token_hex(16) for found in members.values()}
    clusters = {names[id(found)]: found for found in members.values()}
    db.execute(
        tables.tables["cluster"].insert(),
        [{"id": name, "app_id": apps[found[0]], "size": len(found), "changed": 1} for name, found in clusters.items()],
    )
    db.execute(
        tables.tables["cluster_member"].insert(),
        [{"key": key, "cluster_id": name} for name, found in clusters.items() for key in found],
    )


def downgrade() -> None:
    """Links in the older form would lose what is undone; there is no way back."""
    raise RuntimeError("0003 cannot be undone; restore a backup of the control database")
