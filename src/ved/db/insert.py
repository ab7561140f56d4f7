"""Insert a row unless its primary key is there already: the same statement on SQLite and PostgreSQL."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_if_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """True when the row was new."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**values).on_conflict_do_nothing()
    # Asked for a row: PostgreSQL's driver does not count the rows of such a statement.
    return connection.execute(statement.returning(*table.primary_key.columns)).first() is not None
