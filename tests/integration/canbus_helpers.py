"""A stand-in for a CAN interface where the kernel has none: UDP on loopback, each datagram one struct of <linux/can.h>.

To the reader it is the same: a datagram socket with kernel stamps, a drop counter and a receive buffer that overflows.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Iterator, Sequence

from ved.canbus.recvmmsg import DatagramBuffer, prepare
from ved.canbus.source import SourceLoss

CLASSIC = struct.Struct("=IB3x8s")
FD = struct.Struct("=IBB2x64s")


def can_frame(raw_id: int, data: bytes) -> bytes:
    """A `struct can_frame`; `raw_id` with its flag bits."""
    return CLASSIC.pack(raw_id, len(data), data)


def canfd_frame(raw_id: int, data: bytes, flags: int = 0) -> bytes:
    """A `struct canfd_frame`."""
    return FD.pack(raw_id, len(data), flags, data)


def numbered(number: int) -> bytes:
    """A frame whose data is its number."""
    return can_frame(0x100 + number % 60, struct.pack("<Q", number))


@contextlib.contextmanager
def kernel_stamps() -> Iterator[None]:
    """Waits until the kernel stamps on arrival: a while after a socket asked for it; before, it does so on reading."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        prepare(sock, 1 << 16)
        sock.bind(("127.0.0.1", 0))
        buffer = DatagramBuffer(1, 8)
        read_ns = stamp_ns = 0
        while read_ns - stamp_ns < 5_000_000:
            sock.sendto(b"x", sock.getsockname())
            time.sleep(0.01)
            read_ns = time.time_ns()
            assert buffer.receive(sock.fileno()) == 1
            stamp_ns = int(buffer.stamps_ns(1, read_ns)[0])
        yield


class UdpBus:
    """One bus. `open_socket` is what a reader opens (again and again on the same port); `transmit` is the car."""

    def __init__(self, buffer_bytes: int = 4 << 20) -> None:
        self._buffer_bytes = buffer_bytes
        self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.is_there = True
        self.opened = 0
        self.receiver: socket.socket | None = None
        first = self.open_socket()
        self._address = first.getsockname()
        self._sender.connect(self._address)
        first.close()
        self.opened = 0

    def open_socket(self) -> socket.socket:
        """A fresh receiving socket; OSError while the bus is not there."""
        if not self.is_there:
            raise OSError(19, "No such device")
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        prepare(sock, self._buffer_bytes)
        sock.bind(getattr(self, "_address", ("127.0.0.1", 0)))
        self.receiver = sock
        self.opened += 1
        return sock

    def transmit(self, frames: Sequence[bytes]) -> list[tuple[int, int]]:
        """Put frames on the bus; the monotonic µs just before and after each."""
        times = []
        for frame in frames:
            before_ns = time.monotonic_ns()
            try:
                self._sender.send(frame)
            except ConnectionRefusedError:  # nobody listened to an earlier one
                self._sender.send(frame)
            times.append((before_ns // 1000, time.monotonic_ns() // 1000 + 1))
        return times

    def close(self) -> None:
        """The car's end."""
        self._sender.close()


def covers(losses: Sequence[SourceLoss], times: tuple[int, int], origin_us: int) -> bool:
    """True when a moment between these two may lie within a loss."""
    return any(loss.t_from_us + origin_us <= times[1] and times[0] <= loss.t_to_us + origin_us + 1 for loss in losses)
