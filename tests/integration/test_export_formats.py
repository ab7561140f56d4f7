"""Exports of the recorded drive, each read back by a reader that is not ours."""

import csv
import json
from pathlib import Path

import can
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.integration.recorded_helpers import DRIVE_DBC, Folder, add_drive, drive_frames

import ved
from ved.api.export import FORMATS, Export, export_session
from ved.api.recorded import RecordedSession
from ved.errors import UserError
from ved.model.frames import FrameColumns, FrameFlag

SPEED = "gnss_speed.Speed"
UTC0 = 1_700_000_000_000_000
asammdf_warns = pytest.mark.filterwarnings("default")  # asammdf's own


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    out = Folder(tmp_path_factory.mktemp("export") / "data")
    add_drive(out)
    return out


@pytest.fixture(scope="module")
def session(folder: Folder) -> RecordedSession:
    return ved.open(folder.path).sessions("recorded")[-1]


def every_kind() -> FrameColumns:
    """Data, CAN FD, remote and error frames, short and long ids, sent and received."""
    flags = [0, FrameFlag.EXTENDED, FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH, FrameFlag.FD | FrameFlag.ERROR_STATE]
    flags += [FrameFlag.REMOTE, FrameFlag.TRANSMITTED, FrameFlag.EXTENDED | FrameFlag.REMOTE]
    n = len(flags)
    length = np.array([8, 3, 64, 12, 5, 0, 0], np.uint8)
    payload = np.random.default_rng(1).integers(0, 256, (n, 64)).astype(np.uint8)
    payload[(np.arange(64) >= length[:, None]) | (np.array(flags) & FrameFlag.REMOTE != 0)[:, None]] = 0
    ids = np.array([0x7FF, 0x18F00001, 1, 2, 3, 4, 0x1FFFFFFF], np.uint32)
    t_us = np.array([0, 1, 50, 1_000, 1_000, 70_000, 2_000_003], np.int64)
    return FrameColumns(t_us, np.arange(n).astype(np.uint8) % 3, ids, np.array(flags, np.uint8), length, payload)


def rows_of(frames: FrameColumns, start_utc_us: int) -> list[tuple[object, ...]]:
    columns = (frames.t_us + start_utc_us, frames.bus, frames.arbitration_id, frames.flags, frames.length)
    return [
        (*map(int, row), payload[: 0 if row[3] & FrameFlag.REMOTE else row[4]].tobytes())
        for *row, payload in zip(*columns, frames.payload, strict=True)
    ]


def message_row(message: can.Message) -> tuple[object, ...]:
    bits = {
        FrameFlag.EXTENDED: message.is_extended_id,
        FrameFlag.FD: message.is_fd,
        FrameFlag.BIT_RATE_SWITCH: message.bitrate_switch,
        FrameFlag.ERROR_STATE: message.error_state_indicator,
        FrameFlag.REMOTE: message.is_remote_frame,
        FrameFlag.TRANSMITTED: not message.is_rx,
    }
    flags = sum(int(flag) for flag, is_set in bits.items() if is_set)
    channel = message.channel if isinstance(message.channel, int) else int(str(message.channel).lower()[-1])
    data = b"" if message.is_remote_frame else bytes(message.data)
    return round(message.timestamp * 1e6), channel, message.arbitration_id, flags, message.dlc, data


def near(found: list[tuple[object, ...]], expected: list[tuple[object, ...]]) -> None:
    """The same frames; times within 1 µs (python-can has them as float seconds)."""
    assert [row[1:] for row in found] == [row[1:] for row in expected]
    times = np.array([[row[0] for row in rows] for rows in (found, expected)], np.int64)
    assert np.abs(times[0] - times[1]).max() <= 1


@asammdf_warns
@pytest.mark.parametrize(("name", "ending"), [("candump", "log"), ("blf", "blf"), ("mf4", "mf4")])
def test_raw_frames_are_read_by_python_can(tmp_path: Path, name: str, ending: str):
    frames, start_utc_us = drive_frames()
    frames = frames.take(slice(0, 6_000))
    made = Folder(tmp_path / "data")
    made.add("recorded", [(frames, start_utc_us)], {1: ("CAN1", ""), 2: ("CAN2", "")})
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / f"drive.{ending}"
    assert export_session(ved.open(made.path).sessions()[0], Export(name), path) == 6_000
    with can.LogReader(path) as reader:
        found = sorted((message_row(message) for message in reader), key=lambda row: row[1:])
    near(found, sorted(rows_of(frames, start_utc_us), key=lambda row: row[1:]))
    assert list(folder.iterdir()) == [path]


