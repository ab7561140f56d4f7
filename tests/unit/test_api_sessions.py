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
from ved.db.maths import seed_maths
from ved.db.notes import merge_sessions, put_notes, split_session
from ved.db.tracks import put_track
from ved.errors import UserError
from ved.model.frames import FrameColumns
from ved.model.session import Notes
from ved.model.track import Track, TrackLine

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


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Three laps of the simulated car, with the maths channels of its folder."""
    made = Folder(tmp_path_factory.mktemp("driven") / "data")
    drive = log("fs", 190, 3)
    wanted = ("GpsPosition", "GpsStatus", "LapTimer", "VehicleMotion", "BatteryPack", "TripComputer", "WheelSpeeds")
    kept = together(*(drive.of(name) for name in (*wanted, "WheelSlip", "ImuAcceleration")))
    buses = {bus.index: (bus.name, bus.dbc_texts[0]) for bus in drive.vehicle.buses}
    made.add("fs", [(kept, UTC0)], buses)
    seed_maths(made.db, "fs", drive.vehicle.maths)
    return made


def test_shipped_maths_channels_agree_with_the_cars_own_figures(driven: Folder):
    session = opened(driven).sessions("fs")[-1]
    assert session.maths.errors == {}
    lap = session.laps[1]
    frame = lap.frame(
        ["Maths.Power", "LapEnergy", "LapDistance", "LapConsumption", "RearWheelSlip", "LateralG", "EnergyThisLap"],
        rate_hz=20,
    )
    assert [frame.units[name] for name in frame.names[:6]] == ["kW", "Wh", "m", "Wh/km", "%", "g"]
    assert frame["LapDistance"][-1] == pytest.approx(lap.length_m, rel=0.02)
    assert frame["LapEnergy"][-1] == pytest.approx(frame["EnergyThisLap"].max(), rel=0.05)
    assert frame["LapEnergy"][1] < 0.05 * frame["LapEnergy"][-1]
    power = session.frame(["BatteryPack.Voltage", "BatteryPack.Current", "Maths.Power"], rate_hz=100)
    product = power["BatteryPack.Voltage"] * power["BatteryPack.Current"] / 1000
    assert np.nanmax(np.abs(product - power["Maths.Power"])) < 0.05 * np.nanmax(product)
    consumption = frame["LapEnergy"][-1] / frame["LapDistance"][-1] * 1000
    assert frame["LapConsumption"][-1] == pytest.approx(consumption, rel=0.01)
    own = session.frame(["WheelSlip.RearLeft", "WheelSlip.RearRight", "RearWheelSlip"], rate_hz=10, from_s=70, to_s=120)
    mean = (own["WheelSlip.RearLeft"] + own["WheelSlip.RearRight"]) / 2
    assert np.isfinite(own["RearWheelSlip"]).all()
    assert np.isfinite(mean).all()
    assert np.corrcoef(mean, own["RearWheelSlip"])[0, 1] > 0.8
    lateral = session.frame(["LateralG", "ImuAcceleration.Lateral"], rate_hz=10)
    np.testing.assert_allclose(lateral["LateralG"] * 9.80665, lateral["ImuAcceleration.Lateral"], atol=1e-6)


def test_a_maths_channel_is_the_same_in_any_part_of_the_session(driven: Folder):
    names = ["Maths.Power", "LapEnergy", "RearWheelSlip"]
    whole = opened(driven).sessions("fs")[-1].frame(names, rate_hz=20)
    session = opened(driven).sessions("fs")[-1]
    for from_s, to_s in ((150, 160), (20, 30), (25, 90), (0, 190)):
        part = session.frame(names, rate_hz=20, from_s=from_s, to_s=to_s)
        for name in names:
            middle = slice(from_s * 20 + 40, to_s * 20 - 40)  # edges are filtered with what lies beside them
            np.testing.assert_allclose(part[name][40:-40], whole[name][middle][: len(part) - 80], atol=1e-9)


def test_a_lap_has_sectors_and_a_distance_on_the_reference_line(driven: Folder):
    session = opened(driven).sessions("fs")[-1]
    lap = session.laps[1]
    assert sum(lap.sectors_s) == pytest.approx(lap.time_s, abs=1e-5)
    assert min(lap.sectors_s) > 10
    times = np.linspace(lap.utc_from_us, lap.utc_to_us, 200).astype(np.int64)
    distance = lap.distance_m(times)
    assert (np.diff(distance) >= 0).all()
    assert distance[0] == pytest.approx(0, abs=3)
    assert distance[-1] == pytest.approx(session.laps[0].length_m, rel=0.02)


def test_sessions_are_chosen_by_what_people_say(folder: Folder):
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    folder.add("fs", [(SESSION, UTC0 + 10**9)], {0: ("can0", CAR)})
    line = TrackLine((48.0, 2.0), (48.0, 2.001))
    put_track(folder.db, Track("home", "Le Mans, Maison Blanche", (line,)), "ada")
    first, second = (one.id for one in opened(folder).sessions())
    put_notes(folder.db, first, Notes("Endurance", "Léa", "home", "soft springs", "wet", ("Rain", "night")), "ada")
    lake = opened(folder)

    def chosen(**wanted):
        return [one.id for one in lake.sessions(**wanted)]

    assert chosen(vehicle="fs", track="le mans", tag="rain") == [first]
    assert chosen(track="home") == chosen(driver="léa") == chosen(name="endur") == [first]
    assert chosen(tag="dry") == chosen(track="Paris") == chosen(moved=True) == []
    assert chosen(moved=False) == [first, second]
    session = lake.session(first)
    assert (session.name, session.driver, session.tags) == ("Endurance", "Léa", ("Rain", "night"))
    assert session.track is not None
    assert (session.track.name, session.notes.setup) == ("Le Mans, Maison Blanche", "soft springs")
    assert lake.session(second).notes == Notes()
    assert lake.session(second).track is None


def test_a_cut_session_reads_its_own_part(folder: Folder):
    folder.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    (session,) = opened(folder).sessions()
    new = split_session(folder.db, session.id, UTC0 + 1_200_000, "ada")
    first, second = opened(folder).sessions()
    assert (first.id, second.id) == (session.id, new)
    assert (len(first.samples("torque")), len(second.samples("torque"))) == (120, 80)
    assert second.frame(["torque"], 100)["torque"][0] == 120
    merge_sessions(folder.db, session.id, new, "ada")
    (whole,) = opened(folder).sessions()
    assert len(whole.samples("torque")) == 200
