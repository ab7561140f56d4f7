"""A bus whose frames come as UDP datagrams: cannelloni's, or those of python-can's multicast."""

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from ved.canbus.network.cannelloni import Place, SequenceWatch, parse_cannelloni
from ved.canbus.network.multicast import parse_multicast
from ved.canbus.network.rawframes import NO_STAMP, RawFrames
from ved.canbus.network.remoteclock import RemoteClock
from ved.canbus.reader import BusDownError, Reading
from ved.canbus.recvmmsg import DatagramBuffer, drops_total, prepare
from ved.canbus.source import SourceLoss
from ved.canbus.stamps import StampClock
from ved.errors import CorruptDataError, UserError
from ved.model.frames import FrameColumns
from ved.model.records import LossPlace

BUFFER_BYTES: Final = 4 << 20
MAX_DATAGRAM: Final = 9216
"""A jumbo frame's; what is longer is refused whole."""

_ROWS: Final = 64
_MAX_ROUNDS: Final = 16


@dataclass(frozen=True, slots=True)
class Datagram:
    """What one datagram brought. `is_after_loss`: something before it never came. `frames` None: it counts not."""

    frames: RawFrames | None
    is_after_loss: bool = False


class Content(Protocol):
    """How a kind of datagram is read; `frames_each`: a dropped datagram held so many frames (-1: not known)."""

    frames_each: int

    def take(self, datagram: bytes) -> Datagram:
        """Read a datagram. CorruptDataError when it is none of this kind."""


class CannelloniContent:
    """Follows the sequence of one sender."""

    frames_each = -1

    def __init__(self) -> None:
        self._watch = SequenceWatch()

    def take(self, datagram: bytes) -> Datagram:
        """A repeated datagram counts not."""
        found = parse_cannelloni(datagram)
        place = self._watch.place(found.sequence, datagram)
        if place is Place.REPEATED:
            return Datagram(None)
        return Datagram(found.frames, place is Place.AFTER_GAP)


class MulticastContent:
    """Has no sequence: what is lost on the way shows nowhere."""

    frames_each = 1

    def take(self, datagram: bytes) -> Datagram:
        """One frame."""
        return Datagram(parse_multicast(datagram))


