"""When keys and webhook secrets were last used.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns. What was used before is not known."""
    op.add_column("api_key", sa.Column("used_at", sa.BigInteger))
    op.add_column("stripe_secret", sa.Column("used_at", sa.BigInteger))


def downgrade() -> None:
    """Drop them again."""
    op.drop_column("stripe_secret", "used_at")
    op.drop_column("api_key", "used_at")
