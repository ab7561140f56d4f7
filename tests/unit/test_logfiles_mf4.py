"""MF4 recordings: counts and bytes against python-can's reader, cut and damaged files, asammdf missing."""

import random
import struct
import sys
from pathlib import Path

import can
import numpy as np
import pytest

from ved.errors import UserError
from ved.logfiles.mf4_repair import BadBlockError, find_repair
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameColumns, FrameFlag

pytest.importorskip("asammdf", reason="the extra mf4 is not installed")
pytestmark = pytest.mark.filterwarnings("default")  # asammdf's own

DATA = Path(__file__).parents[1] / "data"
DRIVE = DATA / "canedge-gps" / "drive-9min.MF4"
PARTS = [DATA / "canedge-gnss-two-parts" / f"part-{number}.MF4" for number in (1, 2)]


def read(path: Path) -> FrameColumns:
    return FrameColumns.concatenate(list(open_log(path).chunks()))


@pytest.mark.parametrize(
    ("path", "count"), [(DRIVE, 65_296), (PARTS[0], 4_024), (PARTS[1], 3_587)], ids=lambda x: str(x)[-8:]
)
def test_frames_are_those_of_python_can(path, count):
    log = open_log(path)
    frames = FrameColumns.concatenate(list(log.chunks()))
    assert len(frames) == log.frame_count == count
    assert log.problem is None
    assert log.buses == {1: "CAN1", 2: "CAN2"}
    with can.LogReader(path) as reader:
        messages = list(reader)
    assert len(messages) == count
    # python-can makes no difference between ties of several groups: compare as sets of equal time.
    ours = sorted(
        (int(t), int(bus), int(number), int(flags), payload[:length].tobytes())
        for t, bus, number, flags, length, payload in zip(
            frames.t_us + log.start_utc_us,
            frames.bus,
            frames.arbitration_id,
            frames.flags,
            frames.length,
            frames.payload,
            strict=True,
        )
    )
    theirs = sorted(
        (
            round(message.timestamp * 1e6),
            message.channel,
            message.arbitration_id,
            int(message.is_extended_id) * FrameFlag.EXTENDED | int(not message.is_rx) * FrameFlag.TRANSMITTED,
            bytes(message.data),
        )
        for message in messages
    )
    assert [row[1:] for row in ours] == [row[1:] for row in theirs]
    assert max(abs(a[0] - b[0]) for a, b in zip(ours, theirs, strict=True)) <= 1


def test_several_groups_are_merged_in_the_order_of_time():
    frames = read(PARTS[0])
    assert np.all(np.diff(frames.t_us) >= 0)
    assert set(np.unique(frames.bus)) == {1, 2}
    assert int((frames.flags & np.uint8(FrameFlag.TRANSMITTED) != 0).sum()) == 247


def test_recorded_start():
    assert open_log(DRIVE).start_utc_us == 1_627_274_455_012_500  # 2021-07-26 04:40:55.0125 UTC


def test_all_kinds_of_frame_that_python_can_writes(tmp_path):
    path = tmp_path / "a.mf4"
    sent = [
        can.Message(timestamp=1e9, arbitration_id=0x12, is_extended_id=False, data=b"\x01\x02", channel=0),
        can.Message(
            timestamp=1e9 + 0.5, arbitration_id=0x1234567, is_extended_id=True, data=bytes(8), channel=3, is_rx=False
        ),
        can.Message(
            timestamp=1e9 + 1, arbitration_id=0x13, is_fd=True, bitrate_switch=True, data=bytes(range(48)), channel=1
        ),
        can.Message(
            timestamp=1e9 + 2, arbitration_id=0x14, is_remote_frame=True, is_extended_id=False, dlc=3, channel=1
        ),
        can.Message(timestamp=1e9 + 3, is_error_frame=True, channel=2),
    ]
    with can.Logger(path) as writer:
        for message in sent:
            writer(message)
    frames = read(path)
    assert frames.bus.tolist() == [0, 3, 1, 1, 2]
    assert frames.arbitration_id.tolist()[:4] == [0x12, 0x1234567, 0x13, 0x14]
    assert frames.length.tolist()[:4] == [2, 8, 48, 3]
    flags = [FrameFlag(bits) for bits in frames.flags.tolist()]
    assert flags[:4] == [
        FrameFlag(0),
        FrameFlag.EXTENDED | FrameFlag.TRANSMITTED,
        FrameFlag.EXTENDED | FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH,
        FrameFlag.REMOTE,
    ]
    assert flags[4] & FrameFlag.ERROR
    assert frames.payload[2, :49].tolist() == [*range(48), 0]
    assert not frames.payload[3].any()
    assert frames.t_us.tolist() == [0, 500_000, 1_000_000, 2_000_000, 3_000_000]


