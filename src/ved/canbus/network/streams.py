"""A bus whose frames come over a TCP connection that this side opens: text of candump, or a socketcand's."""

import errno
import os
import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from ved.canbus.network.lookup import Lookup
from ved.canbus.network.rawframes import NO_STAMP, RawFrames
from ved.canbus.network.remoteclock import RemoteClock
from ved.canbus.reader import BusDownError, Reading
from ved.canbus.source import SourceLoss
from ved.errors import CorruptDataError
from ved.model.frames import FrameColumns

READ_BYTES: Final = 256 << 10
"""What one reading takes; the rest waits in the kernel, and at last at the sender, who hears of it."""

CONNECT_S: Final = 5.0
_PIECE: Final = 64 << 10
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3))
_UNACKED_MS: Final = 10_000
_WAITING: Final = (errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK)


class Talk(Protocol):
    """What is said over one connection, without the connection."""

    answer: bytes
    """What is to be sent; whoever sends it clears it."""

    @property
    def is_raw(self) -> bool:
        """True once frames can come."""

    def feed(self, piece: bytes) -> RawFrames:
        """The frames that ended in this piece. CorruptDataError when the other side is not what it should be."""


class StreamReader:
    """One bus. `make_talk` begins a dialogue; the other end is looked up and dialled at every `open`.

    Times keep the sender's spacing where it stamps, else they are those of arrival.
    """

    trouble: Final = None

    def __init__(self, bus: int, interface: str, host_port: tuple[str, int], make_talk: Callable[[], Talk]) -> None:
        self.bus = bus
        self.interface = interface
        self._lookup = Lookup(*host_port)
        self._make_talk = make_talk
        self._talk = make_talk()
        self._clock = RemoteClock()
        self._socket: socket.socket | None = None
        self._is_connected = False
        self._origin_ns = 0
        self._began_s = 0.0
        self._last_us = 0
        self.alive_us = 0
        self.opened_us = 0

    @property
    def is_open(self) -> bool:
        """True once frames can come."""
        return self._socket is not None and self._is_connected and self._talk.is_raw

    def open(self, origin_mono_ns: int) -> None:
        """Begin to look up the name and to connect."""
        self._origin_ns = origin_mono_ns
        self.alive_us = max(self.alive_us, self._now_us())
        self._talk, self._clock = self._make_talk(), RemoteClock()
        self._is_connected, self._began_s = False, time.monotonic()
        self._lookup.begin()
        self._dial()

    def _dial(self) -> bool:
        """Begin to connect once the address is known; False before. BusDownError when it cannot be."""
        try:
            place = self._lookup.take()
            if place is None:
                return False
            family, address = place
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            for option, value in ((socket.TCP_USER_TIMEOUT, _UNACKED_MS), *_KEEPALIVE):
                self._socket.setsockopt(socket.IPPROTO_TCP, option, value)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            number = self._socket.connect_ex(address)
        except OSError as error:
            raise self._down(error.strerror or str(error)) from error
        if number and number not in _WAITING:
            raise self._down(os.strerror(number))
        return True

    def fileno(self) -> int:
        """The socket; -1 while the name is looked up."""
        return self._socket.fileno() if self._socket is not None else -1

    def read(self) -> Reading:
        """What has come, at most READ_BYTES. What came before an end is delivered before the end is told."""
        if self._socket is None and not self._dial():
            if time.monotonic() - self._began_s > CONNECT_S:
                raise self._down("no name server answers")
            return Reading(FrameColumns.empty())
        assert self._socket is not None
        if not self._is_connected and not self._has_connected(self._socket):
            return Reading(FrameColumns.empty())
        parts: list[FrameColumns] = []
        refused = size = 0
        ended = None
        while size < READ_BYTES:
            try:
                piece = self._socket.recv(_PIECE)
                ended = None if piece else "the other side closed the connection"
            except BlockingIOError:
                break
            except OSError as error:
                ended = error.strerror or str(error)
            if ended is not None:
                break
            size += len(piece)
            frames, count = self._take(piece)
            parts.append(frames)
            refused += count
        if ended is not None and not parts:
            raise self._down(ended)
        if not self._talk.is_raw and time.monotonic() - self._began_s > CONNECT_S:
            raise self._down("says nothing")
        return Reading(FrameColumns.concatenate(parts), (), refused)

    def close(self) -> tuple[SourceLoss, ...]:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        return ()

    def _has_connected(self, sock: socket.socket) -> bool:
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise self._down(os.strerror(number))
        try:
            sock.getpeername()
        except OSError:
            if time.monotonic() - self._began_s > CONNECT_S:
                raise self._down("does not answer") from None
            return False
        self._is_connected = True
        self._note_open()
        return True

    def _note_open(self) -> None:
        if self._talk.is_raw:
            self.alive_us = self.opened_us = max(self.alive_us, self._now_us())

    def _take(self, piece: bytes) -> tuple[FrameColumns, int]:
        was_raw = self._talk.is_raw
        try:
            found = self._talk.feed(piece)
            if self._talk.answer and self._socket is not None:
                self._socket.sendall(self._talk.answer)  # a few bytes, and seldom: they fit
                self._talk.answer = b""
        except (CorruptDataError, OSError) as error:
            raise self._down(str(error)) from error
        if not was_raw:
            self._note_open()
        now_us = self._now_us()
        self.alive_us = max(self.alive_us, now_us)
        return found.columns(self.bus, self._times(found, now_us)), found.refused

    def _times(self, found: RawFrames, now_us: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        if not len(found):
            return np.empty(0, np.int64)
        stamps_us = np.where(found.stamps_us == NO_STAMP, now_us, found.stamps_us)
        if (found.stamps_us != NO_STAMP).all():
            stamps_us = self._clock.to_local(found.stamps_us, now_us)
        t_us = np.maximum.accumulate(np.clip(stamps_us, self._last_us, max(now_us, self._last_us)))
        self._last_us = int(t_us[-1])
        return t_us

    def _now_us(self) -> int:
        return (time.monotonic_ns() - self._origin_ns) // 1000

    def _down(self, why: str) -> BusDownError:
        return BusDownError(f"{self.interface}: {why}")
