"""DBCs valid from-to, aliases, display names. What was assigned becomes the first entry of the registry's history."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    connection = op.get_bind()
    before = connection.execute(
        sa.text(
            "SELECT vehicle, bus_index, bus_name, digests FROM dbc_assignments ORDER BY vehicle, bus_index"
        ).columns(vehicle=sa.String, bus_index=sa.Integer, bus_name=sa.Text, digests=sa.JSON)
    ).all()
    names = {row.digest: row.name for row in connection.execute(sa.text("SELECT digest, name FROM dbc_files"))}
    op.drop_table("dbc_assignments")
    table = op.create_table(
        "dbc_assignments",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("vehicle", sa.String(32), nullable=False, index=True),
        sa.Column("bus_index", sa.Integer, nullable=False),
        sa.Column("bus_name", sa.Text, nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("valid_from_us", sa.BigInteger, nullable=True),
        sa.Column("valid_to_us", sa.BigInteger, nullable=True),
        sa.Column("created_utc_us", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    rows = [
        {
            "vehicle": row.vehicle,
            "bus_index": row.bus_index,
            "bus_name": row.bus_name,
            "files": [[digest, names.get(digest, digest)] for digest in row.digests],
            "created_utc_us": time.time_ns() // 1000,
            "author": "ved",
            "note": "in force before the registry kept a history",
        }
        for row in before
    ]
    if rows:
        op.bulk_insert(table, rows)
    op.create_table(
        "channel_aliases",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("vehicle", sa.String(32), nullable=False, index=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("created_utc_us", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
    )
    op.create_table(
        "channel_texts",
        sa.Column("vehicle", sa.String(32), primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("title_en", sa.Text, nullable=False),
        sa.Column("title_fr", sa.Text, nullable=False),
        sa.Column("unit_en", sa.Text, nullable=False),
        sa.Column("unit_fr", sa.Text, nullable=False),
    )
