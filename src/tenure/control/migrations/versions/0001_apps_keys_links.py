"""Apps, keys and links.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "app",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_app"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_api_key_app_id"),
        sa.UniqueConstraint("digest", name="uq_api_key_digest"),
    )
    op.create_index("ix_api_key_app_id", "api_key", ["app_id"])
    op.create_table(
        "link",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("to_key", sa.String(32), nullable=False),
        sa.Column("to_kind", sa.String(16), nullable=False),
        sa.Column("to_value", sa.Text, nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("receipt", sa.String(32), nullable=False),
        sa.Column("linked_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_link"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_link_app_id"),
    )
    op.create_index("ix_link_key", "link", ["key"])
    op.create_index("ix_link_to_key", "link", ["to_key"])


def downgrade() -> None:
    """Drop them again."""
    for table in ("link", "api_key", "app"):
        op.drop_table(table)
