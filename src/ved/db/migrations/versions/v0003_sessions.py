"""People-edited sessions, laps, tracks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for name in ("moved_from_us", "moved_to_us"):
        op.add_column("sessions", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "edits",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("subject", sa.String(16), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("before", sa.JSON, nullable=True),
        sa.Column("after", sa.JSON, nullable=True),
    )
    op.create_table(
        "session_notes",
        sa.Column("session_id", sa.String(32), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("driver", sa.Text, nullable=False),
        sa.Column("track", sa.Text, nullable=False),
        sa.Column("setup", sa.Text, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
    )
    op.create_table(
        "session_cuts",
        sa.Column("session_id", sa.String(32), primary_key=True),
        sa.Column("vehicle", sa.String(32), nullable=False),
        sa.Column("epoch", sa.LargeBinary(16), nullable=False),
        sa.Column("t_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "session_joins",
        sa.Column("session_id", sa.String(32), primary_key=True),
        sa.Column("into_id", sa.String(32), nullable=False),
    )
    op.create_table(
        "tracks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("lines", sa.JSON, nullable=False),
        sa.Column("reference", sa.JSON, nullable=False),
        sa.Column("is_removed", sa.Boolean, nullable=False),
    )
    op.create_table(
        "learned_tracks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("lines", sa.JSON, nullable=False),
        sa.Column("reference", sa.JSON, nullable=False),
    )
    op.create_table(
        "laps",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("utc_from_us", sa.BigInteger, primary_key=True),
        sa.Column("utc_to_us", sa.BigInteger, nullable=False),
        sa.Column("session_id", sa.String(32), nullable=False, index=True),
        sa.Column("track_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("length_m", sa.Float, nullable=False),
        sa.Column("is_whole", sa.Boolean, nullable=False),
        sa.Column("sectors_us", sa.JSON, nullable=False),
    )
    op.create_table(
        "lap_states",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("session_id", sa.String(32), nullable=False),
        sa.Column("state", sa.JSON, nullable=False),
    )
