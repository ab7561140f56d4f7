"""BLF, ASC and TRC: files written by python-can come back whole; cut and foreign files are told."""

import datetime as dt
import time
from pathlib import Path

import can
import numpy as np
import pytest

from ved.errors import UserError
from ved.logfiles.blf_write import write_blf
from ved.logfiles.canmessages import columns_of, messages_of
from ved.logfiles.logfile import CHUNK_FRAMES
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameColumns, FrameFlag

UTC0 = 1_700_000_000_000_000


def made(n: int, *, only_data: bool = False) -> FrameColumns:
    rng = np.random.default_rng(n)
    kinds = [0, FrameFlag.EXTENDED]
    if not only_data:
        kinds += [FrameFlag.FD, FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH, FrameFlag.REMOTE, FrameFlag.TRANSMITTED]
    flags = rng.choice(np.array(kinds, np.uint8), n)
    lengths = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64], np.uint8)
    is_fd = (flags & np.uint8(FrameFlag.FD)) != 0
    length = np.where(is_fd, rng.choice(lengths, n), rng.integers(0, 9, n)).astype(np.uint8)
    payload = rng.integers(0, 256, (n, 8 if only_data else 64)).astype(np.uint8)
    payload[np.arange(payload.shape[1]) >= length[:, None]] = 0
    payload[(flags & np.uint8(FrameFlag.REMOTE)) != 0] = 0
    ids = np.where(flags & np.uint8(FrameFlag.EXTENDED), rng.integers(0, 1 << 29, n), rng.integers(0, 1 << 11, n))
    t_us = np.cumsum(rng.integers(0, 2_000, n)).astype(np.int64)
    t_us -= t_us[0]
    return FrameColumns(t_us, rng.integers(0, 3, n).astype(np.uint8), ids.astype(np.uint32), flags, length, payload)


def read(path: Path) -> tuple[FrameColumns, int]:
    log = open_log(path)
    parts = list(log.chunks())
    assert log.problem is None
    assert max(map(len, parts)) <= CHUNK_FRAMES
    frames = FrameColumns.concatenate(parts)
    assert log.frame_count == len(frames)
    return frames, log.start_utc_us


def same(found: FrameColumns, expected: FrameColumns, tolerance_us: int) -> None:
    assert np.abs(found.t_us - expected.t_us).max() <= tolerance_us
    at = FrameColumns(expected.t_us, found.bus, found.arbitration_id, found.flags, found.length, found.payload)
    assert at.equals(expected)


def test_blf_in_and_out(tmp_path: Path):
    frames = made(CHUNK_FRAMES + 100)
    path = tmp_path / "drive.BLF"
    chunks = [frames.take(slice(0, 9_000)), frames.take(slice(9_000, None))]
    assert write_blf(path, chunks, UTC0) == len(frames)
    found, start_utc_us = read(path)
    same(found, frames, 1)
    assert abs(start_utc_us - UTC0) <= 1
    assert open_log(path).buses == {0: "can0", 1: "can1", 2: "can2"}


def test_an_asc_file_of_python_can(tmp_path: Path):
    frames = made(300, only_data=True)
    path = tmp_path / "drive.asc"
    with can.ASCWriter(path) as writer:
        for message in messages_of(frames, UTC0 + 5_000):
            writer.on_message_received(message)
    found, start_utc_us = read(path)
    same(found, frames, 1_000)
    assert found.t_us[0] == 0
    assert abs(start_utc_us - UTC0 - 5_000) <= 1_000


