"""Accounts, invitations, workbooks, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "workbooks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner_id", sa.Integer, nullable=False, index=True),
        sa.Column("vehicle", sa.String(64), nullable=False, index=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("is_shared", sa.Boolean, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("changed_utc_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "preferences",
        sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content", sa.JSON, nullable=False),
    )
    op.create_table(
        "time_notes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("vehicle", sa.String(64), nullable=False, index=True),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("author_id", sa.Integer, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created_utc_us", sa.BigInteger, nullable=False),
    )
    op.add_column("users", sa.Column("is_named", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("users", sa.Column("is_removed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("users", sa.Column("password_hash", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "sign_ins",
        sa.Column("key_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("user_id", sa.Integer, nullable=False, index=True),
        sa.Column("invitation_id", sa.Integer, nullable=False, index=True),
        sa.Column("purpose", sa.String(8), nullable=False),
        sa.Column("created_utc_s", sa.Float, nullable=False),
        sa.Column("expires_utc_s", sa.Float, nullable=False),
    )
    op.create_table(
        "invitations",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("is_reusable", sa.Boolean, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("expires_utc_s", sa.Float, nullable=False),
        sa.Column("is_revoked", sa.Boolean, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("session_id", sa.String(32), nullable=False),
        sa.Column("vehicle", sa.String(32), nullable=False),
        sa.Column("shows_positions", sa.Boolean, nullable=False),
        sa.Column("shows_notes", sa.Boolean, nullable=False),
    )
