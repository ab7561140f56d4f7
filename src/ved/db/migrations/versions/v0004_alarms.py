"""Alarm rules, alarms and their lives."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "watch_positions",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "alarm_rules",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("rule", sa.JSON, nullable=False),
    )
    op.create_table(
        "alarm_acks",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("alarm", sa.String(32), nullable=False),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
    )
    op.create_table(
        "alarm_shelves",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("vehicle", sa.String(32), nullable=False),
        sa.Column("rule", sa.String(48), nullable=False),
        sa.Column("until_utc_us", sa.BigInteger, nullable=False),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
    )
    op.create_table(
        "alarms",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("vehicle", sa.String(32), nullable=False, index=True),
        sa.Column("epoch", sa.LargeBinary(16), nullable=False),
        sa.Column("rule", sa.String(48), nullable=False),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.Column("title_en", sa.Text, nullable=False),
        sa.Column("title_fr", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("is_late", sa.Boolean, nullable=False),
        sa.Column("latch", sa.Boolean, nullable=False),
        sa.Column("t_raised_us", sa.BigInteger, nullable=False),
        sa.Column("utc_raised_us", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Float, nullable=True),
        sa.Column("worst", sa.Float, nullable=True),
        sa.Column("utc_cleared_us", sa.BigInteger, nullable=False),
        sa.Column("utc_acked_us", sa.BigInteger, nullable=False),
        sa.Column("acked_by", sa.Text, nullable=False),
        sa.Column("shelved_until_utc_us", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False, index=True),
    )
    op.create_table(
        "alarm_samples",
        sa.Column("alarm", sa.String(32), primary_key=True),
        sa.Column("channel", sa.String(512), primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("samples", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "alarm_states",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
    )
