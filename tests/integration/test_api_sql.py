"""SQL over decoded channels: right, read-only, and reading of the lake only what a query asks for."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from tests.integration.recorded_helpers import Folder, add_drive
from tests.integration.test_samples_channels import made as made_with_samples

import ved
from ved.api.opened import OpenedLake
from ved.cli.sql import run_query
from ved.config.settings import ServerSettings
from ved.db.maths import put_maths
from ved.dbc.decode import Decoder
from ved.errors import UserError
from ved.lake.reading import FrameFormat, Where
from ved.model.frames import FrameColumns
from ved.model.maths import MathsDef

DBC = """VERSION ""
BU_: A
BO_ 16 Motor: 8 A
 SG_ speed : 0|16@1- (1,0) [0|0] "rpm" A
 SG_ Time : 16|8@1+ (1,0) [0|0] "s" A
 SG_ temp : 24|8@1+ (0.5,0) [0|0] "°C" A
BO_ 17 Cells: 3 A
 SG_ page M : 0|8@1+ (1,0) [0|0] "" A
 SG_ one m1 : 8|8@1+ (1,0) [0|0] "V" A
 SG_ two m2 : 8|8@1+ (1,0) [0|0] "V" A
BO_ 18 Other: 1 A
 SG_ x : 0|8@1+ (1,0) [0|0] "" A
"""
START_US = 1_700_000_000_000_000
LONG_S = 3600


def frames(seconds: int) -> FrameColumns:
    """Ten times a second: Motor (speed = k), Cells (pages 1 and 2 in turn), Other."""
    k = np.repeat(np.arange(seconds * 10), 3)
    kind = np.tile(np.arange(3), seconds * 10)
    payload = np.zeros((len(k), 8), np.uint8)
    payload[:, 0] = np.where(kind == 0, k % 256, np.where(kind == 1, 1 + k % 2, k % 100))
    payload[:, 1] = np.where(kind == 0, k // 256 % 128, k % 200)
    payload[:, 2], payload[:, 3] = k % 60, 50
    length = np.choose(kind, [8, 3, 1]).astype(np.uint8)
    payload[np.arange(8) >= length[:, None]] = 0
    zeros = np.zeros(len(k), np.uint8)
    return FrameColumns(k * 100_000 + kind, zeros, (16 + kind).astype(np.uint32), zeros, length, payload)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory):
    folder = Folder(tmp_path_factory.mktemp("sql") / "data")
    add_drive(folder)
    folder.add("car", [(frames(LONG_S), START_US)], {0: ("can", DBC)})
    folder.add("car", [(frames(30), START_US + 10**10)], {0: ("can", DBC)})
    folder.lake.compact()
    with ved.open(folder.path) as opened:
        yield opened


def rows(lake: OpenedLake, query: str) -> list[dict]:
    return lake.sql(query).to_dicts()


def test_a_message_is_a_table_with_a_row_for_each_frame(lake):
    session = lake.sessions("recorded")[0]
    found = lake.sql("select * from recorded.gnss_speed order by time").to_arrow()
    assert found.schema.names[:3] == ["session", "time", "time_s"]
    assert set(found.schema.names[3:]) == {"SpeedValid", "Speed", "SpeedAccuracy"}
    truth = session.samples("gnss_speed.Speed")
    assert found["Speed"].to_pylist() == truth.values.tolist()
    assert found["time"].cast("int64").to_pylist() == truth.utc_us.tolist()
    np.testing.assert_allclose(found["time_s"].to_numpy(), truth.time_s)
    assert set(found["session"].to_pylist()) == {session.id}


def test_signals_that_a_frame_does_not_carry_are_null(lake):
    query = "select count(*) as n, count(one) as ones, count(two) as twos, max(two) as m from car.Cells where page > 0"
    n = LONG_S * 10 + 300
    assert rows(lake, query) == [{"n": n, "ones": n / 2, "twos": n / 2, "m": 199.0}]


def test_channels_are_a_long_table_that_agrees(lake):
    query = "select sum(value), count(*) from channels where channel = 'Motor.speed' and vehicle = 'car'"
    wide = "select sum(speed), count(speed) from car.Motor"
    assert list(rows(lake, query)[0].values()) == list(rows(lake, wide)[0].values())
    assert rows(lake, "select distinct unit from channels where channel like 'Motor.t%'") == [{"unit": "°C"}]
    assert rows(lake, "select * from channels where channel = 'nobody'") == []


def test_sessions_laps_and_signals_are_tables(lake):
    sessions = rows(lake, "select * from sessions order by start")
    assert [one["vehicle"] for one in sessions] == ["recorded", "car", "car"]
    assert sessions[2]["duration_s"] == pytest.approx(29.900002)
    laps = rows(lake, "select * from laps where vehicle = 'recorded'")
    assert [one["lap"] for one in laps] == [one.number for one in lake.sessions("recorded")[0].laps]
    signals = rows(lake, "select \"column\", channel, unit from signals where vehicle = 'car' and \"table\" = 'Motor'")
    assert {tuple(one.values()) for one in signals} == {
        ("speed", "Motor.speed", "rpm"),
        ("Time_", "Motor.Time", "s"),
        ("temp", "Motor.temp", "°C"),
    }
    joined = "select s.vehicle, max(m.Time_) as t from car.Motor m join sessions s using (session) group by all"
    assert rows(lake, joined) == [{"vehicle": "car", "t": 59.0}]


class Counted:
    """What a query read and decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        self.ids: set[int] = set()
        self.spans: list[tuple[int, int]] = []
        self.signals: set[str] = set()
        read, decode = FrameFormat.read, Decoder.decode

        def counting_read(one, entry, where: Where):
            found = read(one, entry, where)
            self.rows += len(found)
            self.ids |= {key.arbitration_id for key in where.keys or ()}
            self.spans.append((where.t_from_us, where.t_to_us))
            return found

        def counting_decode(one, frames, wanted=None):
            mask = np.ones(len(one.channels), np.bool_) if wanted is None else wanted
            self.signals |= {one.channels[number].name for number in np.flatnonzero(mask).tolist()}
            return decode(one, frames, wanted)

        monkeypatch.setattr(FrameFormat, "read", counting_read)
        monkeypatch.setattr(Decoder, "decode", counting_decode)


