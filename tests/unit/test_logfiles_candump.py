"""candump logs: every kind of line, round trips, python-can as the independent reader, broken files."""

from pathlib import Path

import can
import numpy as np
import pytest

from ved.errors import UserError
from ved.logfiles import candump
from ved.logfiles.candump import CandumpLog, write_candump
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameColumns, FrameFlag

START_US = 1_690_000_000_250_000


def read(path: Path) -> FrameColumns:
    return FrameColumns.concatenate(list(open_log(path).chunks()))


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def random_frames(count: int, seed: int) -> FrameColumns:
    rng = np.random.default_rng(seed)
    kinds = [0, FrameFlag.EXTENDED, FrameFlag.EXTENDED | FrameFlag.TRANSMITTED, FrameFlag.REMOTE, FrameFlag.ERROR]
    kinds += [
        FrameFlag.FD,
        FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH | FrameFlag.EXTENDED,
        FrameFlag.FD | FrameFlag.ERROR_STATE,
    ]
    flags = rng.choice(np.array(kinds, np.uint8), count)
    is_fd = flags & np.uint8(FrameFlag.FD) != 0
    length = np.where(is_fd, rng.integers(0, 65, count), rng.integers(0, 9, count)).astype(np.uint8)
    data_bytes = np.where(flags & np.uint8(FrameFlag.REMOTE), 0, length)
    payload = rng.integers(0, 256, (count, 64)).astype(np.uint8)
    payload[np.arange(64) >= data_bytes[:, None]] = 0
    is_wide = flags & np.uint8(FrameFlag.EXTENDED | FrameFlag.ERROR) != 0
    return FrameColumns(
        np.cumsum(rng.integers(0, 3000, count)) - 1000 * (count > 9),
        rng.integers(0, 4, count).astype(np.uint8),
        np.where(is_wide, rng.integers(0, 1 << 29, count), rng.integers(0, 0x800, count)).astype(np.uint32),
        flags,
        length,
        payload,
    )


LINES = """\
(1690000000.250000) can0 123#0102
(1690000000.250000) can1 00000123#FF
(1690000000.250001) can0 7FF#
(1690000000.3) can0 1FFFFFFF#0011223344556677 T
(1690000000.249999) can0 123#R
(1690000001.000000) can0 123#R4 R
(1690000001.123456789) can0 20000088#0000000000000001
(1690000001.200000) can0 400##0
(1690000001.200000) can0 400##3000102030405060708090A0B
(1690000001.200000) can0 400##5ab
"""


def test_every_kind_of_line(tmp_path):
    log = open_log(write(tmp_path / "a.log", LINES))
    frames = FrameColumns.concatenate(list(log.chunks()))
    assert log.problem is None
    assert log.start_utc_us == START_US
    assert log.buses == {0: "can0", 1: "can1"}
    assert frames.t_us.tolist() == [0, 0, 1, 50_000, -1, 750_000, 873_457, 950_000, 950_000, 950_000]
    assert frames.bus.tolist() == [0, 1] + [0] * 8
    assert frames.arbitration_id.tolist() == [0x123, 0x123, 0x7FF, 0x1FFFFFFF, 0x123, 0x123, 0x88, 0x400, 0x400, 0x400]
    fd = FrameFlag.FD
    assert frames.flags.tolist() == [
        0,
        FrameFlag.EXTENDED,
        0,
        FrameFlag.EXTENDED | FrameFlag.TRANSMITTED,
        FrameFlag.REMOTE,
        FrameFlag.REMOTE,
        FrameFlag.ERROR,
        fd,
        fd | FrameFlag.BIT_RATE_SWITCH | FrameFlag.ERROR_STATE,
        fd | FrameFlag.BIT_RATE_SWITCH,
    ]
    assert frames.length.tolist() == [2, 1, 0, 8, 0, 4, 8, 0, 12, 1]
    assert frames.payload[3, :9].tolist() == [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0]
    assert frames.payload[8, :13].tolist() == [*range(12), 0]
    assert not frames.payload[[4, 5]].any()


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_endings_and_a_last_line_without_one(tmp_path, ending):
    text = (LINES + "(1690000001.300000) can0 123#0102").replace("\n", ending)
    log = open_log(write(tmp_path / "a.LOG", text))
    assert sum(map(len, log.chunks())) == 11
    assert log.problem is None


