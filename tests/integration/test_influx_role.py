"""The role influx against a real influxd 1.6 and a real VictoriaMetrics: every frame once, whatever happens."""

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.integration.influx_car import DBC, EPOCH, UTC_US, Car, Points, expected, frames, stored
from tests.integration.influx_server import Influx, free_port, influxd
from tests.integration.victoria_server import victoria

from ved.influx import rewrite, sender
from ved.influx.epochs import Written, WrittenStore
from ved.influx.role import CURSOR, STATE_FOLDER, run_influx
from ved.lake.lake import Lake
from ved.metrics import LINES_TOTAL, REFUSED_TOTAL
from ved.model.records import BusDescription, Clock, ClockSource, Description, Preview
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

KNOWN = 3  # of four frames, those that the DBC knows


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with influxd(tmp_path_factory.mktemp("influx") / "db") as server:
        yield server


@pytest.fixture
def car(influx: Influx, tmp_path: Path) -> Iterator[Car]:
    influx.query("DROP DATABASE ved")  # the role makes it anew
    out = Car(tmp_path, influx.url)
    yield out
    out.close()


def test_every_known_frame_is_one_point_with_the_decoders_values(influx: Influx, car: Car) -> None:
    car.begin()
    car.drive(600, batches=10)
    car.put(Preview("fs", EPOCH, 1, replace(car.batches[0].frames, t_us=car.batches[0].frames.t_us + 77)))
    car.writer.sync()
    car.run()
    assert stored(influx) == expected(car.batches)
    (counted,) = influx.series("SELECT COUNT(Speed) FROM Motion")
    (measured,) = influx.series("SELECT COUNT(Part) FROM Cells")
    # Two frames of one id in one microsecond are two points.
    ids = np.concatenate([batch.frames.arbitration_id for batch in car.batches])
    assert counted["values"][0][1] == int((ids == 256).sum())
    assert measured["values"][0][1] == int((ids == 257).sum())
    t_us = np.concatenate([batch.frames.t_us for batch in car.batches])
    assert len(np.unique(t_us[ids == 256])) < int((ids == 256).sum())
    assert car.counters[LINES_TOTAL] == int((ids != 999).sum()) - _without_numbers(car)
    assert car.counters[REFUSED_TOTAL] == 0
    kinds = {tuple(row) for one in influx.series("SHOW FIELD KEYS") for row in one["values"]}
    assert {kind for _, kind in kinds} == {"float"}


def _without_numbers(car: Car) -> int:
    """Frames of the floats' message in which no value is a number: they have nothing to say."""
    count = 0
    for batch in car.batches:
        pairs = batch.frames.payload[batch.frames.arbitration_id == 258].copy().view("<f4")
        count += int((~np.isfinite(pairs)).all(axis=1).sum())
    return count


def test_what_is_sent_again_and_what_comes_late_lies_in_its_own_place(influx: Influx, car: Car) -> None:
    car.begin()
    whole = [frames(first, 400) for first in range(1, 4001, 400)]
    for number in (0, 1, 4, 9, 5):
        car.put(whole[number])
    car.writer.sync()
    car.run()
    some = stored(influx)
    assert some == expected([whole[number] for number in (0, 1, 4, 5, 9)])
    for number in (2, 3, 6, 7, 8, 2):
        car.put(whole[number])
    car.writer.sync()
    car.run()
    assert stored(influx) == expected(whole)
    car.stream.commit_cursor(CURSOR, 0)  # the cursor is lost: all is written once more
    car.run()
    assert stored(influx) == expected(whole)


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_killed_in_the_middle(influx: Influx, car: Car, kills: int) -> None:
    car.begin()
    car.drive(600, batches=60 * kills)
    for _ in range(kills):
        process = car.process()
        before = car.stream.cursor(CURSOR) or 0
        until_s = time.monotonic() + 20
        while (car.stream.cursor(CURSOR) or 0) <= before and not car.is_written() and time.monotonic() < until_s:
            time.sleep(0.001)
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()
    car.drive(600, batches=2)
    car.run()
    assert stored(influx) == expected(car.batches)


