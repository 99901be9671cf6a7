"""What checks signatures, and the rules of an app.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and tables. The signing state of a key that is there already cannot be known."""
    op.add_column("api_key", sa.Column("signing_state", sa.LargeBinary))
    op.add_column("app", sa.Column("changed", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "app_origin",
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("app_id", "origin", name="pk_app_origin"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_app_origin_app_id"),
    )
    op.create_table(
        "rate_limit",
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("dialect", sa.String(32), nullable=False),
        sa.Column("per_minute", sa.Integer),
        sa.PrimaryKeyConstraint("app_id", "dialect", name="pk_rate_limit"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_rate_limit_app_id"),
    )


def downgrade() -> None:
    """Drop them again."""
    for table in ("rate_limit", "app_origin"):
        op.drop_table(table)
    op.drop_column("app", "changed")
    op.drop_column("api_key", "signing_state")
