"""What watch knows of the DBCs in force: a change reaches every vehicle, and many vehicles cost one question."""

from pathlib import Path

import numpy as np
import pytest

from ved.broker.base import StreamEntry
from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.dbcs import AssignmentDraft, DbcFile, add_aliases, assign_dbc, put_dbc
from ved.db.vehicles import ensure_vehicle_name
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, BusDescription, Description, Lane
from ved.watch import epochs
from ved.watch.epochs import RELOAD_US, Epochs

EPOCH = b"watch's epochs.."
OLD = 'BO_ 256 Motor: 8 X\n SG_ speed : 0|16@1- (1,0) [0|0] "rpm" X\n'
NEW = 'BO_ 256 Motor: 8 X\n SG_ torque : 0|16@1- (1,0) [0|0] "Nm" X\n'
ZERO = np.zeros(1, np.uint8)
FRAMES = FrameColumns(np.array([5]), ZERO, np.array([256], np.uint32), ZERO, ZERO + 8, np.zeros((1, 8), np.uint8))


def entry(record: FrameBatch | Description) -> StreamEntry:
    return StreamEntry(0, Arrival(0, 0, Lane.LIVE), encode_record(record))


def test_a_dbc_that_is_assigned_while_cars_drive_is_in_force_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    db.migrate()
    asked: list[tuple[int, int]] = []
    real = epochs.registries_mark

    def counted(db: Database) -> tuple[int, int]:
        asked.append(real(db))
        return asked[-1]

    monkeypatch.setattr(epochs, "registries_mark", counted)
    known, fleet = Epochs(db), [f"car{number}" for number in range(5)]

    def channels(now_us: int) -> dict[str, str]:
        out = {}
        for vehicle in fleet:
            taken = known.take(entry(FrameBatch(vehicle, EPOCH, 1, FRAMES)), now_us)
            assert taken.decoder is not None
            out[vehicle] = taken.decoder.channels[0].name
        return out

    for vehicle in fleet:
        ensure_vehicle_name(db, vehicle)
        described = Description(vehicle, EPOCH, 1, vehicle, (BusDescription(0, "main", (OLD,)),))
        known.take(entry(described), 0)
    assert channels(1) == dict.fromkeys(fleet, "Motor.speed")
    assert channels(2) == dict.fromkeys(fleet, "Motor.speed")
    assert len(asked) == 1

    file = DbcFile(put_dbc(db, "new.dbc", NEW), "new.dbc")
    assign_dbc(db, AssignmentDraft("car3", 0, "main", (file,), "somebody", ""))
    assert channels(RELOAD_US) == dict.fromkeys(fleet, "Motor.speed")
    assert channels(RELOAD_US + 2) == {**dict.fromkeys(fleet, "Motor.speed"), "car3": "Motor.torque"}

    add_aliases(db, "car1", [("revs", "Motor.speed")], "somebody")
    taken = known.take(entry(FrameBatch("car1", EPOCH, 1, FRAMES)), 3 * RELOAD_US)
    assert taken.decoder is not None
    assert taken.aliases.index(taken.decoder.dbc_set.numbers, "revs") == 0
    assert len(asked) == 3
    db.close()


def test_of_very_many_epochs_the_ones_in_use_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "MOST_EPOCHS", 3)
    db = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    db.migrate()
    read: list[bytes] = []
    real = epochs.clock_pairs

    def counted(db: Database, vehicle: str, epoch: bytes) -> list:
        read.append(epoch)
        return real(db, vehicle, epoch)

    monkeypatch.setattr(epochs, "clock_pairs", counted)
    ensure_vehicle_name(db, "car")
    known, names = Epochs(db), [bytes([number]) * 16 for number in range(20)]
    for name in names:
        for one in (names[0], name):
            known.take(entry(FrameBatch("car", one, 1, FRAMES)), 1)
    assert read == names  # the one in use was never read again
    known.take(entry(FrameBatch("car", names[5], 1, FRAMES)), 1)
    assert read == [*names, names[5]]
    db.close()
