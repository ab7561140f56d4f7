"""Many datagrams in one system call, into one NumPy buffer: `recvmmsg(2)` through ctypes.

Nothing here can send. Each row of the buffers is one datagram with what the kernel said of it: its time
(SO_TIMESTAMPNS) and how many datagrams the socket had dropped before it (SO_RXQ_OVFL).
"""

import ctypes
import errno
import os
import socket
import struct
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

SO_TIMESTAMPNS_NEW: Final = 64
"""64-bit seconds on every machine (Linux 5.1)."""

SO_RXQ_OVFL: Final = 40
SO_MEMINFO: Final = 55
SO_RCVBUFFORCE: Final = 33
_MEMINFO: Final = struct.Struct("=32xI")
"""Nine words, the last is the drops."""

_NAME_BYTES: Final = 28
_CONTROL_BYTES: Final = 64
_WORD_BYTES: Final = ctypes.sizeof(ctypes.c_size_t)
_HEAD_BYTES: Final = _WORD_BYTES + 8
"""struct cmsghdr is a size_t and two ints, level and type; the data follows."""

_STAMP_END: Final = _HEAD_BYTES + 16
_CONTROL: Final = np.dtype(
    {
        "names": ["stamp_kind", "seconds", "nanoseconds", "drops_kind", "drops"],
        "formats": ["i8", "i8", "i8", "i8", "u4"],
        "offsets": [_WORD_BYTES, _HEAD_BYTES, _HEAD_BYTES + 8, _STAMP_END + _WORD_BYTES, _STAMP_END + _HEAD_BYTES],
        "itemsize": _CONTROL_BYTES,
    }
)
"""The kernel writes the stamp first, then the drops (net/socket.c, sock_recv_cmsgs)."""

_NS_PER_S: Final = 1_000_000_000
_STAMP_KIND: Final[int] = struct.unpack("=q", struct.pack("=ii", socket.SOL_SOCKET, SO_TIMESTAMPNS_NEW))[0]
_DROPS_KIND: Final[int] = struct.unpack("=q", struct.pack("=ii", socket.SOL_SOCKET, SO_RXQ_OVFL))[0]
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
    info = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(info)[0])


class DatagramBuffer:
    """Room for `rows` datagrams of at most `width` bytes; each `receive` overwrites the last.

    `data` u8[rows, width], `length` u32[rows], `flags` i32[rows] (MSG_* of each) and `senders` u8[rows, 4] (of a
    datagram over IPv4 the sender's address) are valid in the received rows.
    """

    def __init__(self, rows: int, width: int) -> None:
        self.rows = rows
        self.data: NDArray[np.uint8] = np.zeros((rows, width), np.uint8)
        self._names = np.zeros((rows, _NAME_BYTES), np.uint8)
        self.senders = self._names[:, 4:8]  # struct sockaddr_in
        self._control = np.zeros(rows, _CONTROL)
        self._vectors = (_Iovec * rows)()
        table = np.zeros((rows, ctypes.sizeof(_Mmsghdr)), np.uint8)
        self._headers = (_Mmsghdr * rows).from_buffer(table.data)
        for row, (vector, header) in enumerate(zip(self._vectors, self._headers, strict=True)):
            vector.base, vector.length = self.data.ctypes.data + row * width, width
            header.header.iov, header.header.iov_length = ctypes.addressof(vector), 1
            header.header.name = self._names.ctypes.data + row * _NAME_BYTES
            header.header.control = self._control.ctypes.data + row * _CONTROL_BYTES
        self.length = _field(table, _Mmsghdr.length.offset, np.uint32)
        self.flags = _field(table, _Msghdr.flags.offset, np.int32)
        self._name_length = _field(table, _Msghdr.name_length.offset, np.uint32)
        self._control_length = _field(table, _Msghdr.control_length.offset, np.uintp)
        self._used = rows

    def receive(self, fd: int) -> int:
        """How many datagrams waited, at most `rows`; never waits. OSError when the socket has an error."""
        self._control_length[: self._used] = _CONTROL_BYTES
        self._name_length[: self._used] = _NAME_BYTES
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
        stamps_ns: NDArray[np.int64] = control["seconds"] * _NS_PER_S + control["nanoseconds"]
        has_stamp = (control["stamp_kind"] == _STAMP_KIND) & (self._control_length[:count] >= _STAMP_END)
        return stamps_ns if has_stamp.all() else np.where(has_stamp, stamps_ns, unstamped_ns)

    def drops(self, count: int) -> NDArray[np.uint32] | None:
        """Drops of the socket before each of the first `count` datagrams, modulo 2**32; None: no drops yet."""
        has_drops = self._control_length[:count] > _STAMP_END
        if not has_drops.any():
            return None
        control = self._control[:count]
        return np.where(has_drops & (control["drops_kind"] == _DROPS_KIND), control["drops"], np.uint32(0))


def _field(table: NDArray[np.uint8], offset: int, kind: type[_Number]) -> NDArray[_Number]:
    """One field of all rows as a column, without a copy."""
    return table[:, offset : offset + np.dtype(kind).itemsize].view(kind)[:, 0]
