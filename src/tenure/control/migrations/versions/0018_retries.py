"""How long a request can be a retry, by app; and the duplicates that are to be events of their own.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add both. Every app has the default window, and nothing is reinstated so far."""
    op.add_column("app", sa.Column("retry_seconds", sa.Integer))
    op.create_table(
        "reinstated",
        sa.Column("app_id", sa.String(64), sa.ForeignKey("app.id", name="fk_reinstated_app_id"), nullable=False),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("done_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("app_id", "event_id", name="pk_reinstated"),
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_table("reinstated")
    op.drop_column("app", "retry_seconds")
