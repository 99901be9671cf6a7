"""Identifiers that link nothing: customers whom they had made one are computed anew.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

from tenure import clock
from tenure.control.tables import AnyText
from tenure.placeholder import is_placeholder

revision = "0015"
down_revision = "0014"

MOST = 10
CHUNK = 5_000

link = sa.table(
    "link",
    *(sa.column(name, sa.String) for name in ("key", "kind", "to_key", "to_kind")),
    *(sa.column(name, AnyText) for name in ("value", "to_value")),
)
cluster = sa.table(
    "cluster", sa.column("id", sa.String), sa.column("size", sa.Integer), sa.column("changed", sa.BigInteger)
)
cluster_member = sa.table("cluster_member", sa.column("key", sa.String), sa.column("cluster_id", sa.String))


def upgrade() -> None:
    """Have the loader look again at every cluster that such an identifier is in. The facts stay as they are."""
    op.add_column("erasure", sa.Column("known_at", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "backfill",
        sa.Column("name", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_backfill"),
    )
    op.execute("INSERT INTO backfill (name) SELECT 'subscribed' WHERE EXISTS (SELECT 1 FROM app)")
    db = op.get_bind()
    keys: set[str] = set()
    for row in db.execute(sa.select(link).execution_options(yield_per=CHUNK)):
        if is_placeholder(row.kind, row.value):
            keys.add(row.key)
        if is_placeholder(row.to_kind, row.to_value):
            keys.add(row.to_key)
    found = set(db.execute(sa.select(cluster.c.id).where(cluster.c.size > MOST)).scalars())
    named = sorted(keys)
    for start in range(0, len(named), CHUNK):
        chunk = cluster_member.c.key.in_(named[start : start + CHUNK])
        found |= set(db.execute(sa.select(cluster_member.c.cluster_id).where(chunk)).scalars())
    latest = db.execute(sa.select(sa.func.coalesce(sa.func.max(cluster.c.changed), 0))).scalar_one()
    revision = max(int(latest) + 1, clock.now())
    ids = sorted(found)
    for start in range(0, len(ids), CHUNK):
        db.execute(sa.update(cluster).where(cluster.c.id.in_(ids[start : start + CHUNK])).values(changed=revision))


def downgrade() -> None:
    """Drop what was added."""
    op.drop_table("backfill")
    op.drop_column("erasure", "known_at")
