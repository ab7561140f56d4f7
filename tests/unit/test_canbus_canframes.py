"""Frames from the structs of <linux/can.h>: against a plain reader of one struct at a time, and against python-can."""

import struct

import numpy as np
from can.interfaces.socketcan.socketcan import dissect_can_frame
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.canbus.canframes import CAN_MTU, CANFD_MTU, frame_columns
from ved.model.frames import FrameColumns, FrameFlag

MSG_DONTROUTE = 0x4
FD_LENGTHS = (*range(9), 12, 16, 20, 24, 32, 48, 64)

structs = st.one_of(st.binary(min_size=CAN_MTU, max_size=CAN_MTU), st.binary(min_size=CANFD_MTU, max_size=CANFD_MTU))


def columns(frames: list[bytes], marks: list[int] | None = None) -> FrameColumns:
    rest = np.random.default_rng(1).integers(0, 256, (len(frames), CANFD_MTU), np.uint8)  # what the last read left
    for row, frame in zip(rest, frames, strict=True):
        row[: len(frame)] = np.frombuffer(frame, np.uint8)
    is_fd = np.array([len(frame) == CANFD_MTU for frame in frames])
    return frame_columns(rest, is_fd, np.array(marks or [0] * len(frames), np.int32), 5, np.arange(len(frames)))


def plain(frame: bytes, mark: int = 0) -> tuple[int, int, int, bytes]:
    """(id, flags, length, data) of one struct."""
    raw_id, length, fd_flags = struct.unpack_from("=IBB", frame)
    is_fd = len(frame) == CANFD_MTU
    length = min(length, 64 if is_fd else 8)
    data = frame[8 : 8 + length]
    flags = FrameFlag.TRANSMITTED if mark & MSG_DONTROUTE else FrameFlag(0)
    if raw_id & 0x2000_0000:
        flags |= FrameFlag.ERROR
    else:
        if raw_id & 0x8000_0000:
            flags |= FrameFlag.EXTENDED
        if raw_id & 0x4000_0000:
            flags |= FrameFlag.REMOTE
            data = b""
    if is_fd:
        flags |= FrameFlag.FD
        flags |= FrameFlag.BIT_RATE_SWITCH if fd_flags & 1 else FrameFlag(0)
        flags |= FrameFlag.ERROR_STATE if fd_flags & 2 else FrameFlag(0)
    wide = flags & (FrameFlag.EXTENDED | FrameFlag.ERROR)
    return raw_id & (0x1FFF_FFFF if wide else 0x7FF), int(flags), length, data


def rows(frames: FrameColumns) -> list[tuple[int, int, int, bytes]]:
    out = []
    for row in range(len(frames)):
        size = 0 if frames.flags[row] & FrameFlag.REMOTE else int(frames.length[row])
        assert not frames.payload[row, size:].any()
        data = frames.payload[row, :size].tobytes()
        out.append((int(frames.arbitration_id[row]), int(frames.flags[row]), int(frames.length[row]), data))
    return out


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(structs, st.sampled_from([0, MSG_DONTROUTE, 0x800, 0x805])), min_size=1, max_size=20))
def test_any_bytes_come_out_as_a_plain_reader_has_them(given_frames: list[tuple[bytes, int]]) -> None:
    frames = columns([frame for frame, _ in given_frames], [mark for _, mark in given_frames])
    assert rows(frames) == [plain(frame, mark) for frame, mark in given_frames]
    assert set(frames.bus) == {5}
    assert frames.t_us.tolist() == list(range(len(given_frames)))


@st.composite
def legal_structs(draw: st.DrawFn) -> bytes:
    """What a kernel hands out: legal ids and lengths, no remote frames in CAN FD."""
    is_fd = draw(st.booleans())
    kind = draw(st.sampled_from([0, 0x8000_0000, 0x2000_0000] + ([] if is_fd else [0x4000_0000, 0xC000_0000])))
    largest = 0x1FFF_FFFF if kind & 0xA000_0000 else 0x7FF
    raw_id = draw(st.integers(0, largest)) | kind
    length = draw(st.sampled_from(FD_LENGTHS if is_fd else range(9)))
    data = draw(st.binary(min_size=length, max_size=length))
    fd_flags = draw(st.integers(0, 7)) | 4 if is_fd else 0
    return struct.pack(f"=IBB2x{64 if is_fd else 8}s", raw_id, length, fd_flags, data)


@settings(max_examples=100, deadline=None)
@given(st.lists(legal_structs(), min_size=1, max_size=20))
def test_legal_frames_come_out_as_python_can_has_them(frames: list[bytes]) -> None:
    for (arbitration_id, flags, length, data), frame in zip(rows(columns(frames)), frames, strict=True):
        can_id, dlc, fd_flags, their_data = dissect_can_frame(frame)
        assert arbitration_id == can_id & 0x1FFF_FFFF
        assert length == dlc
        assert bool(flags & FrameFlag.ERROR) == bool(can_id & 0x2000_0000)
        assert bool(flags & FrameFlag.REMOTE) == bool(can_id & 0x4000_0000)
        if not flags & FrameFlag.ERROR:
            assert bool(flags & FrameFlag.EXTENDED) == bool(can_id & 0x8000_0000)
        if not flags & FrameFlag.REMOTE:
            assert data == bytes(their_data)
        assert bool(flags & FrameFlag.BIT_RATE_SWITCH) == bool(fd_flags & 1)
        assert bool(flags & FrameFlag.ERROR_STATE) == bool(fd_flags & 2)
        assert bool(flags & FrameFlag.FD) == (len(frame) == CANFD_MTU)


def test_classic_frames_alone_make_narrow_columns() -> None:
    classic, wide = bytes(CAN_MTU), bytes(CANFD_MTU)
    assert columns([classic, classic]).payload.shape == (2, 8)
    assert columns([classic, wide]).payload.shape == (2, 64)
