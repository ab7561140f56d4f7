"""SocketCAN: one interface through a raw socket of its own. Listen-only: nothing in this folder can send a frame.

The reader asks the socket for CAN FD frames and error frames, for the kernel's stamps and for its drop counter, and
takes many frames in one system call. It works on any datagram socket whose datagrams are single `struct can_frame` or
`struct canfd_frame`.
"""

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.canframes import CAN_MTU, CANFD_MTU, frame_columns
from ved.canbus.errorframes import ControllerWatch
from ved.canbus.reader import BusDownError, Reading
from ved.canbus.recvmmsg import DatagramBuffer, drops_total, prepare
from ved.canbus.source import SourceLoss
from ved.canbus.stamps import StampClock
from ved.errors import UserError
from ved.model.frames import FrameColumns
from ved.model.records import LossPlace

BUFFER_BYTES: Final = 8 << 20
"""Room in the kernel for about 20,000 frames of a bus: more than two seconds of a full one."""

_ROWS: Final = 1024
_MAX_ROUNDS: Final = 8

_SOL_CAN_RAW: Final = 101
_CAN_RAW_ERR_FILTER: Final = 2
_CAN_RAW_FD_FRAMES: Final = 5
_ALL_ERRORS: Final = 0x1FFF_FFFF
_NO_CAN: Final = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)


def open_interface(interface: str) -> socket.socket:
    """A raw CAN socket on `interface`, which is up. OSError when it is not, UserError where there is no CAN at all."""
    if sys.platform != "linux":
        raise UserError(f"bus {interface}: SocketCAN is a part of Linux; name a python-can interface, kind:channel")
    try:
        sock = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    except OSError as error:
        if error.errno not in _NO_CAN:
            raise
        raise UserError(f"bus {interface}: this kernel has no CAN; load the module can_raw, or use another") from error
    try:
        sock.setsockopt(_SOL_CAN_RAW, _CAN_RAW_ERR_FILTER, struct.pack("=I", _ALL_ERRORS))
        sock.setsockopt(_SOL_CAN_RAW, _CAN_RAW_FD_FRAMES, 1)
        prepare(sock, BUFFER_BYTES)
        sock.bind((interface,))
        _raise_pending(sock)
    except OSError:
        sock.close()
        raise
    return sock


