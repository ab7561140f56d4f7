"""From every earlier schema to this one with rows in every table: nothing is lost, and the schema is the code's."""

from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from tests.services.postgres_server import running_postgres

from ved.db.database import Database
from ved.db.people_tables import metadata

CONFIG = Config()
CONFIG.set_main_option("script_location", str(resources.files("ved.db") / "migrations"))
CONFIG.set_main_option("path_separator", "os")
REVISIONS = [one.revision for one in ScriptDirectory.from_config(CONFIG).walk_revisions()][:0:-1]
OWN = "alembic_version"


def upgrade(db: Database, revision: str) -> None:
    with db.engine.begin() as connection:
        CONFIG.attributes["connection"] = connection
        command.upgrade(CONFIG, revision)


def tables_of(db: Database) -> list[sa.Table]:
    found = sa.MetaData()
    found.reflect(db.engine)
    return [table for table in found.sorted_tables if table.name != OWN]


def value(column: sa.Column, number: int) -> Any:
    """Something of the column's type that differs from row to row, and fits what it refers to."""
    kind = column.type
    if isinstance(kind, sa.LargeBinary | sa.BINARY):
        return f"{column.name} {number}".encode().ljust(16, b".")
    if isinstance(kind, sa.Boolean):
        return number % 2 == 0
    if isinstance(kind, sa.JSON):
        return [f"item {number}"]
    if isinstance(kind, sa.Integer):
        return number
    if kind.python_type is float:
        return number + 0.5
    assert isinstance(kind, sa.String), kind
    return f"{number} {column.name}"[: kind.length or None]


def fill(db: Database) -> None:
    with db.engine.begin() as connection:
        for table in tables_of(db):
            for number in (1, 2):
                connection.execute(table.insert().values({one.name: value(one, number) for one in table.columns}))


def rows_of(db: Database) -> dict[str, list[dict[str, Any]]]:
    with db.engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in tables_of(db)
        }


def check_upgrade(db: Database, revision: str) -> None:
    upgrade(db, revision)
    fill(db)
    before = rows_of(db)
    assert all(len(rows) == 2 for rows in before.values())
    db.migrate()
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    after = rows_of(db)
    for table, rows in before.items():
        kept = set(rows[0]) & set(after[table][0])
        assert kept, table
        for row in rows:
            same = [now for now in after[table] if all(now[name] == row[name] for name in kept)]
            assert len(same) == 1, f"{table}: {row}"
        assert len(after[table]) == len(rows), table


def test_there_are_earlier_schemas():
    assert REVISIONS[0] == "0001"
    assert len(REVISIONS) >= 7


@pytest.mark.parametrize("revision", REVISIONS)
def test_sqlite(tmp_path: Path, revision: str):
    db = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    try:
        check_upgrade(db, revision)
    finally:
        db.close()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory):
    with running_postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.mark.parametrize(
    "revision", [REVISIONS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in REVISIONS[1:])]
)
def test_postgresql(postgres: str, revision: str):
    db = Database(postgres)
    try:
        with db.engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        check_upgrade(db, revision)
    finally:
        db.close()
