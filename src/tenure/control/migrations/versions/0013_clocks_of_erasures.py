"""By which clocks an erasure was asked for.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

erasure = sa.table(
    "erasure",
    sa.column("requested_at", sa.BigInteger),
    sa.column("ordered_at", sa.BigInteger),
    sa.column("cut_off", sa.BigInteger),
)


def upgrade() -> None:
    """Add the columns; those who were erased before were so by the wall clock alone."""
    op.add_column("erasure", sa.Column("ordered_at", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("erasure", sa.Column("cut_off", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("erasure", sa.Column("boot", sa.String(64), nullable=False, server_default=""))
    op.add_column("erasure", sa.Column("uptime", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(erasure.update().values(ordered_at=erasure.c.requested_at * 1_000 + 999, cut_off=erasure.c.requested_at))


def downgrade() -> None:
    """Drop them again."""
    for column in ("uptime", "boot", "cut_off", "ordered_at"):
        op.drop_column("erasure", column)
