"""`ved.open`: sessions, names, frames with units, laps; on small made-up sessions and on the simulated car."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from tests.integration.recorded_helpers import Folder
from tests.unit.simulated import log

import ved
from ved.analysis.resample import resample
from ved.api.opened import OpenedLake
from ved.db.dbcs import AssignmentDraft, DbcFile, assign_dbc, put_dbc
from ved.errors import UserError
from ved.model.frames import FrameColumns

UTC0 = 1_700_000_000_000_000
HEAD = 'VERSION ""\nNS_ :\nBS_:\nBU_: A\n'
CAR = HEAD + (
    "BO_ 100 Motor: 8 A\n"
    ' SG_ torque : 0|16@1- (0.5,0) [0|0] "N·m" A\n'
    ' SG_ Speed : 16|16@1+ (1,0) [0|0] "rpm" A\n'
    "BO_ 101 Body: 8 A\n"
    ' SG_ Speed : 0|16@1+ (1,0) [0|0] "km/h" A\n'
    ' SG_ Mode : 16|8@1+ (1,0) [0|0] "" A\n'
    'VAL_ 101 Mode 0 "off" 1 "on" ;\n'
)


def frames(number: int, t_us: np.ndarray, first: np.ndarray, second: np.ndarray | None = None) -> FrameColumns:
    n = len(t_us)
    payload = np.zeros((n, 8), np.uint8)
    payload[:, :2] = first.astype("<u2").view(np.uint8).reshape(n, 2)
    if second is not None:
        payload[:, 2:4] = second.astype("<u2").view(np.uint8).reshape(n, 2)
    ids, zero = np.full(n, number, np.uint32), np.zeros(n, np.uint8)
    return FrameColumns(t_us.astype(np.int64), zero, ids, zero, np.full(n, 8, np.uint8), payload)


def together(*parts: FrameColumns) -> FrameColumns:
    joined = FrameColumns.concatenate(parts)
    return joined.take(np.argsort(joined.t_us, kind="stable"))


TIMES = np.arange(0, 2_000_000, 10_000)
BODY = np.arange(0, 2_000_000, 100_000)
SESSION = together(
    frames(100, TIMES, 2 * np.arange(200), np.full(200, 7)), frames(101, BODY, np.arange(20), np.arange(20) % 2)
)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "data")


def opened(folder: Folder) -> OpenedLake:
    return ved.open(folder.path)


def test_a_frame_has_one_time_base_and_units(folder: Folder):
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    session = opened(folder).sessions(vehicle="fs")[-1]
    assert (session.duration_s, session.start.isoformat()) == (1.99, "2023-11-14T22:13:20+00:00")
    frame = session.frame(["torque", "Body.Speed", "mode"], rate_hz=100)
    assert frame.names == ["torque", "Body.Speed", "mode"]
    assert frame.units == {"torque": "N·m", "Body.Speed": "km/h", "mode": ""}
    assert len(frame) == 200
    np.testing.assert_allclose(frame.time_s, np.arange(200) / 100)
    np.testing.assert_allclose(frame["torque"], np.arange(200))
    np.testing.assert_allclose(frame["Body.Speed"][:191], np.arange(191) / 10)
    assert np.isnan(frame["Body.Speed"][191:]).all()  # nothing to be linear to after the last sample
    assert frame["mode"].tolist() == [float(at // 10 % 2) for at in range(200)]
    assert frame.to_numpy().shape == (200, 3)
    assert "torque [N·m]" in repr(frame)
    raw = session.samples("torque")
    assert (len(raw), raw.unit, raw.time_s[1], raw.values[1]) == (200, "N·m", 0.01, 1.0)


def test_it_turns_into_the_tables_that_people_use(folder: Folder):
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    frame = opened(folder).sessions()[0].frame(["torque", "Body.Speed"], 10, from_s=0.5, to_s=5)
    table = frame.to_arrow()
    assert table.column_names == ["time_s", "utc", "torque", "Body.Speed"]
    assert table.schema.field("torque").metadata == {
        b"unit": "N·m".encode(),
        b"kind": b"continuous",
        b"channel": b"Motor.torque",
    }
    assert table.schema.field("utc").type == pa.timestamp("us", "UTC")
    shown = frame.to_polars()
    assert shown["time_s"].to_list()[:2] == [0.5, 0.6]
    assert shown["Body.Speed"].null_count() == int(np.isnan(frame["Body.Speed"]).sum())
    assert shown.select(pl.col("utc").dt.epoch("us"))["utc"][0] == UTC0 + 500_000
    pandas = frame.to_pandas()
    assert pandas.index[0] == 0.5
    assert pandas.attrs["units"]["torque"] == "N·m"
    assert pandas["torque"].to_numpy().tolist() == frame["torque"].tolist()


def test_an_empty_range_is_an_empty_frame_with_units(folder: Folder):
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    session = opened(folder).sessions()[0]
    for limits in ({"from_s": 1.0, "to_s": 1.0}, {"from_s": 99.0}, {"to_s": -1.0}):
        frame = session.frame(["torque", "Mode"], 100, **limits)
        assert len(frame) == 0
        assert frame.units == {"torque": "N·m", "Mode": ""}
        assert frame.to_polars().columns == ["time_s", "utc", "torque", "Mode"]
        assert frame.to_numpy().shape == (0, 2)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["Speed"], "could be Motor.Speed, Body.Speed"),
        (["torqe"], "did you mean Motor.torque?"),
        (["Body.Torque"], "there is none"),
        (["zzz"], "known are Body.Mode, Body.Speed, Motor.Speed, Motor.torque"),
        (["no*"], "no channel fits"),
        ("torque", "give a list of names, like ['torque']"),
    ],
)
def test_a_name_that_is_none_suggests_what_could_be_meant(folder: Folder, asked, said):
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    with pytest.raises(UserError) as caught:
        opened(folder).sessions()[0].frame(asked, 10)
    assert said in str(caught.value)


def test_patterns_and_other_cases_of_letters(folder: Folder):
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    session = opened(folder).sessions()[0]
    assert session.frame(["Motor.*", "MODE"], 10).names == ["Motor.torque", "Motor.Speed", "MODE"]
    with pytest.raises(UserError, match="rate_hz"):
        session.frame(["torque"], 0)


def test_a_session_over_a_restart_is_one_frame_with_its_gap(folder: Folder):
    later = frames(100, TIMES, 2 * np.arange(200))
    folder.add("fs", [(SESSION, UTC0), (later, UTC0 + 10_000_000)], {0: ("can0", CAR)})
    frame = opened(folder).sessions()[0].frame(["torque"], 100)
    assert len(frame) == 1200
    assert np.isnan(frame["torque"][200:1000]).all()
    np.testing.assert_allclose(frame["torque"][1000:], np.arange(200))
    bridged = opened(folder).sessions()[0].frame(["torque"], 100, gap_s=60)
    assert not np.isnan(bridged["torque"]).any()


def test_the_same_log_twice_is_two_sessions_and_each_reads_its_own(folder: Folder):
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    folder.add("fs", [(frames(100, TIMES, np.full(200, 8)), UTC0)], {0: ("can0", CAR)})
    first, second = opened(folder).sessions("fs")
    assert first.frame(["torque"], 10)["torque"][-1] > 100
    assert set(second.frame(["torque"], 10)["torque"][:-1].tolist()) == {4.0}


def test_a_corrected_dbc_is_right_for_all_of_history(folder: Folder):
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    new = DbcFile(put_dbc(folder.db, "new.dbc", CAR.replace("(0.5,0)", "(5,0)")), "new.dbc")
    assign_dbc(folder.db, AssignmentDraft("fs", 0, "can0", (new,), "engineer"))
    frame = opened(folder).sessions()[0].frame(["torque"], 100)
    np.testing.assert_allclose(frame["torque"], 10 * np.arange(200))


def test_what_is_not_there_is_named(tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="no data of ved here"):
        ved.open(tmp_path / "nothing")
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    with opened(folder) as lake:
        with pytest.raises(UserError, match="vehicle 'pe'"):
            lake.sessions("pe")
        session = lake.sessions()[0]
        assert lake.session(session.id[:4]).id == session.id
        with pytest.raises(UserError, match=rf"the newest are {session.id} \(fs, 2023"):
            lake.session("nobody")
        assert session.laps == []
        with pytest.raises(UserError, match="no channels of latitude"):
            session.find_laps(((0.0, 0.0), (0.0, 1.0)))
        monkeypatch.setitem(sys.modules, "polars", None)
        with pytest.raises(UserError, match="pip install polars"):
            session.frame(["torque"], 1).to_polars()


def test_importing_ved_costs_nothing():
    code = "import sys, ved; sys.exit(any(name in sys.modules for name in ('numpy', 'pyarrow', 'numba', 'sqlalchemy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert callable(ved.open)


def test_reading_leaves_the_folder_as_it_is(folder: Folder):
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    lake = folder.path / "lake"
    before = sorted((path, path.stat().st_mtime_ns) for path in lake.rglob("*"))
    opened(folder).sessions()[0].frame(["torque"], 10)
    assert sorted((path, path.stat().st_mtime_ns) for path in lake.rglob("*")) == before


def test_laps_of_the_simulated_car(folder: Folder):
    drive = log("fs", 190, 3)
    wanted = ("GpsPosition", "GpsStatus", "LapTimer", "VehicleMotion")
    kept = together(*(drive.of(name) for name in wanted))
    buses = {bus.index: (bus.name, bus.dbc_texts[0]) for bus in drive.vehicle.buses}
    folder.add("fs", [(kept, UTC0)], buses)
    session = opened(folder).sessions("fs")[-1]
    assert [lap.number for lap in session.laps] == [1, 2, 3]
    best = min(session.laps, key=lambda lap: lap.time_s)
    assert 50 < best.time_s < 56
    own = session.samples("LapTimer.LastTime").values
    assert best.time_s == pytest.approx(own[own > 0].min(), abs=0.15)
    frame = best.frame(["VehicleMotion.Speed", "CurrentTime"], rate_hz=50)
    assert len(frame) == int(np.ceil(best.time_s * 50))
    assert frame.time_s[0] == 0
    assert frame["VehicleMotion.Speed"].mean() == pytest.approx(3.6 * best.length_m / best.time_s, rel=0.03)
    speed = session.samples("VehicleMotion.Speed")
    np.testing.assert_allclose(
        frame["VehicleMotion.Speed"], resample(speed.utc_us, speed.values, frame.utc_us, "continuous", 50), rtol=1e-9
    )
    assert best.samples("VehicleMotion.Speed").time_s[0] < 0.1
    line = ((48.98, 2.5225), (48.9794, 2.5225))  # across the start's straight
    assert [round(lap.time_s) for lap in session.find_laps(line)][-1] == round(session.laps[-1].time_s)
