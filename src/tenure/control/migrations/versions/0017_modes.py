"""Apps that keep what is not live: test data, and that of connected accounts.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the columns. What is there is live."""
    op.add_column("app", sa.Column("mode", sa.String(16), nullable=False, server_default="live"))
    op.add_column("app", sa.Column("live_app_id", sa.String(64)))


def downgrade() -> None:
    """Drop them again. What was kept apart stays in apps of their own."""
    op.drop_column("app", "live_app_id")
    op.drop_column("app", "mode")
