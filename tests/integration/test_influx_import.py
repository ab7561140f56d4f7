"""`ved import influx` from a real InfluxDB 1.x into a lake, through a real server."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from tests.integration.influx_server import Influx, influxd

import ved
from ved.api.history import History
from ved.cli import influx_import
from ved.cli.importing import Target
from ved.cli.influx_import import InfluxImport, import_influx
from ved.config.settings import ServerSettings
from ved.db.database import Database
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.logfiles.influxdb import InfluxDatabase

DAY_US = 1_746_057_600_000_000  # 2025-05-01


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory):
    with influxd(tmp_path_factory.mktemp("influx") / "db") as server:
        server.query("CREATE DATABASE telemetry")
        fill(server, 0, 2000)
        yield server


def fill(server: Influx, first: int, last: int) -> None:
    """Points k = first..last-1 at k/10 s: floats, integers, booleans, texts; two cars that a tag tells apart."""
    lines = []
    for k in range(first, last):
        t = DAY_US + k * 100_000
        lines.append(
            f'engine,car=fs,team=ved rpm={k * 1.5},gear={k % 6}i,on={"true" if k % 2 else "false"},note="x" {t}'
        )
        if k % 4 == 0:
            lines.append(f"engine,car=pe,team=ved rpm={k * 0.5} {t}")
            lines.append(f"odd\\ name,sensor=a\\,b°\\=1 temp\\ 1={20 + k} {t + 7}")
    server.write("telemetry", lines)


def target(tmp_path: Path, vehicle: str = "old") -> Target:
    return Target(vehicle, ServerSettings(data=tmp_path / "data", commit_s=0.2), None, tmp_path / "state")


def channels(tmp_path: Path, vehicle: str = "old") -> dict[str, np.ndarray]:
    db = Database(f"sqlite:///{tmp_path / 'data' / 'db.sqlite'}")
    history = History(Lake(str(tmp_path / "data" / "lake")), db)
    read = {one.name: history.samples(vehicle, one.name, 0, 1 << 60) for one in history.channels(vehicle)}
    db.close()
    return {name: np.column_stack([(one.utc_us - DAY_US) / 1e5, one.values]) for name, one in read.items()}


def test_everything_numeric_is_a_channel_once_and_a_later_run_brings_what_came_since(influx, tmp_path, capsys):
    wish = InfluxImport(influx.url, None, (), None, None)
    import_influx(wish, target(tmp_path))
    said = capsys.readouterr()
    assert "7,000 samples of 5 channels of 'telemetry' are in the lake" in said.out
    assert "engine: texts are left out: note" in said.err
    k = np.arange(2000.0)
    found = channels(tmp_path)
    expected = {
        "engine[car=fs].rpm": np.column_stack([k, k * 1.5]),
        "engine[car=fs].gear": np.column_stack([k, k % 6]),
        "engine[car=fs].on": np.column_stack([k, k % 2]),
        "engine[car=pe].rpm": np.column_stack([k[::4], k[::4] * 0.5]),
        "odd name.temp 1": np.column_stack([k[::4] + 7e-5, 20 + k[::4]]),
    }
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        np.testing.assert_allclose(found[name], rows, atol=1e-9)
    with ved.open(tmp_path / "data") as lake:
        (session,) = lake.sessions("old")
        kinds = {one.name: one.kind for one in session.channels}
        assert kinds["engine[car=fs].rpm"] == "continuous"
        assert kinds["engine[car=fs].gear"] == kinds["engine[car=fs].on"] == "discrete"
        assert session.frame(["engine[car=fs].rpm"], rate_hz=10)["engine[car=fs].rpm"][:3].tolist() == [0, 1.5, 3]

    mark = next((tmp_path / "data" / "imports" / "old").glob("influx-*.json"))
    told = mark.read_text()
    mark.unlink()  # how far it was is lost: what is stored is known by its content
    import_influx(wish, target(tmp_path))
    assert Lake(str(tmp_path / "data" / "lake")).stats().samples == 7000
    assert mark.read_text() == told
    fill(influx, 12_000, 12_100)
    capsys.readouterr()
    import_influx(wish, target(tmp_path))
    said = capsys.readouterr()
    assert "goes on at 2025-05-01 00:10:00 UTC" in said.err
    assert "350 samples" in said.out
    assert len(channels(tmp_path)["engine[car=fs].rpm"]) == 2100


def stretches(influx, measurement: str, from_us: int | None, to_us: int | None) -> list[tuple[bytes, int, int]]:
    source = InfluxDatabase(influx.url, "telemetry")
    found = influx_import.stretches(source, source.measurements([measurement]), (from_us, to_us))
    return [(one.epoch, len(one.samples), end_us) for one, end_us in found]


def test_a_run_goes_on_at_any_mark_with_the_stretches_of_the_first(influx, monkeypatch):
    monkeypatch.setattr(influx_import, "MAX_SLICE_SAMPLES", 600)
    whole = stretches(influx, "engine", None, DAY_US + 600_000_000)
    assert sum(count for _, count, _ in whole) == 6500
    assert len(whole) > 10
    for number, (_, _, end_us) in enumerate(whole):
        assert stretches(influx, "engine", end_us, DAY_US + 600_000_000) == whole[number + 1 :]
    assert stretches(influx, "engine", DAY_US + 1, DAY_US + 2) == whole  # whole stretches of ten minutes, always


def test_the_running_ten_minutes_wait_for_the_next_run(influx):
    now_us = int(dt.datetime.now(dt.UTC).timestamp() * 1e6)
    over_us = now_us // influx_import.SLICE_US * influx_import.SLICE_US
    influx.write("telemetry", [f"fresh v=1 {over_us - 1}", f"fresh v=2 {over_us}", f"fresh v=3 {now_us}"])
    ((_, count, end_us),) = stretches(influx, "fresh", None, None)
    assert count == 1 or end_us > over_us  # (or ten minutes ended just now)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "influx:8086"}, "give the address of an InfluxDB"),
        ({"url": "http://127.0.0.1:1"}, "no InfluxDB answers there"),
        ({"database": "nobody"}, "database not found: nobody"),
        ({"measurements": ("engin",)}, "known are engine"),
        ({"from_text": "May"}, "--from May: give a day or a time"),
    ],
)
def test_bad_input_is_one_clear_line(influx, tmp_path, change, said):
    wish = {"url": influx.url, "database": "telemetry", "measurements": (), "from_text": None, "to_text": None} | change
    with pytest.raises(UserError, match=said) as raised:
        import_influx(InfluxImport(**wish), target(tmp_path))
    assert "\n" not in str(raised.value)


def test_several_databases_must_be_told_apart(influx):
    influx.query("CREATE DATABASE other")
    try:
        with pytest.raises(UserError, match="there are telemetry, other"):
            InfluxDatabase(influx.url, None)
        with pytest.raises(UserError, match="has no measurements"):
            InfluxDatabase(influx.url, "other").measurements(())
    finally:
        influx.query("DROP DATABASE other")