@pytest.mark.parametrize("count", [1, 9, 500])
def test_round_trip(tmp_path, count):
    frames = random_frames(count, seed=count)
    path = tmp_path / "a.log"
    assert write_candump(path, [frames.take(slice(0, 5)), frames.take(slice(5, None))], START_US, {}) == count
    log = open_log(path)
    found = FrameColumns.concatenate(list(log.chunks()))
    assert log.start_utc_us == START_US + int(frames.t_us[0])
    moved = FrameColumns(
        frames.t_us - frames.t_us[0], frames.bus, frames.arbitration_id, frames.flags, frames.length, frames.payload
    )
    assert {log.buses[int(bus)] for bus in np.unique(found.bus)} == {f"can{bus}" for bus in np.unique(frames.bus)}
    assert found.equals(moved)


def test_blocks_and_chunks_are_joined_without_a_seam(tmp_path, monkeypatch):
    frames = random_frames(300, seed=1)
    path = tmp_path / "a.log"
    write_candump(path, [frames], START_US, {})
    whole = read(path)
    monkeypatch.setattr(candump, "_BLOCK_BYTES", 333)
    monkeypatch.setattr(candump, "CHUNK_FRAMES", 7)
    log = CandumpLog(path)
    chunks = list(log.chunks())
    assert [len(chunk) for chunk in chunks] == [7] * 42 + [6]
    assert FrameColumns.concatenate(chunks).equals(whole)
    assert log.problem is None


def test_python_can_reads_what_was_written(tmp_path):
    frames = random_frames(300, seed=2)
    keep = (frames.flags & np.uint8(FrameFlag.ERROR)) == 0  # python-can drops what is in an error frame
    frames = frames.take(keep)
    path = tmp_path / "a.log"
    write_candump(path, [frames], START_US, {0: "can0", 1: "vcan7"})
    names = {0: "can0", 1: "vcan7", 2: "can2", 3: "can3"}
    with can.LogReader(path) as reader:
        messages = list(reader)
    assert len(messages) == len(frames)
    for row, message in enumerate(messages):
        flags = FrameFlag(int(frames.flags[row]))
        assert message.channel == names[int(frames.bus[row])]
        assert round(message.timestamp * 1e6) == int(frames.t_us[row]) + START_US
        assert message.arbitration_id == int(frames.arbitration_id[row])
        assert message.is_extended_id == bool(flags & FrameFlag.EXTENDED)
        assert message.is_fd == bool(flags & FrameFlag.FD)
        assert message.bitrate_switch == bool(flags & FrameFlag.BIT_RATE_SWITCH)
        assert message.error_state_indicator == bool(flags & FrameFlag.ERROR_STATE)
        assert message.is_remote_frame == bool(flags & FrameFlag.REMOTE)
        assert message.is_rx != bool(flags & FrameFlag.TRANSMITTED)
        if flags & FrameFlag.REMOTE:
            assert message.dlc == frames.length[row]
        else:
            assert bytes(message.data) == frames.payload[row, : frames.length[row]].tobytes()


def test_what_python_can_writes_is_read(tmp_path):
    path = tmp_path / "a.log"
    sent = [
        can.Message(timestamp=10.0, arbitration_id=0x12, is_extended_id=False, data=b"\x01", channel="can0"),
        can.Message(
            timestamp=10.5, arbitration_id=0x12, is_extended_id=True, data=bytes(8), channel="can1", is_rx=False
        ),
        can.Message(
            timestamp=11.0, arbitration_id=0x13, is_fd=True, bitrate_switch=True, data=bytes(48), channel="can0"
        ),
        can.Message(timestamp=12.0, arbitration_id=0x14, is_remote_frame=True, is_extended_id=False, channel="can0"),
        can.Message(timestamp=13.0, is_error_frame=True, channel="can0"),
    ]
    with can.Logger(path) as writer:
        for message in sent:
            writer(message)
    frames = read(path)
    assert frames.t_us.tolist() == [0, 500_000, 1_000_000, 2_000_000, 3_000_000]
    assert frames.length.tolist() == [1, 8, 48, 0, 0]
    assert [FrameFlag(bits) for bits in frames.flags.tolist()] == [
        FrameFlag(0),
        FrameFlag.EXTENDED | FrameFlag.TRANSMITTED,
        FrameFlag.EXTENDED | FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH,
        FrameFlag.REMOTE,
        FrameFlag.ERROR,
    ]


