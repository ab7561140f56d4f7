"""BLF, ASC and TRC: files written by python-can come back whole; cut and foreign files are told."""

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
        for message in messages_of(frames, UTC0):
            writer.on_message_received(message)
    found, _ = read(path)
    same(found, frames, 1_000)
    assert found.t_us[0] == 0


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
