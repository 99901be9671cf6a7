"""What each app says of its signals and of the weights of its health score.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "health_settings",
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("app_id", name="pk_health_settings"),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_health_settings_app_id"),
    )


def downgrade() -> None:
    """Drop it again."""
    op.drop_table("health_settings")