def test_interfaces_get_the_number_in_their_name_where_it_is_free(tmp_path):
    names = ["can2", "vcan2", "can0", "slcan", "can999"]
    text = "".join(f"(1.000000) {name} 001#{row:02X}\n" for row, name in enumerate(names))
    log = open_log(write(tmp_path / "a.log", text))
    frames = FrameColumns.concatenate(list(log.chunks()))
    assert [log.buses[bus] for bus in frames.bus.tolist()] == names
    assert log.buses[2] == "can2"
    assert log.buses[0] == "can0"
    assert len(log.buses) == 5


def test_lines_that_are_no_frames_are_named_and_the_others_read(tmp_path):
    text = LINES.replace("(1690000000.250001) can0 7FF#", "(1690000000.250001) can0 7FF#1")
    log = open_log(write(tmp_path / "a.log", "# by hand\n\n" + text + "oops\n"))
    assert sum(map(len, log.chunks())) == 9
    assert log.problem is not None
    assert "3 lines are no frames (the first is line 1)" in log.problem
    assert sum(map(len, log.chunks())) == 9
    assert "3 lines" in log.problem


@pytest.mark.parametrize("cut", [1, 2, 20, 30])
def test_cut_off_log_gives_what_is_whole_and_says_so(tmp_path, cut):
    log = open_log(write(tmp_path / "a.log", LINES[: -1 - cut]))
    found = sum(map(len, log.chunks()))
    assert found == 9
    assert log.problem is not None
    assert "the last line is cut off" in log.problem


@pytest.mark.parametrize(
    ("last", "frames"), [("123#01", 1), ("123#0102", 2), ("123#010203", 2), ("124#01", 2), ("123", 1)]
)
def test_a_last_line_without_end_counts_when_it_is_as_long_as_others_of_its_id(tmp_path, last, frames):
    log = open_log(write(tmp_path / "a.log", f"(1.000000) can0 123#0102\n(2.000000) can0 {last}"))
    assert sum(map(len, log.chunks())) == frames
    assert (log.problem is None) == (frames == 2)


@pytest.mark.parametrize("text", ["", "\n", "hello\nworld\n", "\0" * 100])
def test_a_file_without_any_frame_is_refused(tmp_path, text):
    with pytest.raises(UserError, match="no line is a frame"):
        open_log(write(tmp_path / "a.log", text))


def test_a_huge_file_without_line_ends_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(candump, "_BLOCK_BYTES", 1000)
    with pytest.raises(UserError, match="no line ends"):
        open_log(write(tmp_path / "a.log", "x" * 5000))


def test_more_interfaces_than_bus_numbers_are_refused(tmp_path):
    text = "".join(f"(1.000000) can{number} 001#\n" for number in range(257))
    with pytest.raises(UserError, match="257 interfaces"):
        open_log(write(tmp_path / "a.log", text))


def test_open_log_refuses_with_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        open_log(tmp_path / "a.log")
    with pytest.raises(UserError, match="is a folder"):
        open_log(tmp_path)
    with pytest.raises(UserError, match=r"unknown kind '\.csv'; known are \.asc, \.blf, \.log, \.mf4, \.trc"):
        open_log(write(tmp_path / "a.csv", ""))
    with pytest.raises(UserError, match="no ending"):
        open_log(write(tmp_path / "a", ""))


def test_log_without_permission_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.log", LINES)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        open_log(path)
    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        open_log(path)


def test_file_that_cannot_be_written_or_vanishes_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        write_candump(tmp_path / "no" / "a.log", [], 0, {})
    path = write(tmp_path / "a.log", LINES)
    log = open_log(path)
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        list(log.chunks())
