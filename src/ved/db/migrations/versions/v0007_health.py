"""Ledger of seconds, health of roles."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ledger_epochs",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("epoch", sa.LargeBinary(16), primary_key=True),
        sa.Column("arrival_utc_us", sa.BigInteger, nullable=False),
        sa.Column("highest_seq", sa.BigInteger, nullable=False),
        sa.Column("highest_t_us", sa.BigInteger, nullable=False),
        sa.Column("t_first_us", sa.BigInteger, nullable=False),
        sa.Column("t_last_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_blocks",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("epoch", sa.LargeBinary(16), primary_key=True),
        sa.Column("block", sa.BigInteger, primary_key=True),
        sa.Column("frames", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ledger_spans",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("epoch", sa.LargeBinary(16), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("first_seq", sa.BigInteger, primary_key=True),
        sa.Column("t_from_us", sa.BigInteger, primary_key=True),
        sa.Column("bus", sa.Integer, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("t_to_us", sa.BigInteger, nullable=False),
        sa.Column("frames", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "role_health",
        sa.Column("role", sa.String(64), primary_key=True),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("figures", sa.JSON, nullable=False),
    )
    op.create_table(
        "buses",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("bus_index", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("bitrate_hz", sa.Integer, nullable=False),
    )
    op.create_table(
        "vehicle_health",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("heard_utc_us", sa.BigInteger, nullable=False),
        sa.Column("figures", sa.JSON, nullable=False),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("alarms", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_utc_us", sa.BigInteger, nullable=False),
        sa.Column("done_utc_us", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )
    op.create_table(
        "notification_targets",
        sa.Column("name", sa.String(256), primary_key=True),
    )
    op.create_table(
        "notification_tests",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
    )
