import socket
from importlib import resources
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import event, inspect

from ved.db import alarms, dbcs, epochs, keys, people, sessions, tables, vehicles
from ved.db.database import Database
from ved.db.people_tables import metadata
from ved.db.texts import list_texts, seed_texts
from ved.errors import StorageError, UserError
from ved.model.alarm import Alarm
from ved.model.records import (
    BusDescription,
    Clock,
    ClockSource,
    Description,
    Loss,
    LossPlace,
)
from ved.model.session import Session, SessionPart
from ved.model.vehicle import ChannelTexts, ChartPanel, MapChannels, Vehicle, VehicleBus

EPOCH = b"e" * 16


@pytest.fixture
def db(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    database.migrate()
    yield database
    database.close()


def test_migrations_make_exactly_the_tables(db: Database):
    db.migrate()  # a second start changes nothing
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("statements", [3, 20, 60])
def test_migrations_that_are_cut_short_have_done_nothing(tmp_path: Path, statements: int):
    database = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    done = 0

    def cut(*_: object) -> None:
        nonlocal done
        done += 1
        if done == statements:
            raise KeyboardInterrupt

    event.listen(database.engine, "before_cursor_execute", cut)
    with pytest.raises(KeyboardInterrupt):
        database.migrate()
    event.remove(database.engine, "before_cursor_execute", cut)
    with database.engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    database.migrate()
    assert database.schema_state() == "current"
    database.close()


def test_a_database_of_a_newer_version_is_named(db: Database):
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match="made by a newer ved"):
        db.migrate()


def test_a_database_that_cannot_be_opened_is_a_storage_error(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'no-such-folder' / 'db.sqlite'}")
    with pytest.raises(StorageError, match="unable to open"):
        database.migrate()
    database.close()


def test_a_database_that_cannot_be_written_is_a_storage_error(db: Database):
    with db.engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON")
        with pytest.raises(StorageError, match=r"db\.sqlite.*readonly"):
            connection.execute(tables.vehicles.insert().values(name="x", title_en="x", title_fr="x", charts=[]))


def test_an_enrol_code_works_once(db: Database):
    secret = keys.create_enrol_code(db, "fs", ttl_s=60)
    assert keys.redeem_enrol_code(db, b"x" * 16) is None
    assert keys.redeem_enrol_code(db, secret) == "fs"
    assert keys.redeem_enrol_code(db, secret) is None


def test_an_enrol_code_expires(db: Database):
    assert keys.redeem_enrol_code(db, keys.create_enrol_code(db, "fs", ttl_s=-1)) is None


def test_a_revoked_key_is_not_found(db: Database):
    key_id = keys.add_car_key(db, "fs", b"k" * 32)
    found = keys.find_car_key(db, b"k" * 32)
    assert found is not None
    assert (found.id, found.vehicle) == (key_id, "fs")
    assert keys.revoke_car_key(db, key_id)
    assert keys.find_car_key(db, b"k" * 32) is None
    assert [key.is_revoked for key in keys.list_car_keys(db)] == [True]
    assert not keys.revoke_car_key(db, key_id + 1)


def test_no_secret_stands_in_the_database(db: Database, tmp_path: Path):
    secret = keys.create_enrol_code(db, "fs", ttl_s=60)
    keys.add_car_key(db, "fs", b"SECRET-CAR-KEY-SECRET-CAR-KEY-32")
    token = people.create_signin_token(db)
    db.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for hidden in (secret, b"SECRET-CAR-KEY-SECRET-CAR-KEY-32", token.encode()):
        assert hidden not in stored


def test_a_signin_token_works_once_and_makes_a_user(db: Database):
    token = people.create_signin_token(db, role="engineer")
    user = people.redeem_signin_token(db, token)
    assert user is not None
    assert user.role == "engineer"
    assert people.list_users(db) == [(user, 0)]
    assert people.redeem_signin_token(db, token) is None
    assert people.redeem_signin_token(db, "guess") is None


def test_a_vehicle_is_seeded_once(db: Database):
    bus = VehicleBus(0, "powertrain", 1_000_000, "can0", ("a.dbc",), ("BU_:",))
    vehicle = Vehicle(
        "fs", "Car", "Voiture", (bus,), MapChannels("Gps.Lat", "Gps.Lon"), (ChartPanel("Speed", "Vitesse", ("A.b",)),)
    )
    vehicles.ensure_vehicle(db, vehicle)
    edited = dbcs.DbcFile(dbcs.put_dbc(db, "b.dbc", "BU_: X"), "b.dbc")
    dbcs.assign_dbc(db, dbcs.AssignmentDraft("fs", 0, "powertrain", (edited,), "engineer", "a fix"))
    vehicles.ensure_vehicle(db, vehicle)  # a restart must not undo what people edited
    history = dbcs.assignments(db, "fs")
    assert [(row.files[0].name, row.author, row.note) for row in history] == [
        ("a.dbc", "ved", "from the vehicle's folder"),
        ("b.dbc", "engineer", "a fix"),
    ]
    row = vehicles.get_vehicle(db, "fs")
    assert row is not None
    assert (row.map, row.charts) == (vehicle.map, vehicle.charts)
    vehicles.ensure_vehicle_name(db, "replay")
    assert [row.name for row in vehicles.list_vehicles(db)] == ["fs", "replay"]


