"""Health figures as watch makes them: what came in, and which samples it tells of it."""

from pathlib import Path

import numpy as np
import pytest

from ved.codec.records import decode_record
from ved.db.database import Database
from ved.db.health import RoleRow, write_health
from ved.db.vehicles import ensure_vehicle
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource, load_set
from ved.model.clockmap import ClockMap
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag
from ved.model.health import FIGURES, channel_name, figure_of, texts_of
from ved.model.records import Arrival, Clock, Lane, LinkState, Loss, LossPlace, Record
from ved.model.samples import SampleBatch
from ved.model.vehicle import Vehicle, VehicleBus
from ved.watch.health import HealthWatcher
from ved.watch.ledger import LedgerKeeper
from ved.watch.parts import Now, Taken

EPOCH = b"a" * 16
SECOND = 1_000_000
UTC0 = 1_700_000_000 * SECOND
DBC = 'VERSION ""\nBU_: X\nBO_ 256 Motor: 8 X\n SG_ speed : 0|16@1- (1,0) [0|0] "rpm" X\n'
FS = Vehicle("fs", "Car", "Voiture", (VehicleBus(0, "main", 500_000, "can0", (), ()),))


def at(second: float) -> Now:
    return Now(int(second * SECOND), UTC0 + int(second * SECOND))


