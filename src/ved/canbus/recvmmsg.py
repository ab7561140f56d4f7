"""Many datagrams in one system call, into one NumPy buffer: `recvmmsg(2)` through ctypes.

Nothing here can send. Each row of the buffers is one datagram with what the kernel said of it: its time
(SO_TIMESTAMPNS) and how many datagrams the socket had dropped before it (SO_RXQ_OVFL).
"""

import ctypes
import errno
import os
import socket
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

SO_TIMESTAMPNS_NEW: Final = 64
"""64-bit seconds on every machine (Linux 5.1)."""

SO_RXQ_OVFL: Final = 40
SO_MEMINFO: Final = 55
SO_RCVBUFFORCE: Final = 33
_MEMINFO_WORDS: Final = 9
_MEMINFO_DROPS: Final = 8

_CONTROL_BYTES: Final = 64
_WORD_BYTES: Final = ctypes.sizeof(ctypes.c_size_t)
_STAMP_AT: Final = _WORD_BYTES + 8
"""struct cmsghdr is a size_t and two ints; the data follows."""

_STAMP_BYTES: Final = 16
_DROPS_AT: Final = _STAMP_AT + _STAMP_BYTES + _WORD_BYTES + 8
_DROPS_BYTES: Final = 4
_NS_PER_S: Final = 1_000_000_000
_QUIET_ERRORS: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint))


_Number = TypeVar("_Number", np.uint32, np.int32, np.uintp)

_libc: Final = ctypes.CDLL(None, use_errno=True)


def prepare(sock: socket.socket, buffer_bytes: int) -> None:
    """Let the kernel stamp, count drops, and hold at least `buffer_bytes` (as far as it lets this process)."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS_NEW, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes)
    except PermissionError:  # needs CAP_NET_ADMIN; else net.core.rmem_max is the limit
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)


def drops_total(sock: socket.socket) -> int:
    """How many datagrams the socket has dropped so far, modulo 2**32."""
    info = np.frombuffer(sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * _MEMINFO_WORDS), np.uint32)
    return int(info[_MEMINFO_DROPS])


class DatagramBuffer:
    """Room for `rows` datagrams of at most `width` bytes; each `receive` overwrites the last.

    `data` u8[rows, width], `length` u32[rows] and `flags` i32[rows] (MSG_* of each) are valid in the received rows.
    """

    def __init__(self, rows: int, width: int) -> None:
        self.rows = rows
        self.data: NDArray[np.uint8] = np.zeros((rows, width), np.uint8)
        self._control: NDArray[np.uint8] = np.zeros((rows, _CONTROL_BYTES), np.uint8)
        self._vectors = (_Iovec * rows)()
        table = np.zeros((rows, ctypes.sizeof(_Mmsghdr)), np.uint8)
        self._headers = (_Mmsghdr * rows).from_buffer(table.data)
        for row, (vector, header) in enumerate(zip(self._vectors, self._headers, strict=True)):
            vector.base, vector.length = self.data.ctypes.data + row * width, width
            header.header.iov, header.header.iov_length = ctypes.addressof(vector), 1
            header.header.control = self._control.ctypes.data + row * _CONTROL_BYTES
        self.length = _field(table, _Mmsghdr.length.offset, np.uint32)
        self.flags = _field(table, _Msghdr.flags.offset, np.int32)
        self._control_length = _field(table, _Msghdr.control_length.offset, np.uintp)
        self._used = rows

    def receive(self, fd: int) -> int:
        """How many datagrams waited, at most `rows`; never waits. OSError when the socket has an error."""
        self._control_length[: self._used] = _CONTROL_BYTES
        self._used = 0
        count: int = _libc.recvmmsg(fd, self._headers, self.rows, socket.MSG_DONTWAIT, None)
        if count >= 0:
            self._used = count
            return count
        number = ctypes.get_errno()
        if number in _QUIET_ERRORS:
            return 0
        raise OSError(number, os.strerror(number))

    def stamps_ns(self, count: int, unstamped_ns: int) -> NDArray[np.int64]:
        """Real-time ns of the first `count` datagrams; `unstamped_ns` where the kernel gave none."""
        control = self._control[:count]
        stamp = np.ascontiguousarray(control[:, _STAMP_AT : _STAMP_AT + _STAMP_BYTES]).view(np.int64)
        has_stamp = self._has(count, _STAMP_AT, _STAMP_BYTES, SO_TIMESTAMPNS_NEW)
        return np.where(has_stamp, stamp[:, 0] * _NS_PER_S + stamp[:, 1], unstamped_ns)

    def drops(self, count: int) -> NDArray[np.uint32]:
        """Drops of the socket before each of the first `count` datagrams, modulo 2**32; the kernel is silent on 0."""
        control = self._control[:count]
        drops = np.ascontiguousarray(control[:, _DROPS_AT : _DROPS_AT + _DROPS_BYTES]).view(np.uint32)[:, 0]
        return np.where(self._has(count, _DROPS_AT, _DROPS_BYTES, SO_RXQ_OVFL), drops, np.uint32(0))

    def _has(self, count: int, at: int, size: int, kind: int) -> NDArray[np.bool_]:
        """Where the control message whose data begins at `at` is there and of this kind."""
        head = np.ascontiguousarray(self._control[:count, at - 8 : at]).view(np.int32)
        is_there = self._control_length[:count] >= at + size
        found: NDArray[np.bool_] = is_there & (head[:, 0] == socket.SOL_SOCKET) & (head[:, 1] == kind)
        return found


def _field(table: NDArray[np.uint8], offset: int, kind: type[_Number]) -> NDArray[_Number]:
    """One field of all rows as a column, without a copy."""
    return table[:, offset : offset + np.dtype(kind).itemsize].view(kind)[:, 0]
