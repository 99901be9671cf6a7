"""Rules that repair what is in quarantine, and how far they have come.

Revision ID: 0011
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "repair",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("match", sa.Text, nullable=False),
        sa.Column("steps", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger),
        sa.Column("replayed", sa.BigInteger, nullable=False),
        sa.Column("unusable", sa.BigInteger, nullable=False),
        sa.Column("done_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_repair"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_repair_app_id"),
    )
    op.create_index("ix_repair_done_at", "repair", ["done_at"])


def downgrade() -> None:
    """Drop it again."""
    op.drop_table("repair")
