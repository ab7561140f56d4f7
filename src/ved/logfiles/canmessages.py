"""Frames as python-can's messages and back, for the formats that python-can reads and writes (BLF, ASC, TRC)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, FrameColumns, FrameFlag

if TYPE_CHECKING:
    from can import Message


def messages_of(frames: FrameColumns, start_utc_us: int) -> Iterator[Message]:
    """A message for each frame; `timestamp` is UTC in seconds, `channel` the bus."""
    from can import Message

    columns: list[list[int]] = [
        column.tolist()
        for column in (frames.t_us + start_utc_us, frames.bus, frames.arbitration_id, frames.flags, frames.length)
    ]
    data, width = frames.payload.tobytes(), frames.payload.shape[1]
    for row, (utc_us, bus, number, bits, length) in enumerate(zip(*columns, strict=True)):
        is_remote = bool(bits & FrameFlag.REMOTE)
        yield Message(
            timestamp=utc_us / 1e6,
            arbitration_id=number,
            is_extended_id=bool(bits & FrameFlag.EXTENDED),
            is_remote_frame=is_remote,
            is_error_frame=bool(bits & FrameFlag.ERROR),
            channel=bus,
            dlc=length,
            data=None if is_remote else data[row * width : row * width + length],
            is_fd=bool(bits & FrameFlag.FD),
            is_rx=not bits & FrameFlag.TRANSMITTED,
            bitrate_switch=bool(bits & FrameFlag.BIT_RATE_SWITCH),
            error_state_indicator=bool(bits & FrameFlag.ERROR_STATE),
        )


def columns_of(messages: Sequence[Any], start_s: float, buses: Sequence[int]) -> FrameColumns:
    """Messages as columns; `t_us` counts from `start_s`, `buses` gives each its bus."""
    n = len(messages)
    flags = np.array([_flags(message) for message in messages], np.uint8)
    is_remote = (flags & np.uint8(FrameFlag.REMOTE)) != 0
    data = [b"" if remote else bytes(one.data) for one, remote in zip(messages, is_remote.tolist(), strict=True)]
    width = CLASSIC_WIDTH if max(map(len, data), default=0) <= CLASSIC_WIDTH else FD_WIDTH
    payload = np.frombuffer(b"".join(part.ljust(width, b"\0") for part in data), np.uint8).reshape(n, width)
    asked = np.array([min(message.dlc, CLASSIC_WIDTH) for message in messages], np.uint8)
    length = np.where(is_remote, asked, np.array([len(part) for part in data], np.uint8)).astype(np.uint8)
    return FrameColumns(
        np.rint((np.array([message.timestamp for message in messages], np.float64) - start_s) * 1e6).astype(np.int64),
        np.array(buses, np.uint8),
        np.array([message.arbitration_id for message in messages], np.uint32),
        flags,
        length,
        payload,
    )


def _flags(message: Any) -> int:
    out = 0 if message.is_rx else int(FrameFlag.TRANSMITTED)
    if message.is_error_frame:
        return out | FrameFlag.ERROR
    for is_set, flag in (
        (message.is_extended_id, FrameFlag.EXTENDED),
        (message.is_fd, FrameFlag.FD),
        (message.bitrate_switch, FrameFlag.BIT_RATE_SWITCH),
        (message.error_state_indicator, FrameFlag.ERROR_STATE),
        (message.is_remote_frame, FrameFlag.REMOTE),
    ):
        out |= flag if is_set else 0
    return out
