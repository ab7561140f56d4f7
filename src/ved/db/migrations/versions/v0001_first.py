"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "vehicles",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("title_en", sa.Text, nullable=False),
        sa.Column("title_fr", sa.Text, nullable=False),
        sa.Column("map", sa.JSON, nullable=True),
        sa.Column("charts", sa.JSON, nullable=False),
    )
    op.create_table(
        "dbc_files",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "dbc_assignments",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("bus_index", sa.Integer, primary_key=True),
        sa.Column("bus_name", sa.Text, nullable=False),
        sa.Column("digests", sa.JSON, nullable=False),
    )
    op.create_table(
        "epochs",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("epoch", sa.LargeBinary(16), primary_key=True),
        sa.Column("first_arrival_utc_us", sa.BigInteger, nullable=False),
        sa.Column("buses", sa.JSON, nullable=False),
    )
    op.create_table(
        "clocks",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("epoch", sa.LargeBinary(16), primary_key=True),
        sa.Column("source", sa.Integer, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("t_us", sa.BigInteger, nullable=False),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("error_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "losses",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("epoch", sa.LargeBinary(16), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("bus", sa.Integer, nullable=False),
        sa.Column("frames", sa.BigInteger, nullable=False),
        sa.Column("t_from_us", sa.BigInteger, nullable=False),
        sa.Column("t_to_us", sa.BigInteger, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("vehicle", sa.String(32), nullable=False, index=True),
        sa.Column("utc_from_us", sa.BigInteger, nullable=False),
        sa.Column("utc_to_us", sa.BigInteger, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_table(
        "session_parts",
        sa.Column("session_id", sa.String(32), primary_key=True),
        sa.Column("epoch", sa.LargeBinary(16), primary_key=True),
        sa.Column("t_from_us", sa.BigInteger, nullable=False),
        sa.Column("t_to_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "enrol_codes",
        sa.Column("secret_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("vehicle", sa.String(32), nullable=False),
        sa.Column("expires_utc_s", sa.Float, nullable=False),
        sa.Column("is_used", sa.Boolean, nullable=False),
    )
    op.create_table(
        "car_keys",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("vehicle", sa.String(32), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("created_utc_s", sa.Float, nullable=False),
        sa.Column("is_revoked", sa.Boolean, nullable=False),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
    )
    op.create_table(
        "signin_tokens",
        sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("expires_utc_s", sa.Float, nullable=False),
        sa.Column("is_used", sa.Boolean, nullable=False),
    )
