"""Secrets of Stripe webhooks.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "stripe_secret",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("secret", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_secret"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_stripe_secret_app_id"),
    )
    op.create_index("ix_stripe_secret_app_id", "stripe_secret", ["app_id"])


def downgrade() -> None:
    """Drop it again."""
    op.drop_table("stripe_secret")
