"""What was missed comes later: sessions and laps as if all had come in order, and what points at a session follows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete
from tests.services.postgres_server import running_postgres

from ved.broker.base import StreamEntry
from ved.codec.records import encode_record
from ved.db.arrangement import list_joins, write_join
from ved.db.database import Database
from ved.db.edits import list_edits
from ved.db.epochs import note_clock
from ved.db.invitations import Invitation, create_invitation, list_invitations
from ved.db.laps import LapRow, list_laps, write_laps
from ved.db.notes import SUBJECT, list_notes, merge_sessions, put_notes, split_session
from ved.db.people import GuestScope
from ved.db.people_tables import edits, invitations
from ved.db.sessions import find_session, found_sessions, list_sessions
from ved.db.tables import lap_states, laps, session_cuts, session_joins, session_notes, session_parts, sessions
from ved.db.vehicles import ensure_vehicle_name
from ved.metrics import Counters
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, Clock, ClockSource, Lane
from ved.model.session import Notes
from ved.watch.parts import Now
from ved.watch.role import Watching, make_parts

EPOCH = b"a" * 16
SECOND = 1_000_000
UTC0 = 1_700_000_000
FOR_EVER_S = 4e9
_OF_SESSIONS = (sessions, session_parts, session_notes, session_joins, session_cuts, laps, lap_states)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'db.sqlite'}" if is_sqlite else request.getfixturevalue("postgres")
    db = Database(url, is_found_again=True)
    db.migrate()
    ensure_vehicle_name(db, "fs")
    with db.engine.begin() as connection:  # the server is the module's
        for table in (*_OF_SESSIONS, invitations, edits):
            connection.execute(delete(table))
    yield db
    db.close()


class Car:
    """Watch's parts and the car's seconds, of which each is a batch; `start` is a kill and a new start of watch."""

    def __init__(self, db: Database, epoch: bytes = EPOCH) -> None:
        self.db, self.epoch, self.position = db, epoch, 0
        note_clock(db, Clock("fs", epoch, 1, 0, UTC0 * SECOND, ClockSource.NTP, 0))  # as the role record does
        self.start()

    def start(self) -> None:
        self.watching = Watching(self.db, make_parts(self.db, Now(0, UTC0 * SECOND)), Counters())

    def drive(self, from_s: int, to_s: int, lane: Lane = Lane.LIVE, step_s: int = 50) -> None:
        for at in range(from_s, to_s, step_s):
            t_us = np.array([at * SECOND, min(at + step_s, to_s) * SECOND - 1], np.int64)
            zero = np.zeros(2, np.uint8)
            frames = FrameColumns(
                np.rint(t_us).astype(np.int64), zero, zero.astype(np.uint32), zero, zero, np.zeros((2, 8), np.uint8)
            )
            self._give(encode_record(FrameBatch("fs", self.epoch, 2 * at + 1, frames)), lane)

    def save(self) -> None:
        self.watching.save(self.position)
        self.watching.publish(lambda _arrival, _record: 0)

    def _give(self, record: bytes, lane: Lane) -> None:
        self.position += 1
        self.watching.take([StreamEntry(self.position, Arrival(0, UTC0 * SECOND, lane), record)])


def spans(db: Database) -> list[tuple[int, int]]:
    return [(one.utc_from_us // SECOND - UTC0, -(-one.utc_to_us // SECOND) - UTC0) for one in list_sessions(db, "fs")]


def guest_of(session: str) -> Invitation:
    return Invitation("guest", True, FOR_EVER_S, "Zoé", GuestScope(session, "fs", True, True))


def lap(session: str, at_s: int, number: int) -> LapRow:
    return LapRow("fs", (UTC0 + at_s) * SECOND, (UTC0 + at_s + 30) * SECOND, session, "t", number, 900.0, True, ())


@pytest.mark.parametrize("restarts", [False, True])
def test_what_points_at_a_session_follows_it_into_the_one_that_it_is_a_part_of(db: Database, restarts: bool):
    car = Car(db)
    car.drive(0, 100)
    car.drive(700, 800)
    car.drive(1500, 1600)
    car.save()
    first, second, third = (one.id for one in list_sessions(db, "fs"))
    put_notes(db, first, Notes(name="Morning", tags=("rain",), notes="wet"), "Zoé")
    put_notes(db, second, Notes(name="Noon", driver="Ana", notes="dry", tags=("keep",)), "Zoé")
    merge_sessions(db, second, third, "Zoé")
    create_invitation(db, guest_of(second))
    with db.engine.begin() as connection:
        write_laps(connection, [lap(first, 10, 1), lap(first, 50, 2), lap(second, 710, 1), lap(second, 750, 2)])
    for at in range(100, 700, 100):
        if restarts:
            car.start()
        car.drive(at, at + 100, Lane.BACKFILL)
        car.save()

    assert spans(db) == [(0, 1600)]
    assert [one.id for one in found_sessions(db)] == [first, third]  # people joined the third
    assert list_notes(db) == {first: Notes("Morning", "Ana", "", "", "wet\ndry", ("rain", "keep"))}
    assert [one.scope and one.scope.session for one in list_invitations(db)] == [first]
    laps = [(one.session_id, one.number) for one in list_laps(db, "fs")]
    assert laps == [(first, 1), (first, 2), (first, 3), (first, 4)]
    assert list_joins(db) == {second: first, third: first}
    assert [getattr(find_session(db, name), "id", None) for name in (first, second, third)] == [first] * 3
    assert find_session(db, "nobody") is None
    assert list_edits(db, SUBJECT, first)[-1].after == {"merged": second}
    assert put_and_read(db, second) == first


def put_and_read(db: Database, name: str) -> str:
    """What a person does under the old id is done to the whole."""
    new = split_session(db, name, (UTC0 + 300) * SECOND, "Zoé")
    return merge_sessions(db, name, new, "Zoé")


def test_it_follows_to_the_piece_that_people_cut(db: Database):
    car = Car(db)
    car.drive(0, 100)
    car.drive(700, 800)
    car.save()
    first, second = (one.id for one in list_sessions(db, "fs"))
    cut = split_session(db, first, (UTC0 + 50) * SECOND, "Zoé")
    put_notes(db, first, Notes(name="first"), "Zoé")
    put_notes(db, second, Notes(name="second"), "Zoé")
    car.drive(100, 700, Lane.BACKFILL)
    car.save()
    assert spans(db) == [(0, 50), (50, 800)]
    assert list_notes(db) == {first: Notes(name="first"), cut: Notes(name="second")}
    assert getattr(find_session(db, second), "id", None) == cut


def test_what_people_joined_the_other_way_round_makes_no_ring(db: Database):
    car = Car(db)
    car.drive(700, 800)
    car.drive(1500, 1600)
    car.save()
    second, third = (one.id for one in list_sessions(db, "fs"))
    with db.engine.begin() as connection:
        write_join(connection, second, third)
    car.drive(800, 1500, Lane.BACKFILL)
    car.save()
    assert list_joins(db) == {third: second}
    assert spans(db) == [(700, 1600)]


def test_a_kill_before_it_is_saved_changes_nothing(db: Database):
    car = Car(db)
    car.drive(0, 100)
    car.drive(700, 800)
    car.save()
    car.drive(100, 700, Lane.BACKFILL)
    car.start()
    assert spans(db) == [(0, 100), (700, 800)]
    car.drive(100, 700, Lane.BACKFILL)
    car.save()
    assert spans(db) == [(0, 800)]
