"""Maths channels."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "maths_channels",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("expression", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
    )
