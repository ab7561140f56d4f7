"""Who may begin a handshake at the link's port: a flood is turned away before it costs a TLS handshake or memory."""

import contextlib
import ipaddress
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from ved.ingest.addresslimit import AddressLimit

MAX_OPEN: Final = 1024
"""Connections in all; a car has two."""

MAX_PENDING: Final = 128
"""Connections in all that have not shown a key yet."""

MAX_PENDING_OF_ONE: Final = 32
FAILED_BURST: Final = 40
FAILED_PER_S: Final = 5.0
_AT_ONCE: Final = 64
_NO_LINGER: Final = struct.pack("ii", 1, 0)

Peer = tuple[str, int]
"""Address and port."""


class Gate:
    """Counts connections until their end; those that ended without having shown a key count against their address.

    `on_refused` hears the address of each one that was turned away.
    """

    def __init__(self, on_refused: Callable[[str], None], now_s: Callable[[], float] = time.monotonic) -> None:
        self._on_refused = on_refused
        self._now_s = now_s
        self._failed = AddressLimit(FAILED_BURST, FAILED_PER_S)
        self._pending: set[Peer] = set()
        self._pending_of: Counter[str] = Counter()
        self.open = 0

    @property
    def pending(self) -> int:
        """Connections that have not shown a key yet."""
        return len(self._pending)

    def enter(self, peer: Peer) -> bool:
        """A connection came; False: turn it away."""
        network = network_of(peer[0])
        if (
            self.open >= MAX_OPEN
            or len(self._pending) >= MAX_PENDING
            or self._pending_of[network] >= MAX_PENDING_OF_ONE
            or self._failed.is_blocked(network, self._now_s())
        ):
            self._forget(network)
            self._on_refused(peer[0])
            return False
        self.open += 1
        self._pending.add(peer)
        self._pending_of[network] += 1
        return True

    def admit(self, peer: Peer) -> None:
        """It showed a key that is good."""
        if peer in self._pending:
            self._pending.remove(peer)
            self._pending_of[network_of(peer[0])] -= 1
            self._forget(network_of(peer[0]))

    def leave(self, peer: Peer) -> None:
        """It ended."""
        self.open -= 1
        if peer in self._pending:
            self.admit(peer)
            self._failed.note_failure(network_of(peer[0]), self._now_s())

    def _forget(self, network: str) -> None:
        if not self._pending_of[network]:
            del self._pending_of[network]


def network_of(address: str) -> str:
    """Whom an address counts for: an IPv6 subscriber has a /64, and may take another address of it each time."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.IPv6Network((found, 64), strict=False).network_address)
    return address


class GatedListener(socket.socket):
    """A listening socket whose `accept` yields only connections that the gate lets in."""

    gate: Gate

    def accept(self) -> tuple[socket.socket, Any]:
        """As for any socket; BlockingIOError also after many refusals at once, so that others get their turn."""
        for _ in range(_AT_ONCE):
            plain, address = super().accept()
            peer = (str(address[0]), int(address[1]))
            if self.gate.enter(peer):
                made = _GatedConnection(plain.family, plain.type, plain.proto, plain.detach())
                made.gate, made.peer = self.gate, peer
                return made, address
            with contextlib.suppress(OSError):
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            plain.close()
        raise BlockingIOError


class _GatedConnection(socket.socket):
    gate: Gate | None = None
    peer: Peer

    def close(self) -> None:
        """Tells the gate, once."""
        gate, self.gate = self.gate, None
        if gate is not None:
            gate.leave(self.peer)
        super().close()


def listen(host: str, port: int, gate: Gate) -> list[GatedListener]:
    """One listener for each address of `host`, all on one port (0: a free one). OSError when it cannot be had."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    out: list[GatedListener] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            made = GatedListener(family, kind, protocol)
            out.append(made)
            made.gate = gate
            if hasattr(socket, "SO_REUSEPORT"):  # not on Windows, where SO_REUSEADDR means another thing
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((address[0], port or out[0].getsockname()[1], *address[2:]))
            made.setblocking(False)
    except OSError:
        for made in out:
            made.close()
        raise
    return out
