"""What lake, database, disk or server refuse the role influx: it costs time, and no point."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.influx_car import DBC, EPOCH, UTC_US, Car, Points, expected, frames, stored
from tests.integration.influx_server import Influx, influxd

from ved.codec.records import encode_record
from ved.errors import StorageError
from ved.influx import rewrite, role
from ved.influx.backfill import LakeLines
from ved.influx.epochs import Written, WrittenStore
from ved.influx.role import STATE_FOLDER, run_influx
from ved.lake.lake import Lake
from ved.metrics import LINES_TOTAL
from ved.model.records import Arrival, BusDescription, Clock, ClockSource, Description, Lane

WRONG_US = UTC_US + 3_000_000
KEY = ("fs", EPOCH)


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with influxd(tmp_path_factory.mktemp("influx") / "db") as server:
        yield server


@pytest.fixture
def car(influx: Influx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Car]:
    monkeypatch.setattr(rewrite, "SETTLE_S", 0.1)
    monkeypatch.setattr(role, "_RETRY_S", 0.02)
    influx.query("DROP DATABASE ved")
    out = Car(tmp_path, influx.url)
    yield out
    out.close()


def run(car: Car, *steps: Callable[[], object]) -> None:
    """Run the role over some steps; a step that is no change of the test is waited for until it is true."""

    async def go() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(run_influx(car.settings, lambda _: None, stop, car.counters))
        async with asyncio.timeout(20):
            for step in steps:
                while step() is False:
                    assert not running.done()
                    await asyncio.sleep(0.02)
        stop.set()
        await running

    asyncio.run(go())


def moved_by_a_better_clock(car: Car) -> Callable[[], bool]:
    """Frames that are written under a wrong clock, then a right one; True once all of them are written anew."""
    car.begin(ClockSource.NTP, WRONG_US)
    car.drive(600, batches=3)
    car.run()
    car.put(Clock(*KEY, 3, 1000, UTC_US + 1000, ClockSource.GPS, 10))
    car.drive(600)
    Lake(car.settings.lake_url).append(car.batches)
    store = WrittenStore(car.folder / STATE_FOLDER)
    return lambda: car.is_written() and store.read(KEY) == Written(UTC_US)


def joined(one: Points, other: Points) -> Points:
    return {name: one.get(name, {}) | other.get(name, {}) for name in {*one, *other}}


@pytest.mark.parametrize("step", ["range_us", "plan", "lines"])
def test_a_rewrite_that_the_lake_refused_is_begun_again(
    influx: Influx, car: Car, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    monkeypatch.setattr(rewrite, "_AGAIN_S", 0.2)
    refusals = 0
    real = getattr(LakeLines, step)

    def refused_twice(*args: object) -> object:
        nonlocal refusals
        refusals += 1
        if refusals <= 2:
            raise StorageError("the lake does not answer")
        return real(*args)

    monkeypatch.setattr(LakeLines, step, refused_twice)
    is_done = moved_by_a_better_clock(car)
    with caplog.at_level(logging.WARNING):
        run(car, is_done, lambda: car.drive(600), car.is_written)
    assert stored(influx) == expected(car.batches)
    assert caplog.text.count("cannot be written anew; tried again in 0 s: the lake does not answer") == 2
    assert "waiting for the disk" not in caplog.text  # that is for what is live


@pytest.mark.parametrize("statement", ["DELETE these", "DELETE WHERE \"Speed\" > 1 AND time < 'x'"])
def test_a_server_that_does_not_delete_holds_up_nothing(
    influx: Influx, car: Car, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    monkeypatch.setattr(rewrite, "delete_statement", lambda *_: statement)
    is_done = moved_by_a_better_clock(car)
    former = expected(car.batches[:-1], WRONG_US)
    with caplog.at_level(logging.WARNING):
        run(car, is_done, lambda: car.drive(600), car.is_written)
    assert stored(influx) == joined(expected(car.batches), former)
    assert caplog.text.count("its points at the former times stay") == 1
    assert f"{influx.url} (ved) refuses DELETE (" in caplog.text
    assert "'ved influx backfill --vehicle fs --replace'" in caplog.text


def test_what_was_read_while_the_database_refused_is_written_once(
    influx: Influx, car: Car, caplog: pytest.LogCaptureFixture
) -> None:
    car.begin()
    car.drive(100)
    late = frames(1, 100, seed=9)
    other = replace(late, epoch=EPOCH[::-1], frames=replace(late.frames, t_us=late.frames.t_us + 4_000_123))

    def refuse() -> None:
        with car.db.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE clocks RENAME TO hidden")
        car.drive(100)
        for record in (
            Description("fs", other.epoch, 1, "car", (BusDescription(0, "powertrain", (DBC,)),)),
            Clock("fs", other.epoch, 2, 0, UTC_US, ClockSource.GPS, 1),
            other,
        ):
            car.writer.append(Arrival(1, time.time_ns() // 1000, Lane.LIVE), encode_record(record))
        car.drive(100)

    def repair() -> None:
        with car.db.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE hidden RENAME TO clocks")

    with caplog.at_level(logging.WARNING):
        run(car, car.is_written, refuse, lambda: caplog.text.count("waiting for the disk") > 5, repair, car.is_written)
    wanted = joined(expected(car.batches), expected([other]))
    assert stored(influx) == wanted
    assert car.counters[LINES_TOTAL] == len({(name[0], t) for name, points in wanted.items() for t in points})


def test_stopped_while_the_database_refuses_the_next_start_has_it_all(influx: Influx, car: Car, caplog) -> None:
    car.begin()
    car.drive(100, batches=3)
    with car.db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE clocks RENAME TO hidden")
    with caplog.at_level(logging.WARNING):
        run(car, lambda: caplog.text.count("waiting for the disk") > 5)
    with car.db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE hidden RENAME TO clocks")
    run(car, car.is_written)
    assert stored(influx) == expected(car.batches)


def test_nothing_more_is_read_while_a_chunk_cannot_be_written(
    influx: Influx, car: Car, caplog: pytest.LogCaptureFixture
) -> None:
    folder = car.folder / STATE_FOLDER
    folder.write_text("a file stands where the folder belongs")
    car.begin()
    car.drive(600, batches=60)
    rows: list[float] = []

    def refused(times: int) -> bool:
        return caplog.text.count("waiting for the disk") >= times

    def note() -> None:
        rows.append(car.counters.figures()["queue"])

    with caplog.at_level(logging.WARNING):
        run(car, lambda: refused(1), note, lambda: refused(20), note, folder.unlink, car.is_written)
    assert rows[0] == rows[1] > 0
    assert stored(influx) == expected(car.batches)
