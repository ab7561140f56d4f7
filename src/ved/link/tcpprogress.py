"""What the kernel knows of a TCP connection: whether the other machine still takes what is sent.

A server that is late answers late; its machine acknowledges all the same. A way that is dead does neither.
"""

import socket
import struct
from typing import Any, Final, Protocol

_INFO_BYTES: Final = 148
_PROBES_AT: Final = 3
_UNACKED: Final = struct.Struct("<I")
_UNACKED_AT: Final = 24
_ACKED: Final = struct.Struct("<Q")
_ACKED_AT: Final = 120
_OPEN_PROBES: Final = 1
"""A probe of a full window that was not answered yet."""


class KernelSocket(Protocol):
    """What is asked of a socket."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """As of `socket.socket`."""


class TcpProgress:
    """`alive_s` is the last time at which all that was sent had arrived, or more of it than before (Linux's tcp_info).

    Where the kernel does not say, it stays 0: then only the server's answers count.
    """

    def __init__(self, kernel: KernelSocket | None) -> None:
        self._socket = kernel
        self._acked = 0
        self.alive_s = 0.0

    @staticmethod
    def of(transport: Any) -> "TcpProgress":
        """Of an asyncio transport."""
        return TcpProgress(transport.get_extra_info("socket") if hasattr(socket, "TCP_INFO") else None)

    def look(self, now_s: float) -> None:
        """Ask the kernel."""
        if self._socket is None:
            return
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        except OSError:
            return
        if len(info) < _ACKED_AT + _ACKED.size:
            return
        (acked,), (unacked,) = _ACKED.unpack_from(info, _ACKED_AT), _UNACKED.unpack_from(info, _UNACKED_AT)
        if acked > self._acked or (not unacked and info[_PROBES_AT] <= _OPEN_PROBES):
            self.alive_s = now_s
        self._acked = acked