class Bench:
    """Watch's two parts, without the rest of it."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.decoder = Decoder(load_set([DbcSource(None, "main", "t.dbc", DBC)]))
        self.ledger = LedgerKeeper(db)
        self.heard: list[SampleBatch] = []
        self.watcher = HealthWatcher(db, at(100), self.ledger, [self])
        self.records: list[Record] = []

    def take(self, taken: Taken) -> None:
        assert isinstance(taken.record, SampleBatch)
        self.heard.append(taken.record)

    def give(self, record: Record, second: float, lane: Lane = Lane.LIVE) -> None:
        taken = Taken(0, Arrival(at(second).mono_us, at(second).utc_us, lane), record, ClockMap(0, None))
        if isinstance(record, FrameBatch):
            taken.frames, taken.decoder = record.frames, self.decoder
        for part in (self.ledger, self.watcher):
            part.take(taken)

    def look(self, second: float) -> dict[str, float]:
        """The newest figures of the vehicle, as published."""
        with self.db.engine.begin() as connection:
            self.watcher.save(connection)
        self.watcher.tick(at(second))
        self.watcher.publish(lambda _, data: self.records.append(decode_record(data)) or 0, at(second))
        batch = next((one for one in reversed(self.records) if isinstance(one, SampleBatch)), None)
        if batch is None:
            return {}
        names = [batch.channels[index].name for index in batch.samples.channel]
        return dict(zip(names, batch.samples.value.tolist(), strict=True))


def batch(first_seq: int, count: int, second: float, ids: tuple[int, ...] = (256,), flag: int = 0) -> FrameBatch:
    """A hundred frames a second."""
    t_us = np.int64(second * SECOND) + np.arange(count, dtype=np.int64) * (SECOND // 100)
    zero = np.zeros(count, np.uint8)
    chosen = np.resize(np.array(ids, np.uint32), count)
    frames = FrameColumns(t_us, zero, chosen, zero + np.uint8(flag), zero + np.uint8(8), np.zeros((count, 8), np.uint8))
    return FrameBatch("fs", EPOCH, first_seq, frames)


@pytest.fixture
def bench(tmp_path: Path):
    db = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    db.migrate()
    ensure_vehicle(db, FS)
    yield Bench(db)
    db.close()


def test_a_vehicle_that_was_never_heard_has_no_figures(bench: Bench) -> None:
    bench.give(LinkState("fs", EPOCH, True, Lane.LIVE, "peer", 20_000), 100)
    assert bench.look(101) == {}


def test_link_and_bus_of_a_live_car(bench: Bench) -> None:
    bench.give(LinkState("fs", EPOCH, True, Lane.LIVE, "peer", 20_000), 100.1)
    bench.give(batch(1, 100, 0), 100.9)
    bench.look(101)
    bench.give(batch(101, 100, 1, ids=(256, 256, 257, 258)), 101.9)
    got = bench.look(102)
    assert got["health.link.up"] == 1
    assert got["health.link.rtt"] == 20
    assert got["health.link.age"] == pytest.approx(100)
    assert got["health.link.frames"] == pytest.approx(100)
    assert got["health.link.backlog"] == got["health.link.loss"] == got["health.link.backfill"] == 0
    assert got["health.bus.main.frames"] == pytest.approx(100)
    assert got["health.bus.main.errors"] == got["health.bus.main.drops"] == 0
    assert got["health.bus.main.unknown"] == 2
    # Zeros carry the most stuff bits: 111 bits of frame and some twenty more, a hundred times a second.
    assert 100 * 111 / 5000 < got["health.bus.main.load"] < 100 * 140 / 5000
    bench.look(105)
    assert bench.look(113).get("health.bus.main.load") is None  # nothing came: no load is made up
    assert bench.look(114)["health.link.age"] == pytest.approx(12_100)


def test_backlog_grows_with_what_is_left_out_and_backfill_takes_it_away(bench: Bench) -> None:
    bench.give(batch(1, 100, 0), 100.9)
    bench.look(101)
    bench.give(batch(301, 100, 3), 103.9)
    got = bench.look(104)
    assert got["health.link.backlog"] == 200
    assert got["health.link.frames"] == pytest.approx(100)  # by seq, though a third of them came
    assert got["health.bus.main.frames"] == pytest.approx(100)
    bench.give(batch(101, 150, 1), 104.5, Lane.BACKFILL)
    got = bench.look(105)
    assert got["health.link.backlog"] == 50
    assert got["health.link.backfill"] == pytest.approx(150)


def test_losses_error_frames_and_a_mark_of_the_past(bench: Bench) -> None:
    bench.give(batch(1, 100, 0), 100.9)
    bench.look(101)
    bench.give(batch(101, 50, 1, flag=FrameFlag.ERROR), 101.4)
    bench.give(batch(151, 50, 1.5), 101.9)
    bench.give(Loss("fs", EPOCH, 1, LossPlace.KERNEL, 0, 30, 0, 9), 101.9)
    bench.give(Loss("fs", EPOCH, 2, LossPlace.CAR_DISK, 255, 10, 0, 9), 101.9)
    bench.give(batch(1001, 100, 9), 50)  # arrived long ago: watch catches up
    got = bench.look(102)
    assert got["health.bus.main.errors"] == pytest.approx(50)
    assert got["health.bus.main.frames"] == pytest.approx(50)
    assert got["health.bus.main.drops"] == 30
    assert got["health.link.loss"] == 40
    assert bench.look(103)["health.link.loss"] == 0
    assert bench.look(104)["health.bus.main.drops"] == 0


def test_roles_stand_beside_the_car_and_a_role_that_hangs_grows_old(bench: Bench) -> None:
    bench.give(batch(1, 100, 0), 100.9)
    write_health(bench.db, RoleRow("record", at(100.5).utc_us, {"cpu": 12.5, "frames_stored_total": 9.0}))
    got = bench.look(101)
    assert got["health.role.record.cpu"] == 12.5
    assert got["health.role.record.age"] == pytest.approx(0.5)
    assert not any("total" in name for name in got)
    got = bench.look(140)
    assert got["health.role.record.age"] == pytest.approx(39.5)
    assert "health.role.record.cpu" not in got


def test_samples_have_an_epoch_with_a_clock_and_seqs_without_holes(bench: Bench) -> None:
    for second in range(101, 106):
        bench.give(batch(1 + 100 * (second - 101), 100, second - 101), second - 0.1)
        bench.look(second)
    clock, *batches = bench.records
    assert isinstance(clock, Clock)
    assert [one.first_seq for one in batches] == [1, *(one.last_seq + 1 for one in batches[:-1])]
    assert {one.epoch for one in bench.records} == {clock.epoch}
    offset_us = clock.utc_us - clock.t_us
    assert [int(one.samples.t_us[0]) + offset_us for one in batches] == [
        at(second).utc_us for second in range(101, 106)
    ]
    assert [one.first_seq for one in bench.heard] == [one.first_seq for one in batches]
    # The server's clock is set: times go on in a new epoch.
    late = Now(at(106).mono_us, at(106).utc_us + 3600 * SECOND)
    bench.watcher.tick(late)
    bench.watcher.publish(lambda _, data: bench.records.append(decode_record(data)) or 0, late)
    assert isinstance(bench.records[-2], Clock)
    assert bench.records[-1].epoch != clock.epoch
    assert bench.records[-1].first_seq == 1


def test_a_car_that_fell_silent_goes_on_ageing_over_a_restart(bench: Bench) -> None:
    bench.give(batch(1, 100, 0), 100.9)
    bench.look(101)
    bench.look(102)  # saves what was made at 101
    bench.watcher = HealthWatcher(bench.db, at(110), bench.ledger)
    got = bench.look(120)
    assert got["health.link.age"] == pytest.approx(19_100)


def test_every_figure_has_one_name() -> None:
    names = [channel_name(one.scope, one.name, "bus 1") for one in FIGURES]
    assert len(set(names)) == len(names)
    assert [figure_of(name) for name in names] == list(FIGURES)
    assert channel_name("bus", "load", "power.train") == "health.bus.power_train.load"
    texts = texts_of("health.bus.powertrain.load")
    assert texts is not None
    assert (texts.title_en, texts.title_fr) == ("Bus load: powertrain", "Charge du bus : powertrain")
    assert texts_of("Motor.speed") is None
    assert figure_of("health.bus.load") is figure_of("Motor.speed") is figure_of("health") is None
