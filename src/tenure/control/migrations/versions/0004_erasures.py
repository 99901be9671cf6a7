"""Erasures of customers.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "erasure",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("identifiers", sa.Text),
        sa.Column("reached", sa.Text, nullable=False),
        sa.Column("removed", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erasure"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_erasure_app_id"),
    )
    op.create_index("ix_erasure_phase", "erasure", ["phase"])
    op.create_table(
        "erased_key",
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("erasure_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("key", "erasure_id", name="pk_erased_key"),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasure.id"], name="fk_erased_key_erasure_id"),
    )
    op.create_index("ix_erased_key_erasure_id", "erased_key", ["erasure_id"])


def downgrade() -> None:
    """Drop them again."""
    op.drop_table("erased_key")
    op.drop_table("erasure")