@asammdf_warns
@pytest.mark.parametrize(("name", "ending"), [("candump", "log"), ("blf", "blf"), ("mf4", "mf4")])
def test_all_kinds_of_frames_come_through(tmp_path: Path, name: str, ending: str):
    made = Folder(tmp_path / "data")
    made.add("fs", [(every_kind(), UTC0)], {at: (f"can{at}", "") for at in range(3)})
    path = tmp_path / f"kinds.{ending}"
    export_session(ved.open(made.path).sessions()[0], Export(name), path)
    with can.LogReader(path) as reader:
        found = sorted((message_row(message) for message in reader), key=lambda row: (row[0], row[1:]))
    near(found, sorted(rows_of(every_kind(), UTC0), key=lambda row: (row[0], row[1:])))


@asammdf_warns
def test_the_mf4_file_carries_its_dbc_and_asammdf_decodes_with_it(session: RecordedSession, tmp_path: Path):
    from asammdf import MDF

    path = tmp_path / "drive.mf4"
    export_session(session, Export("mf4"), path)
    with MDF(path) as mdf:
        data, name, _ = mdf.extract_attachment(index=0)
        assert Path(name).suffix == ".dbc"
        assert data == DRIVE_DBC.read_bytes()
        dbc = tmp_path / "attached.dbc"
        dbc.write_bytes(data)
        decoded = mdf.extract_bus_logging({"CAN": [(dbc, 0)]})
        theirs = decoded.get("Speed")
        decoded.close()
    ours = session.samples(SPEED)
    np.testing.assert_allclose(theirs.samples, ours.values, atol=1e-9)
    np.testing.assert_allclose(theirs.timestamps - theirs.timestamps[0], ours.time_s - ours.time_s[0], atol=2e-6)


def test_csv_is_read_by_pythons_reader(session: RecordedSession, tmp_path: Path):
    path = tmp_path / "drive.csv"
    assert export_session(session, Export("csv", ["Speed", "gnss_pos.*", "FixType"], 10), path) == 5450
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    frame = session.frame(["Speed", "FixType"], 10)
    assert len(rows) == len(frame) == 5450
    assert list(rows[0])[:4] == ["time_s", "utc", "Speed [m/s]", "gnss_pos.PositionAccuracy [m]"]
    found = np.array([float(row["Speed [m/s]"] or "nan") for row in rows])
    np.testing.assert_allclose(found, frame["Speed"], rtol=1e-9)
    assert [float(row["time_s"]) for row in rows] == frame.time_s.tolist()
    assert np.isfinite(found).sum() > 4000


def test_parquet_is_read_by_polars_and_arrow(session: RecordedSession, tmp_path: Path):
    import polars as pl

    path = tmp_path / "drive.parquet"
    export_session(session, Export("parquet", [SPEED], 100), path)
    frame = session.frame([SPEED], 100)
    found = pl.read_parquet(path)
    assert found.columns == ["time_s", "utc", SPEED]
    np.testing.assert_allclose(found[SPEED].fill_null(float("nan")).to_numpy(), frame[SPEED], rtol=1e-9)
    assert pq.read_schema(path).field(SPEED).metadata[b"unit"] == b"m/s"


def test_messages_are_a_folder_that_duckdb_reads(session: RecordedSession, tmp_path: Path):
    import duckdb

    path = tmp_path / "drive"
    order = Export("messages", ["gnss_speed.*", "gnss_pos.Latitude"])
    rows = export_session(session, order, path)
    assert sorted(file.name for file in path.iterdir()) == ["gnss_pos.parquet", "gnss_speed.parquet"]
    query = f"select epoch_us(utc), time_s, Speed, SpeedValid from read_parquet('{path}/gnss_speed.parquet')"
    with duckdb.connect() as connection:
        found = connection.execute(query).fetchall()
        places = connection.execute(f"select count(Latitude) from '{path}/gnss_pos.parquet'").fetchone()
    ours = session.samples(SPEED)
    assert [row[0] for row in found] == ours.utc_us.tolist()
    assert [row[2] for row in found] == ours.values.tolist()
    np.testing.assert_allclose([row[1] for row in found], ours.time_s)
    assert places is not None
    assert rows == len(found) + places[0]
    assert pq.read_schema(path / "gnss_speed.parquet").field("Speed").metadata[b"unit"] == b"m/s"
    with pytest.raises(UserError, match="give the name of a new folder"):
        export_session(session, order, path)


