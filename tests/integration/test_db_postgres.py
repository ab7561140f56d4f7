"""People's data on a real PostgreSQL: the schema, and what the roles do with it."""

from pathlib import Path

import pytest
from sqlalchemy import inspect
from tests.services.postgres_server import running_postgres

from ved.cli.server import seed_vehicles
from ved.db.database import Database
from ved.db.dbcs import assignments
from ved.db.people import create_signin_token, redeem_signin_token
from ved.db.people_tables import metadata
from ved.db.vehicles import list_vehicles


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory):
    with running_postgres(tmp_path_factory.mktemp("postgres")) as found:
        yield found


def test_migrations_make_the_tables_that_the_code_knows(url: str):
    db = Database(url)
    db.migrate()
    db.migrate()
    found = inspect(db.engine)
    for table in metadata.sorted_tables:
        columns = {column["name"] for column in found.get_columns(table.name)}
        assert columns == {column.name for column in table.columns}, table.name
    db.close()


def test_vehicles_their_dbcs_and_people_are_kept(url: str, tmp_path: Path):
    db = Database(url)
    db.migrate()
    for _ in range(2):
        seed_vehicles(db, tmp_path)
    assert {"fs", "pe", "ps"} <= {row.name for row in list_vehicles(db)}
    assert [row.bus_name for row in assignments(db, "fs")] == ["powertrain", "chassis", "sensors"]
    token = create_signin_token(db, "engineer")
    user = redeem_signin_token(db, token)
    assert user is not None
    assert user.role == "engineer"
    assert redeem_signin_token(db, token) is None
    db.close()