def test_the_database_is_away_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr(sender, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(sender, "LONGEST_PAUSE_S", 0.1)
    port = free_port()
    (tmp_path / "data").mkdir()
    car = Car(tmp_path / "data", f"http://127.0.0.1:{port}")
    car.begin()

    async def go() -> None:
        stop = asyncio.Event()
        role = asyncio.create_task(run_influx(car.settings, lambda _: None, stop, car.counters))
        car.drive(600, batches=5)
        async with asyncio.timeout(60):
            while "does not answer" not in caplog.text:
                await asyncio.sleep(0.02)
            for _ in range(2):
                assert not car.is_written()
                server = influxd(tmp_path / "db", port)
                await asyncio.to_thread(server.__enter__)
                while not car.is_written():
                    await asyncio.sleep(0.02)
                await asyncio.to_thread(server.__exit__, None, None, None)
                car.drive(600, batches=5)
                await asyncio.sleep(1.0)  # it tries, and cannot
        assert car.counters.figures()["lag"] > 500
        assert car.counters.figures()["queue"] >= 600
        stop.set()
        await asyncio.wait_for(role, 5)

    with caplog.at_level(logging.WARNING):
        asyncio.run(go())
    assert caplog.text.count("does not answer") == 3  # once each time
    assert caplog.text.count("takes lines again") == 2
    with influxd(tmp_path / "db", port) as server:
        assert stored(server) == expected(car.batches[:10])
        car.run()
        assert stored(server) == expected(car.batches)
    car.close()


def test_a_login_is_needed_and_a_wrong_one_loses_nothing(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(sender, "FIRST_PAUSE_S", 0.05)
    (tmp_path / "data").mkdir()
    with influxd(tmp_path / "db", login=("admin", "secret")) as server:
        car = Car(tmp_path / "data", server.url, user="admin", password="wrong")
        car.begin()
        car.drive(600)
        with caplog.at_level(logging.WARNING):
            car.run(until=lambda: "refuses user" in caplog.text)
        assert caplog.text.count("refuses user, password or token (401)") == 1
        assert (car.stream.cursor(CURSOR) or 0) <= 2
        car.with_target(password="secret")
        car.run()
        assert stored(server) == expected(car.batches)
        car.close()


def test_a_field_of_another_type_costs_itself_alone(influx: Influx, car: Car, caplog) -> None:
    influx.query("CREATE DATABASE ved")
    influx.write("ved", [f"Motion,vehicle=old Speed=5i {UTC_US}", f"Cells,vehicle=old U3=true {UTC_US}"])
    car.begin()
    car.drive(600, batches=4)
    with caplog.at_level(logging.WARNING):
        car.run()
        car.drive(600)
        car.run()
    wanted = expected(car.batches)
    missing = [wanted.pop(name) for name in (("Motion", "Speed"), ("Cells", "U3"))]
    assert stored(influx) == wanted
    assert car.counters[REFUSED_TOTAL] >= sum(map(len, missing)) - len(missing[0])
    assert caplog.text.count("field 'Speed' of measurement 'Motion' has another type") <= 2
    assert "field 'U3' of measurement 'Cells'" in caplog.text


def test_lines_that_are_never_taken_are_counted_and_block_nothing(influx: Influx, car: Car, caplog) -> None:
    influx.query("CREATE DATABASE ved WITH DURATION 24h REPLICATION 1 SHARD DURATION 1h NAME short")
    car.begin()  # of 2025: beyond what the database keeps
    car.drive(600)
    fresh_us = time.time_ns() // 1000
    car.put(Clock("fs", EPOCH[::-1], 1, 0, fresh_us, ClockSource.GPS, 1))
    one = SampleColumns(np.array([0, 7]), np.zeros(2, np.uint16), np.array([1.5, 2.5]))
    car.put(SampleBatch("fs", EPOCH[::-1], 1, (SampleChannel("tyres.front left"),), one))
    car.writer.sync()
    with caplog.at_level(logging.WARNING):
        car.run()
    assert car.counters[REFUSED_TOTAL] > 300
    assert caplog.text.count("refused for good") == 1
    assert stored(influx) == {("tyres", "front left"): {fresh_us * 1000 + 1: 1.5, (fresh_us + 7) * 1000 + 2: 2.5}}


def test_resampled_no_signal_has_more_points_than_asked(influx: Influx, car: Car) -> None:
    car.with_target(rate_hz=100.0)
    car.begin()
    car.drive(600, batches=20, period_us=100)  # 1.2 s of 10,000 frames/s: 2,500 of each id
    car.run()
    found, wanted = stored(influx), expected(car.batches)
    for name in (("Motion", "Speed"), ("Cells", "Part"), ("Cells", "U2")):
        assert 115 <= len(found[name]) <= (365 if name[1] == "Part" else 122)  # Part stands beside each of its sets
        assert found[name].items() <= wanted[name].items()  # real values at their own times
        gaps = np.diff(sorted(found[name])) / 1e6
        assert gaps.max() < 21


def test_a_slow_signal_is_whole_when_resampled(influx: Influx, car: Car) -> None:
    car.with_target(rate_hz=100.0)
    car.begin()
    car.drive(600, batches=3, period_us=2500)  # each id at 100 Hz, two frames of an id 2.5 ms apart
    wanted = expected(car.batches)
    car.run()
    found = stored(influx)
    assert set(found) == set(wanted)
    assert len(found["Cells", "U1"]) >= 0.5 * len(wanted["Cells", "U1"])


def test_a_better_clock_moves_what_was_written(influx: Influx, car: Car, monkeypatch) -> None:
    monkeypatch.setattr(rewrite, "SETTLE_S", 0.1)
    wrong_us = UTC_US + 3_000_000
    car.begin(ClockSource.NTP, wrong_us)
    car.drive(600, batches=5)
    late = frames(1, 600, seed=9)
    other = replace(late, epoch=EPOCH[::-1], frames=replace(late.frames, t_us=late.frames.t_us + 4_000_123))
    car.put(Description("fs", other.epoch, 1, "car", (BusDescription(0, "powertrain", (DBC,)),)))
    car.put(Clock("fs", other.epoch, 2, 0, UTC_US, ClockSource.GPS, 1))  # where the wrong clock put the first epoch
    car.put(other)
    car.writer.sync()
    car.run()
    both = expected([other])
    assert stored(influx) == _joined(expected(car.batches, wrong_us), both)
    lake = Lake(car.settings.lake_url)
    lake.append([*car.batches, other])
    car.put(Clock("fs", EPOCH, 3, 1000, UTC_US + 1000, ClockSource.GPS, 10))
    car.drive(600)
    lake.append(car.batches[-1:])
    store = WrittenStore(car.folder / STATE_FOLDER)
    car.run(until=lambda: car.is_written() and store.read(("fs", EPOCH)) == Written(UTC_US))
    assert stored(influx) == _joined(expected(car.batches), both)


def _joined(one: Points, other: Points) -> Points:
    return {name: one.get(name, {}) | other.get(name, {}) for name in {*one, *other}}


def test_victoria_metrics_over_v2(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with victoria(tmp_path / "vm") as server:
        car = Car(tmp_path / "data", server.url, api="v2", org="team", token="t0ken")
        car.begin()
        car.drive(600, batches=4)
        car.run()
        car.stream.commit_cursor(CURSOR, 0)
        car.run()
        wanted = expected(car.batches)
        found = {one["metric"]["__name__"]: one for one in server.export('{vehicle="fs"}')}
        assert set(found) == {f"{measurement}_{field}" for measurement, field in wanted}
        for (measurement, field), points in wanted.items():
            one = found[f"{measurement}_{field}"]
            assert one["metric"]["bus"] == "powertrain"
            # It keeps milliseconds, and of one millisecond one value.
            in_ms = {t // 1_000_000 for t in points}
            assert set(one["timestamps"]) == in_ms
            if measurement == "Measured":
                continue  # random bits: it keeps decimals of about 15 digits, with one exponent for many
            near = np.array(sorted(points.values()))
            assert all(np.isclose(near, value, rtol=1e-12, atol=0).any() for value in one["values"])
        car.close()
