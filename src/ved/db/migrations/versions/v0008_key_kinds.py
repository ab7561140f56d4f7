"""Kinds of cars' keys."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("car_keys", sa.Column("kind", sa.String(16), nullable=False, server_default="link"))