class DatagramReader:
    """One bus. `sender`: the only address whose datagrams count (empty: any). `open_socket` binds; OSError: not now.

    Times keep the sender's spacing where it stamps, else they are the kernel's of arrival.
    """

    trouble: Final = None

    def __init__(
        self,
        bus: int,
        interface: str,
        make_content: Callable[[], Content],
        open_socket: Callable[[], socket.socket],
        sender: str = "",
    ) -> None:
        self.bus = bus
        self.interface = interface
        self._make_content, self._content = make_content, make_content()
        self._open_socket = open_socket
        self._sender = socket.inet_aton(sender) if sender else b""
        self._socket: socket.socket | None = None
        self._buffer = DatagramBuffer(_ROWS, MAX_DATAGRAM)
        self._stamps, self._clock = StampClock(), RemoteClock()
        self._origin_ns = 0
        self._drops = 0
        self._last_us = 0
        self.alive_us = 0
        self.opened_us = 0

    @property
    def is_open(self) -> bool:
        """True between `open` and `close`: whether anybody sends, nobody knows."""
        return self._socket is not None

    def open(self, origin_mono_ns: int) -> None:
        """Bind. BusDownError when the port is in use or the address is not here."""
        self._origin_ns = origin_mono_ns
        self._stamps, self._clock, self._content = StampClock(), RemoteClock(), self._make_content()
        self.alive_us = max(self.alive_us, self._now_us())
        try:
            self._socket = self._open_socket()
            prepare(self._socket, BUFFER_BYTES)
        except OSError as error:
            self.close()
            raise BusDownError(f"{self.interface}: {error.strerror or error}") from error
        self._drops = drops_total(self._socket)
        self._stamps.sample()
        self.alive_us = self.opened_us = self._last_us = max(self.alive_us, self._now_us())

    def fileno(self) -> int:
        """The socket."""
        return self._socket.fileno() if self._socket is not None else -1

    def read(self) -> Reading:
        """What waits in the socket, at most about a thousand datagrams."""
        if self._socket is None:
            raise BusDownError(f"{self.interface}: is not open")
        parts: list[FrameColumns] = []
        losses: list[SourceLoss] = []
        refused = 0
        for _ in range(_MAX_ROUNDS):
            try:
                count = self._buffer.receive(self._socket.fileno())
            except OSError as error:
                if parts:
                    break  # it is told again
                raise BusDownError(f"{self.interface}: {error.strerror or error}") from error
            real_ns = self._stamps.sample(is_drained=count < _ROWS)
            if count:
                refused += self._take(count, real_ns, parts, losses)
            if count < _ROWS:
                break
        self._note_drops(losses)
        self.alive_us = max(self.alive_us, self._last_us, self._now_us())
        return Reading(FrameColumns.concatenate(parts), tuple(losses), refused)

    def close(self) -> tuple[SourceLoss, ...]:
        """Close the socket."""
        losses: list[SourceLoss] = []
        if self._socket is not None:
            self._stamps.sample()
            self._note_drops(losses)
            self._socket.close()
            self._socket = None
        return tuple(losses)

    def _take(self, count: int, real_ns: int, parts: list[FrameColumns], losses: list[SourceLoss]) -> int:
        """Read the buffer's first rows; returns how many were refused."""
        mono_ns = self._stamps.to_mono_ns(self._buffer.stamps_ns(count, real_ns))
        arrived_us = np.maximum((mono_ns - self._origin_ns) // 1000, self._last_us)
        refused = 0
        for row, at_us in enumerate(arrived_us.tolist()):
            found = self._read_row(row)
            if found is None or found.frames is None:
                refused += 1
                continue
            frames = found.frames
            if found.is_after_loss:
                losses.append(SourceLoss(LossPlace.WAY, self.bus, -1, self._last_us, max(at_us, self._last_us)))
            if len(frames):
                parts.append(frames.columns(self.bus, self._times(frames, at_us)))
        return refused

    def _read_row(self, row: int) -> Datagram | None:
        """None for a datagram that is none of this sender and kind."""
        if self._buffer.flags[row] & socket.MSG_TRUNC:
            return None
        if self._sender and self._buffer.senders[row].tobytes() != self._sender:
            return None
        try:
            return self._content.take(self._buffer.data[row, : self._buffer.length[row]].tobytes())
        except CorruptDataError:
            return None

    def _times(self, frames: RawFrames, arrived_us: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        stamps_us = np.full(len(frames), arrived_us, np.int64)
        if (frames.stamps_us != NO_STAMP).all():
            stamps_us = self._clock.to_local(frames.stamps_us, arrived_us)
        t_us = np.maximum(stamps_us, self._last_us)
        self._last_us = int(t_us[-1])
        return t_us

    def _note_drops(self, losses: list[SourceLoss]) -> None:
        """Datagrams that found the socket's buffer full."""
        if self._socket is None:
            return
        dropped = (drops_total(self._socket) - self._drops) & 0xFFFF_FFFF
        if 0 < dropped < 1 << 31:
            self._drops += dropped
            count = dropped * self._content.frames_each if self._content.frames_each > 0 else -1
            losses.append(
                SourceLoss(LossPlace.KERNEL, self.bus, count, self.alive_us, max(self.alive_us, self._now_us()))
            )

    def _now_us(self) -> int:
        return (self._stamps.now_ns - self._origin_ns) // 1000


def bound_socket(host: str, port: int) -> socket.socket:
    """A UDP socket on an address of this machine (IPv4). OSError when it cannot be bound."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def group_socket(group: str, port: int, interface: str) -> socket.socket:
    """A UDP socket in a multicast group (IPv4), joined on the interface with this address (empty: the system's choice).

    OSError when it cannot be joined now.
    """
    packed = check_ipv4(group)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((group, port))
        membership = struct.pack("4s4s", packed, check_ipv4(interface) if interface else bytes(4))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    except OSError:
        sock.close()
        raise
    return sock


def check_ipv4(text: str) -> bytes:
    """The four bytes of an IPv4 address; UserError when it is none."""
    try:
        return socket.inet_pton(socket.AF_INET, text)
    except OSError:
        raise UserError(f"{text} is no IPv4 address; write it like 192.168.7.2") from None