def test_epoch_notes_are_idempotent(db: Database):
    description = Description("fs", EPOCH, 1, "Car", (BusDescription(0, "can0", ("BU_: A",)),))
    loss = Loss("fs", EPOCH, 2, LossPlace.KERNEL, 1, 17, 100, 200)
    gps = Clock("fs", EPOCH, 3, 1_000, 9_000, ClockSource.GPS, 5)
    for _ in range(2):
        epochs.note_epoch(db, "fs", EPOCH, 5)
        epochs.note_description(db, description, 6)
        epochs.note_loss(db, loss)
        epochs.note_clock(db, gps)
    (row,) = epochs.list_epochs(db, "fs")
    assert (row.first_arrival_utc_us, row.buses) == (5, description.buses)
    assert epochs.list_losses(db, "fs", EPOCH) == [loss]
    assert [(pair.t_us, pair.source) for pair in epochs.clock_pairs(db, "fs", EPOCH)] == [(1_000, ClockSource.GPS)]


def test_of_the_servers_clock_pairs_the_least_delayed_is_kept(db: Database):
    for t_us, utc_us in ((0, 120), (100, 205), (200, 330)):
        epochs.note_clock(db, Clock("fs", EPOCH, 0, t_us, utc_us, ClockSource.SERVER, 0))
    assert [(pair.t_us, pair.utc_us) for pair in epochs.clock_pairs(db, "fs", EPOCH)] == [(100, 205)]


def test_sessions_are_replaced_as_they_grow(db: Database):
    part = SessionPart(EPOCH, 0, 10)
    sessions.save_sessions(db, [Session("s1", "fs", 5, 15, is_open=True, parts=(part,))])
    grown = Session("s1", "fs", 5, 99, is_open=False, parts=(SessionPart(EPOCH, 0, 94),))
    sessions.save_sessions(db, [grown])
    assert sessions.list_sessions(db, "fs") == [grown]
    assert sessions.list_sessions(db, "pe") == []
    assert sessions.count_sessions(db) == 1


def test_what_was_assigned_before_the_registry_kept_a_history_is_its_first_entry(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'old.sqlite'}")
    config = Config()
    config.set_main_option("script_location", str(resources.files("ved.db") / "migrations"))
    config.set_main_option("path_separator", "os")
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("INSERT INTO dbc_files VALUES ('d1', 'a.dbc', 'BU_:')")
        connection.exec_driver_sql("INSERT INTO dbc_assignments VALUES ('fs', 0, 'powertrain', '[\"d1\", \"d2\"]')")
    database.migrate()
    (row,) = dbcs.assignments(database, "fs")
    assert (row.bus_index, row.bus_name, row.valid_from_us, row.valid_to_us) == (0, "powertrain", None, None)
    assert row.files == (dbcs.DbcFile("d1", "a.dbc"), dbcs.DbcFile("d2", "d2"))
    database.close()


def test_titles_are_seeded_once(db: Database):
    seed_texts(db, "fs", [ChannelTexts("A.b", "Speed", "Vitesse"), ChannelTexts("A.b", "Speed", "Allure")])
    seed_texts(db, "fs", [ChannelTexts("A.b", "Other", "Autre")])
    assert list_texts(db, "fs") == {"A.b": ChannelTexts("A.b", "Speed", "Allure")}
    assert list_texts(db, "pe") == {}


def test_alarms_are_counted_in_the_span_in_which_they_began(db: Database):
    def raised(vehicle: str, utc_us: int) -> Alarm:
        name = f"{vehicle} {utc_us}"
        return Alarm(name, vehicle, EPOCH, "hot", 2, "Hot", "Chaud", "T", "°C", False, False, 0, utc_us, 1.0, 1.0)

    with db.engine.begin() as connection:
        alarms.write_alarms(
            connection, [raised("fs", at) for at in (99, 100, 150, 200, 201, 305)] + [raised("pe", 120)]
        )
    assert alarms.count_alarms(db, "fs", [(300, 400), (100, 200), (500, 600)]) == [1, 3, 0]
    assert alarms.count_alarms(db, "fs", []) == []
    assert alarms.count_alarms(db, "ps", [(0, 400)]) == [0]


def test_a_database_host_that_says_nothing_is_not_waited_for():
    """Connections are taken, as a machine's firewall may do, and nothing follows."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        db = Database(f"postgresql+psycopg://ved@127.0.0.1:{silent.getsockname()[1]}/ved")
        try:
            with pytest.raises(StorageError):
                sessions.list_sessions(db, "fs")
        finally:
            db.close()