@pytest.mark.parametrize(("kept_bytes", "frames"), [(2_224_011, 65_295), (2_000_000, 46_360), (1_500_000, 4_087)])
def test_cut_off_recording_gives_what_is_whole_and_says_so(tmp_path, kept_bytes, frames):
    path = tmp_path / "a.MF4"
    path.write_bytes(DRIVE.read_bytes()[:kept_bytes])
    log = open_log(path)
    found = FrameColumns.concatenate(list(log.chunks()))
    assert found.equals(read(DRIVE).take(slice(0, frames)))
    assert log.problem is not None
    assert f"{frames} of 65296 records are whole" in log.problem


def test_cut_off_unfinished_recording_gives_what_is_whole_and_says_so(tmp_path):
    path = tmp_path / "a.MF4"
    path.write_bytes(PARTS[0].read_bytes()[:150_000])
    log = open_log(path)
    assert log.frame_count == 2_541
    assert log.problem is not None
    assert "cut off in its last record" in log.problem


@pytest.mark.parametrize("source", [DRIVE, PARTS[0]], ids=lambda path: path.stem)
@pytest.mark.parametrize("kept_bytes", [0, 7, 64, 100, 3_000, 5_200, 8_000, 14_600, 106_700])
def test_file_with_nothing_left_to_read_is_refused_with_one_line(tmp_path, capfd, source, kept_bytes):
    path = tmp_path / "a.MF4"
    path.write_bytes(source.read_bytes()[:kept_bytes])
    with pytest.raises(UserError) as refused:
        open_log(path)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_damaged_files_are_read_or_refused_never_worse(tmp_path, capfd):
    whole = PARTS[0].read_bytes()
    dice = random.Random(5)
    refused = []
    for _ in range(25):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 3, 30))):
            data[dice.randrange(106_800)] = dice.randrange(256)
        path = tmp_path / "a.MF4"
        path.write_bytes(data)
        try:
            open_log(path)
        except UserError as error:
            refused.append(str(error))
    assert refused
    assert not any("\n" in line for line in refused)
    assert capfd.readouterr().out == ""


def test_log_without_can_frames_is_refused(tmp_path):
    from asammdf import MDF, Signal

    path = tmp_path / "a.mf4"
    with MDF() as mdf:
        mdf.append([Signal(np.arange(3.0), np.arange(3.0), name="speed")])
        mdf.save(path)
    with pytest.raises(UserError, match="holds no CAN frames"):
        open_log(path)


def test_without_asammdf_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "asammdf", None)
    with pytest.raises(UserError, match=r"pip install 'ved\[mf4\]'"):
        open_log(DRIVE)


def test_repair_of_a_whole_file_changes_nothing():
    repair = find_repair(DRIVE.read_bytes())
    assert not repair.is_cut
    assert repair.patches == {}


def test_repair_survives_links_in_circles():
    data = bytearray(DRIVE.read_bytes()[:2_000_000])
    first_group = struct.unpack_from("<Q", data, 64 + 24)[0]
    struct.pack_into("<Q", data, first_group + 24, first_group)
    assert find_repair(data).is_cut
    with pytest.raises(BadBlockError):
        find_repair(bytes(300))
