"""When a connection of the car is in doubt, and when it is dead.

Nothing here reads a clock: `now_s` is any monotonic time in seconds, the same one for all calls.
"""

import asyncio
from typing import Final

from ved.errors import LinkLostError
from ved.link.tcpprogress import TcpProgress

STALL_S: Final = 1.0
STALL_RTTS: Final = 4
FIRST_STALL_S: Final = 3.0
"""The patience while no round trip was measured yet."""

DOUBT_SHARE: Final = 0.5
"""Of the patience: from then on another connection is tried beside this one."""

LATE_DOUBT_S: Final = 3.0
"""After the patience, when the server's machine takes what is sent: it may be another one's, a proxy before a server
that is gone. Who is only late answers on this connection before it lets another one in."""

LATE_SERVER_S: Final = 10.0
"""More patience with a server that does not answer while its machine takes what is sent."""

SLOWEST_BYTES_PER_S: Final = 10_000
FREE_BYTES: Final = 8192
"""A record longer than this gets the time on top that it takes on the slowest uplink worth having."""

_RTT_WEIGHT: Final = 8


class Watchdog:
    """Told of what comes back over one connection, whose own address is `address`; `check` is called now and then."""

    def __init__(self, tcp: TcpProgress, address: str, now_s: float) -> None:
        self._tcp = tcp
        self._address = address
        self._progress_s = now_s
        self._has_other_way = False
        self.rtt_s: float | None = None
        """Smoothed round trip; None while none was measured."""
        self.in_doubt = asyncio.Event()
        """Set while nothing arrives for half the patience, or another way to the server has opened."""

    def begin(self, now_s: float) -> None:
        """Something is put on its way, and nothing was before."""
        self._progress_s = now_s

    def note_progress(self, now_s: float) -> None:
        """Something of what was on its way was answered."""
        self._progress_s = now_s
        if not self._has_other_way:
            self.in_doubt.clear()

    def note_trip(self, rtt_s: float) -> None:
        """A round trip was measured."""
        self.rtt_s = rtt_s if self.rtt_s is None else self.rtt_s + (rtt_s - self.rtt_s) / _RTT_WEIGHT

    def note_way(self, own_address: str | None) -> None:
        """From this address of its own the machine would reach the server now; None: there is no way."""
        self._has_other_way = own_address is not None and own_address != self._address
        if self._has_other_way:
            self.in_doubt.set()

    def look(self, now_s: float) -> None:
        """Ask the kernel what it knows."""
        self._tcp.look(now_s)

    def check(self, now_s: float, oldest_bytes: int | None) -> None:
        """`oldest_bytes`: of the oldest record on its way (0: only pings are), None: nothing is.

        LinkLostError when the connection is dead.
        """
        patience_s = FIRST_STALL_S if self.rtt_s is None else max(STALL_S, STALL_RTTS * self.rtt_s)
        silent_s = late_s = 0.0
        if oldest_bytes is not None:
            patience_s += max(0, oldest_bytes - FREE_BYTES) / SLOWEST_BYTES_PER_S
            silent_s = now_s - max(self._progress_s, self._tcp.alive_s)
            late_s = now_s - self._progress_s - patience_s
        if silent_s > patience_s:
            raise LinkLostError(f"nothing was acknowledged for {patience_s:.1f} s")
        if late_s > LATE_SERVER_S:
            raise LinkLostError(f"the server's machine lives, but nothing was answered for {LATE_SERVER_S:.0f} s")
        if self._has_other_way or silent_s > DOUBT_SHARE * patience_s or late_s > LATE_DOUBT_S:
            self.in_doubt.set()
        else:
            self.in_doubt.clear()
