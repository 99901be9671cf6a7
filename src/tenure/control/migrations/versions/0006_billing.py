"""How an app counts MRR: rules, the currency to report in, and rates.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "billing",
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("currency", sa.String(3)),
        sa.Column("stamp", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("app_id", name="pk_billing"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_billing_app_id"),
    )
    op.create_table(
        "rate",
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("rate", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("app_id", "currency", "day", name="pk_rate"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_rate_app_id"),
    )


def downgrade() -> None:
    """Drop them again."""
    op.drop_table("rate")
    op.drop_table("billing")
