"""Publishable keys that are trusted as secret ones are.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column. No key is trusted so far."""
    op.add_column("api_key", sa.Column("trusted_at", sa.BigInteger))


def downgrade() -> None:
    """Drop it again."""
    op.drop_column("api_key", "trusted_at")
