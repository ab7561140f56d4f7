"""`ved influx backfill` from a lake into a real influxd: the same points as the role writes, as often as it is run."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.integration.influx_car import EPOCH, UTC_US, Car, expected, stored
from tests.integration.influx_server import Influx, influxd

from ved.cli import influx_backfill
from ved.cli.influx_backfill import Backfill, run_backfill
from ved.config.settings import ServerSettings
from ved.db.epochs import note_clock
from ved.errors import UserError
from ved.influx.sender import Sender
from ved.lake.lake import Lake
from ved.model.records import Clock, ClockSource
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with influxd(tmp_path_factory.mktemp("influx") / "db") as server:
        yield server


@pytest.fixture
def car(influx: Influx, tmp_path: Path) -> Iterator[Car]:
    influx.query("DROP DATABASE ved")
    out = Car(tmp_path, influx.url)
    out.begin()
    yield out
    out.close()


def settings_of(car: Car, **more) -> ServerSettings:
    target = car.settings.target
    given = {"influx_url": target.url, "influx_rate_hz": target.rate_hz} | more
    return ServerSettings(data=car.folder, db_url=car.db.url, **given)


def test_what_the_role_missed_comes_and_what_it_wrote_stays(influx: Influx, car: Car, capsys) -> None:
    car.drive(600, batches=4, period_us=10_000)
    car.run()
    car.drive(600, batches=4, period_us=10_000)
    lake = Lake(car.settings.lake_url)
    lake.append(car.batches)
    odd = SampleColumns(np.array([0, 3, 5_000_000]), np.array([0, 1, 0], np.uint16), np.array([1.0, 9.0, 2.0]))
    note_clock(car.db, Clock("fs", b"samples" + bytes(9), 1, 0, UTC_US, ClockSource.RECORDED, 0))
    lake.samples.append(
        [SampleBatch("fs", b"samples" + bytes(9), 1, (SampleChannel("loose"), SampleChannel("health.link.up")), odd)]
    )
    run_backfill(Backfill(), settings_of(car))
    wanted = expected(car.batches) | {
        ("samples", "loose"): {UTC_US * 1000 + 1: 1.0, UTC_US * 1000 + 5_000_000_003: 2.0}
    }
    assert stored(influx) == wanted
    assert "lines of fs are in" in capsys.readouterr().out
    # A clock that is a little better moves nothing: a second run must not write everything once more beside itself.
    note_clock(car.db, Clock("fs", EPOCH, 9, 0, UTC_US + 20_000, ClockSource.GPS, 1))
    run_backfill(Backfill("fs"), settings_of(car))
    assert stored(influx) == wanted


def test_a_run_that_was_stopped_goes_on_where_it_was(influx: Influx, car: Car, monkeypatch) -> None:
    car.drive(600, batches=8, period_us=10_000)
    Lake(car.settings.lake_url).append(car.batches)
    sent: list[int] = []
    send = Sender.send

    async def counted(self: Sender, make, refused) -> bool:
        if len(sent) == 3:
            raise KeyboardInterrupt
        sent.append(1)
        return await send(self, make, refused)

    monkeypatch.setattr(Sender, "send", counted)
    with pytest.raises(KeyboardInterrupt):
        run_backfill(Backfill("fs"), settings_of(car))
    assert 0 < len(stored(influx)["Motion", "Speed"]) < len(expected(car.batches)["Motion", "Speed"])
    sent[:] = [0] * 10
    run_backfill(Backfill("fs"), settings_of(car))
    assert len(sent) - 10 == 5 - 3  # of 48 s in stretches of ten
    assert stored(influx) == expected(car.batches)
    assert not list((car.folder / "influx").glob("backfill-*"))


def test_a_span_of_time_and_replace(influx: Influx, car: Car) -> None:
    car.drive(600, batches=5, period_us=10_000)
    Lake(car.settings.lake_url).append(car.batches)
    influx.query("CREATE DATABASE ved")
    old = [UTC_US + 7_000_000, UTC_US + 17_000_000]
    influx.write("ved", [f"Former,vehicle=fs x=1 {t}" for t in old] + [f"Former,vehicle=pe x=1 {t}" for t in old])
    where = {"from_text": "2025-06-15T15:06:50", "to_text": "2025-06-15T15:07:00"}  # UTC_US + 10 s, + 20 s
    run_backfill(Backfill("fs", **where, replace=True), settings_of(car))
    from_ns, to_ns = (UTC_US + 10_000_000) * 1000, (UTC_US + 20_000_000) * 1000
    part = {
        name: {t: value for t, value in points.items() if from_ns <= t < to_ns}
        for name, points in expected(car.batches).items()
    }
    assert stored(influx) == part | {("Former", "x"): {old[0] * 1000: 1.0}}
    run_backfill(Backfill("fs", replace=True), settings_of(car))
    assert stored(influx) == expected(car.batches)
    assert len(stored(influx, "pe")["Former", "x"]) == 2


@pytest.mark.parametrize(
    ("wish", "more", "said"),
    [
        ({}, {"influx_url": ""}, "no database is set"),
        ({"vehicle": "nobody"}, {}, "the lake has nothing of it; it has fs"),
        ({"session": "nothing"}, {}, "session 'nothing'"),
        ({"from_text": "May"}, {}, "--from May: give a day or a time"),
        ({"from_text": "2025-06-02", "to_text": "2025-06-01"}, {}, "the span of time is empty"),
        ({"replace": True}, {"influx_api": "v2"}, "v2 cannot delete"),
        ({}, {"influx_url": "http://127.0.0.1:1"}, "does not answer .* goes on where it stopped"),
    ],
)
def test_bad_input_is_one_clear_line(car: Car, monkeypatch, wish, more, said) -> None:
    monkeypatch.setattr(influx_backfill, "PATIENCE_S", 0.1)
    car.drive(600)
    Lake(car.settings.lake_url).append(car.batches)
    with pytest.raises(UserError, match=said) as raised:
        run_backfill(Backfill(**wish), settings_of(car, **more))
    assert "\n" not in str(raised.value)


def test_a_server_that_does_not_delete_is_one_clear_line(influx: Influx, car: Car, monkeypatch) -> None:
    monkeypatch.setattr(influx_backfill, "delete_statement", lambda *_: "DELETE these")
    car.drive(600)
    Lake(car.settings.lake_url).append(car.batches)
    with pytest.raises(UserError, match=r"\(ved\) refuses DELETE \(400\): .*; look at what influx_user") as raised:
        run_backfill(Backfill("fs", replace=True), settings_of(car))
    assert "\n" not in str(raised.value)
