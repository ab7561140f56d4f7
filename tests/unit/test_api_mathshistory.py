"""Maths channels of all time: who asks for the definitions alone waits for no read."""

import threading
from pathlib import Path

import numpy as np
import pytest

from ved.api.mathshistory import MathsHistory
from ved.api.series import Samples
from ved.db.database import Database
from ved.db.maths import put_maths
from ved.db.sessions import save_sessions
from ved.db.sessions_merged import absorb_session
from ved.model.channel import Channel
from ved.model.maths import MathsDef
from ved.model.session import Session, SessionPart

SPEED = Channel("Motion.Speed", "km/h", "continuous", None, "Motion", "Speed", 1, False)
WAIT_S = 20


@pytest.fixture
def db(tmp_path: Path):
    db = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    db.migrate()
    put_maths(db, "fs", MathsDef("double", "Motion.Speed * 2"), "test")
    yield db
    db.close()


class HeldReads:
    """A lake whose reads wait until they may go on."""

    def __init__(self) -> None:
        self.is_read, self.may_end = threading.Event(), threading.Event()

    def read(self, _vehicle, names, utc_us, _recent) -> dict[str, Samples]:
        self.is_read.set()
        assert self.may_end.wait(WAIT_S)
        t_us = np.arange(*utc_us, 1000, dtype=np.int64)
        return dict.fromkeys(names, (t_us, np.full(len(t_us), 4.0)))


def test_a_read_that_lasts_holds_up_neither_forgetting_nor_the_definitions(db: Database):
    lake = HeldReads()
    history = MathsHistory(db, lake.read, lambda _vehicle: [SPEED])
    got: dict[str, Samples] = {}
    asked = threading.Event()

    def ask() -> None:
        history.forget("fs")
        assert "Maths.double" in history.of("fs").programs
        asked.set()

    reader = threading.Thread(target=lambda: got.update(history.read("fs", ["Maths.double"], (0, 10_000), ())))
    asker = threading.Thread(target=ask)
    reader.start()
    try:
        assert lake.is_read.wait(WAIT_S)
        asker.start()
        assert asked.wait(WAIT_S)
        assert reader.is_alive()
    finally:
        lake.may_end.set()
        reader.join()
        asker.join()
    assert got["Maths.double"][1].tolist() == [8.0] * 10


def test_what_was_forgotten_while_it_was_looked_at_is_looked_at_again(db: Database):
    looks = []

    def channels(_vehicle: str) -> list[Channel]:
        looks.append(len(looks))
        if len(looks) == 1:  # somebody edits before the first look is over
            history.forget("fs")
        return [SPEED]

    history = MathsHistory(db, HeldReads().read, channels)
    history.of("fs")
    assert len(looks) == 2


def test_what_is_summed_up_begins_with_the_whole_session_once_two_are_one(db: Database):
    lake = HeldReads()
    lake.may_end.set()
    put_maths(db, "fs", MathsDef("way", "integral(Motion.Speed)"), "test")
    history = MathsHistory(db, lake.read, lambda _vehicle: [SPEED])

    def way_km() -> float:
        history.forget("fs")
        ((_, values),) = history.read("fs", ["Maths.way"], (3_000_000, 4_000_000), ()).values()
        return float(values[-1])

    first, second = (
        Session(f"{at}", "fs", at, at + 1_000_000, is_open=True, parts=(SessionPart(b"a" * 16, at, at + 1_000_000),))
        for at in (0, 2_000_000)
    )
    save_sessions(db, [first, second])
    apart = way_km()
    with db.engine.begin() as connection:
        absorb_session(db, connection, second.id, first)
    assert way_km() == pytest.approx(2 * apart, rel=1e-2)