@pytest.fixture
def in_paris(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Paris")
        time.tzset()
        yield
    time.tzset()


def asc(path: Path, *head: str, encoding: str = "utf-8") -> Path:
    lines = [*head, "internal events logged", "   0.000000 Start of measurement", "   1.500000 1  123  Rx   d 1 07"]
    path.write_bytes("\r\n".join([*lines, ""]).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize(
    ("date", "utc"),
    [
        ("Tue Sep 30 03:06:13.191 pm 2025", "2025-09-30 13:06:14.691"),
        ("Tue Sep 30 12:06:13 AM 2025", "2025-09-29 22:06:14.5"),
        ("Thu Jan 9 15:06:13.191000 2025", "2025-01-09 14:06:14.691"),
        ("Mit M\u00e4r 5 12:00:00.5 2025", "2025-03-05 11:00:01.505"),
        ("Do Dez 25 12:00:00 2025", "2025-12-25 11:00:01.5"),
        ("lun. f\u00e9vr. 3 12:00:00 2025", "2025-02-03 11:00:01.5"),
        ("ven. ao\u00fbt 1 12:00:00 2025", "2025-08-01 10:00:01.5"),
        ("dim. juin 1 12:00:00 2025", "2025-06-01 10:00:01.5"),
        ("mar. juil. 1 12:00:00 2025", "2025-07-01 10:00:01.5"),
    ],
)
@pytest.mark.usefixtures("in_paris")
def test_the_date_of_an_asc_file_is_that_of_the_machine(tmp_path: Path, date: str, utc: str, encoding: str):
    expected = round(dt.datetime.fromisoformat(f"{utc}+00:00").timestamp() * 1e6)
    log = open_log(asc(tmp_path / "a.asc", f"date {date}", encoding=encoding))
    assert log.start_utc_us == expected
    both = asc(tmp_path / "b.asc", "date Wed Jan 1 00:00:00 2020", f"Begin TriggerBlock {date}", encoding=encoding)
    assert open_log(both).start_utc_us == expected


@pytest.mark.parametrize(
    "head", ["", "date 30/09/2025", "date Tue Foo 30 03:06:13 2025", "date Tue Feb 30 03:06:13 2025"]
)
def test_an_asc_file_without_a_date_that_can_be_read_starts_in_1970(tmp_path: Path, head: str):
    assert open_log(asc(tmp_path / "a.asc", head)).start_utc_us == 1_500_000


def test_stamps_that_count_from_the_line_before_are_refused(tmp_path: Path):
    path = asc(tmp_path / "a.asc", "date Tue Sep 30 03:06:13 pm 2025", "base hex  timestamps relative")
    with pytest.raises(UserError, match=r"a\.asc: its times are 'relative' .* save it with absolute ones"):
        open_log(path)


def test_a_trc_file_of_python_can(tmp_path: Path):
    frames = made(300, only_data=True)
    path = tmp_path / "drive.trc"
    with can.TRCWriter(path) as writer:
        for message in messages_of(frames, UTC0):
            writer.on_message_received(message)
    found, _ = read(path)
    same(
        FrameColumns(found.t_us, frames.bus, found.arbitration_id, found.flags, found.length, found.payload),
        frames,
        1_000,
    )


def test_messages_and_columns_are_one_thing():
    frames = made(500)
    messages = list(messages_of(frames, UTC0))
    same(columns_of(messages, UTC0 / 1e6, frames.bus.tolist()), frames, 1)
    assert [message.dlc for message in messages] == frames.length.tolist()


def test_a_cut_file_keeps_what_is_readable(tmp_path: Path):
    path = tmp_path / "drive.blf"
    write_blf(path, [made(20_000)], UTC0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    log = open_log(path)
    kept = FrameColumns.concatenate(list(log.chunks()))
    assert 1_000 < len(kept) < 20_000
    assert log.problem is not None
    assert "cut off" in log.problem


@pytest.mark.parametrize("ending", ["blf", "asc", "trc"])
@pytest.mark.parametrize("content", [b"", b"this is no log\n" * 20, bytes(range(256)) * 10])
def test_what_is_no_log_is_said(tmp_path: Path, ending: str, content: bytes):
    path = tmp_path / f"drive.{ending}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=str(path)):
        open_log(path)
    with pytest.raises(UserError, match="no such file"):
        open_log(tmp_path / f"nothing.{ending}")