def _raise_pending(sock: socket.socket) -> None:
    """An interface that is down can be bound: the error stands beside it."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


class SocketCanReader:
    """One bus. `open_socket` makes the socket, here or again after the bus went away; OSError: not there."""

    def __init__(self, bus: int, interface: str, open_socket: Callable[[], socket.socket] | None = None) -> None:
        self.bus = bus
        self.interface = interface
        self._open_socket = open_socket or (lambda: open_interface(interface))
        self._socket: socket.socket | None = None
        self._buffer = DatagramBuffer(_ROWS, CANFD_MTU)
        self._clock = StampClock()
        self._controller = ControllerWatch(bus)
        self._origin_ns = 0
        self._drops = 0
        self._failure: str | None = None
        self._last_us = 0
        self.alive_us = 0
        self.opened_us = 0

    @property
    def is_open(self) -> bool:
        """True between `open` and `close`."""
        return self._socket is not None

    @property
    def trouble(self) -> str | None:
        """A controller that has left the bus."""
        return f"{self.interface}: bus-off" if self._controller.is_bus_off else None

    def open(self, origin_mono_ns: int) -> None:
        """Make the socket. BusDownError when the interface is not there or is down."""
        self._origin_ns = origin_mono_ns
        self._clock = StampClock()
        self.alive_us = max(self.alive_us, self._now_us())
        try:
            self._socket = self._open_socket()
        except OSError as error:
            raise BusDownError(f"{self.interface}: {error.strerror or error}") from error
        self._drops = 0
        self._failure = None
        self._clock.sample()
        self.alive_us = self.opened_us = self._last_us = max(self.alive_us, self._now_us())

    def fileno(self) -> int:
        """The socket."""
        return self._socket.fileno() if self._socket is not None else -1

    def read(self) -> Reading:
        """All that waits in the socket, at most some thousand frames; after an error what was queued before it."""
        if self._socket is None:
            raise BusDownError(f"{self.interface}: is not open")
        parts: list[FrameColumns] = []
        losses: list[SourceLoss] = []
        for _ in range(_MAX_ROUNDS):
            try:
                count = self._buffer.receive(self._socket.fileno())
            except OSError as error:  # said once, ahead of the frames that wait
                if self._failure is not None:
                    break
                self._failure = error.strerror or str(error)
                continue
            real_ns = self._clock.sample(is_drained=count < _ROWS)
            if count:
                parts.append(self._take(count, real_ns, losses))
                self.alive_us = max(self.alive_us, self._last_us)
            if count < _ROWS:
                if self._failure is None:
                    self._note_late_drops(losses)
                    self.alive_us = max(self._last_us, self._now_us())
                break
        if self._failure is not None and not parts:
            raise BusDownError(f"{self.interface}: {self._failure}")
        return Reading(FrameColumns.concatenate(parts), tuple(losses))

    def close(self) -> tuple[SourceLoss, ...]:
        """Close the socket; the drops that no frame told of are counted."""
        losses: list[SourceLoss] = []
        if self._socket is not None:
            self._clock.sample()
            losses += self._controller.end(self._now_us())
            self._note_late_drops(losses)
            self._socket.close()
            self._socket = None
        return tuple(losses)

    def _now_us(self) -> int:
        return (self._clock.now_ns - self._origin_ns) // 1000

    def _take(self, count: int, real_ns: int, losses: list[SourceLoss]) -> FrameColumns:
        mono_ns = self._clock.to_mono_ns(self._buffer.stamps_ns(count, real_ns))
        t_us = np.maximum((mono_ns - self._origin_ns) // 1000, self._last_us)
        drops = self._buffer.drops(count)
        if drops is not None:
            losses += self._drops_between(t_us, drops)
        size = self._buffer.length[:count]
        data, marks = self._buffer.data[:count], self._buffer.flags[:count]
        since_us, self._last_us = self._last_us, int(t_us[-1])
        is_fd = size == CANFD_MTU
        is_frame = ((size == CAN_MTU) | is_fd) & ((marks & np.int32(socket.MSG_TRUNC)) == 0)
        if not is_frame.all():
            lost = t_us[~is_frame]
            losses.append(SourceLoss(LossPlace.KERNEL, self.bus, len(lost), int(lost[0]), int(lost[-1])))
            is_fd, data, marks, t_us = is_fd[is_frame], data[is_frame], marks[is_frame], t_us[is_frame]
        frames = frame_columns(data, is_fd, marks, self.bus, t_us)
        if len(frames):
            losses += self._controller.note(frames, since_us)
        return frames

    def _drops_between(self, t_us: NDArray[np.int64], drops: NDArray[np.uint32]) -> list[SourceLoss]:
        """The kernel counts before each frame: what it dropped lies between that frame and the one before."""
        ahead = (drops - np.uint32(self._drops & 0xFFFF_FFFF)).astype(np.int32)  # wraps; < 0: told before
        grown = np.diff(np.maximum.accumulate(np.maximum(ahead, 0)), prepend=np.int32(0))
        before_us = np.concatenate(([self._last_us], t_us[:-1]))
        rows = np.flatnonzero(grown)
        self._drops += int(grown.sum())
        place = LossPlace.KERNEL
        return [SourceLoss(place, self.bus, int(grown[row]), int(before_us[row]), int(t_us[row])) for row in rows]

    def _note_late_drops(self, losses: list[SourceLoss]) -> None:
        """Drops after the last frame that was queued: the next frame may never come."""
        if self._socket is None:
            return
        ahead = (drops_total(self._socket) - self._drops) & 0xFFFF_FFFF
        if 0 < ahead < 1 << 31:
            self._drops += ahead
            now_us = max(self._last_us, self._now_us())
            losses.append(SourceLoss(LossPlace.KERNEL, self.bus, ahead, self._last_us, now_us))