def test_multiplexed_pages_share_a_file(tmp_path: Path):
    text = (
        'VERSION ""\nNS_ :\nBS_:\nBU_: A\nBO_ 100 Cells: 8 A\n'
        ' SG_ page M : 0|8@1+ (1,0) [0|0] "" A\n SG_ one m1 : 8|8@1+ (1,0) [0|0] "V" A\n'
        ' SG_ two m2 : 8|8@1+ (1,0) [0|0] "V" A\n'
    )
    payload = np.zeros((4, 8), np.uint8)
    payload[:, 0], payload[:, 1] = [1, 2, 1, 3], [10, 20, 30, 40]
    zero, ids = np.zeros(4, np.uint8), np.full(4, 100, np.uint32)
    frames = FrameColumns(np.arange(4), zero, ids, zero, np.full(4, 8, np.uint8), payload)
    made = Folder(tmp_path / "data")
    made.add("fs", [(frames, UTC0)], {0: ("can0", text)})
    export_session(ved.open(made.path).sessions()[0], Export("messages"), tmp_path / "out")
    found = pq.read_table(tmp_path / "out" / "Cells.parquet").to_pydict()
    assert (found["page"], found["one"], found["two"]) == ([1, 2, 1, 3], [10, None, 30, None], [None, 20, None, None])


def test_matlab_files_are_read_by_scipy(session: RecordedSession, tmp_path: Path):
    from scipy.io import loadmat

    path = tmp_path / "drive.mat"
    export_session(session, Export("mat", [SPEED, "FixType"], 10), path)
    found = loadmat(path, squeeze_me=True, simplify_cells=True)
    frame = session.frame([SPEED, "FixType"], 10)
    np.testing.assert_allclose(found["data"]["gnss_speed_Speed"], frame[SPEED], rtol=1e-9)
    np.testing.assert_allclose(found["time_s"], frame.time_s)
    assert found["units"]["gnss_speed_Speed"] == "m/s"
    assert found["names"]["FixType"] == "gnss_status.FixType"


def test_mcap_is_read_by_its_own_library(session: RecordedSession, tmp_path: Path):
    from mcap.reader import make_reader

    path = tmp_path / "drive.mcap"
    written = export_session(session, Export("mcap", ["gnss_speed.*", "Latitude"]), path)
    with path.open("rb") as file:
        reader = make_reader(file)
        messages = list(reader.iter_messages(topics=["/gnss_speed"]))
        summary = reader.get_summary()
    assert summary is not None
    assert {channel.topic for channel in summary.channels.values()} == {"/gnss_speed", "/gnss_pos"}
    assert summary.statistics is not None
    assert summary.statistics.message_count == written
    ours = session.samples(SPEED)
    assert [json.loads(message.data)["Speed"] for _, _, message in messages] == ours.values.tolist()
    assert [message.log_time for _, _, message in messages] == (ours.utc_us * 1000).tolist()
    schema = json.loads(messages[0][0].data)
    assert schema["properties"]["Speed"]["description"].endswith("[m/s]")


def test_what_cannot_be_exported_is_said_and_leaves_no_file(session: RecordedSession, tmp_path: Path):
    orders = {
        "there is none; known are csv": Export("xlsx"),
        "did you mean": Export("csv", ["Sped"]),
        "leave the channels out": Export("blf", ["Speed"]),
        "has no lap 3": Export("csv", ["Speed"], lap=3),
        "rate 0": Export("csv", ["Speed"], 0),
    }
    for said, order in orders.items():
        with pytest.raises(UserError, match=said):
            export_session(session, order, tmp_path / "out.csv")
    with pytest.raises(UserError, match="no folder"):
        export_session(session, Export("csv", ["Speed"]), tmp_path / "no" / "out.csv")
    assert list(tmp_path.iterdir()) == []
    assert len(FORMATS) == 9


def test_a_motec_log_has_the_channels_and_its_laps_beside_it(session: RecordedSession, tmp_path: Path):
    path = tmp_path / "drive.ld"
    rows = export_session(session, Export("motec", [SPEED], 10), path)
    frame = session.frame([SPEED], rate_hz=10)
    data = path.read_bytes()
    values = np.frombuffer(data, "<f4", rows, int.from_bytes(data[12:16], "little"))
    known = ~np.isnan(frame[SPEED])
    assert rows == len(frame)
    np.testing.assert_array_equal(values[known], frame[SPEED][known].astype(np.float32))
    assert path.with_suffix(".ldx").exists() == bool(session.laps)