MINUTE = "'2023-11-14 22:23:20' and '2023-11-14 22:24:19.9'"


ALL_ROWS = LONG_S * 10 + 300


@pytest.mark.parametrize(
    ("query", "signals", "most_rows"),
    [
        ("select max(speed) from car.Motor", {"Motor.speed"}, ALL_ROWS),
        ("select count(*) from car.Motor", set(), ALL_ROWS),
        (f"select avg(speed) from car.Motor where time between {MINUTE}", {"Motor.speed"}, 700),
        (
            "select speed, temp from car.Motor where time > '2023-11-14 22:24:19.9'",
            {"Motor.speed", "Motor.temp"},
            31_000,
        ),
        ("select avg(value) from channels where channel = 'Motor.speed'", {"Motor.speed"}, ALL_ROWS),
        (
            f"select avg(value) from channels where channel in ('Motor.temp', 'no') and time between {MINUTE}",
            {"Motor.temp"},
            700,
        ),
        ("select speed from car.Motor where session = 'nobody'", set(), 0),
        (
            "select speed from car.Motor where session in (select session from sessions where duration_s < 60)",
            {"Motor.speed"},
            ALL_ROWS,
        ),
    ],
)
def test_a_query_reads_what_it_asks_for(lake, monkeypatch, query, signals, most_rows):
    counted = Counted(monkeypatch)
    lake.sql(query).to_arrow()
    assert counted.signals == signals
    assert counted.ids <= {16}
    assert counted.rows <= most_rows


def test_a_condition_on_a_signal_is_exact(lake):
    (found,) = rows(lake, "select count(*) as n, min(speed) as low from car.Motor where speed > 30000 and temp = 25")
    assert found == {"n": 32768 - 30001, "low": 30001.0}


def test_maths_channels_are_a_table(tmp_path: Path):
    folder = Folder(tmp_path / "data")
    folder.add("car", [(frames(30), START_US)], {0: ("can", DBC)})
    put_maths(folder.db, "car", MathsDef("Twice", "Motor.speed * 2"), "test")
    with ved.open(folder.path) as lake:
        assert lake.sql("select max(Twice) as m from car.Maths").to_dicts() == [{"m": 598.0}]
        query = "select max(value) as m from channels where channel = 'Maths.Twice'"
        assert lake.sql(query).to_dicts() == [{"m": 598.0}]


def test_samples_are_tables_too(tmp_path: Path):
    made_with_samples(tmp_path)
    with ved.open(tmp_path / "data") as lake:
        found = lake.sql(
            "select time_s, temperature, state from car.pack where temperature < 21 order by time"
        ).to_dicts()
        assert found == [{"time_s": 2 + k / 2, "temperature": 20 + k / 2, "state": 0.0} for k in range(2)]
        assert lake.sql("select count(*) as n from channels where channel = 'pack.state'").to_dicts() == [{"n": 17}]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("drop table sessions", "give one SELECT"),
        ("select 1; select 2", "give one SELECT"),
        ("copy sessions to 'x.csv'", "give one SELECT"),
        ("insert into sessions select * from sessions", "give one SELECT"),
        ("", "give one SELECT"),
        ("select spd from car.Motor", 'Candidate bindings: .*"speed"'),
        ("select * from car.Moto", 'Did you mean "(car.)?Motor"'),
        ("selec 1", "syntax error"),
        ("select * from read_text('/etc/passwd')", "file system operations are disabled"),
        ("select * from read_parquet('*.parquet')", "file system operations are disabled"),
        ("select * from '/etc/passwd'", "does not exist"),
        ("select * from lake", "does not exist"),
    ],
)
def test_nothing_else_is_let_in(lake, tmp_path, monkeypatch, query, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said) as raised:
        lake.sql(query).to_arrow()
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_and_writes(lake, tmp_path, capsysbinary):
    settings = ServerSettings(data=lake._lake.url.removesuffix("/lake"))
    query = "select time, speed, null as nothing from car.Motor where speed < 2 order by time"

    def said(file_format: str = "", out: str | None = None) -> str:
        run_query(settings, query, file_format, None if out is None else tmp_path / out)
        return capsysbinary.readouterr().out.decode()

    truth = lake.sql(query).to_dicts()
    assert len(truth) == 6
    assert "2023-11-14" in said()
    assert len(said("csv").splitlines()) == 7
    assert [row["speed"] for row in json.loads(said("json"))] == [row["speed"] for row in truth]
    assert said(out="x.parquet") == f"{tmp_path / 'x.parquet'}: 6 rows\n"
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == truth
    said(out="x.csv")
    assert pl.read_csv(tmp_path / "x.csv")["speed"].to_list() == [row["speed"] for row in truth]
    with pytest.raises(UserError, match="name the file with --out"):
        said("parquet")
    with pytest.raises(UserError, match="known are table, csv, json, parquet"):
        said("xls")
    with pytest.raises(UserError, match="cannot be written"):
        said(out="nowhere/x.csv")
