"""One direction of a radio link, without I/O: packets in, packets out at their time, and a count of every fault.

All times are seconds of one monotonic clock that the caller passes in; all chance comes from one seed. So the same
packets at the same times meet the same fate.
"""

import heapq
import random
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Faults:
    """What one direction does to packets.

    `delay_s` and `jitter_s` (a normal distribution, the order is kept); `loss` is a probability per packet, and
    `burst` the mean length of a run of lost packets (1: independent). `rate_bps` 0: no limit; `queue_bytes` is what
    waits before packets are dropped at the tail. `duplicate` and `reorder` are probabilities; a reordered packet
    comes `reorder_s` later and lets others pass. `is_down` drops everything; `is_held` keeps packets until it ends (a
    modem that waits for the radio). `largest_bytes` 0: any size; larger packets vanish.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    burst: float = 1.0
    rate_bps: float = 0.0
    queue_bytes: int = 400_000
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_s: float = 0.05
    is_down: bool = False
    is_held: bool = False
    largest_bytes: int = 0


@dataclass
class Counts:
    """Packets by fate; `passed` are those that came out (doubles too), `waited` those that a held link kept."""

    offered: int = 0
    passed: int = 0
    lost: int = 0
    lost_bursts: int = 0
    overflowed: int = 0
    down: int = 0
    too_large: int = 0
    duplicated: int = 0
    reordered: int = 0
    waited: int = 0
    passed_bytes: int = 0
    largest_bytes: int = 0

    def since(self, earlier: "Counts") -> "Counts":
        """What happened after `earlier` was taken (`largest_bytes` is of all time)."""
        before = asdict(earlier)
        values = {name: value - before[name] for name, value in asdict(self).items()}
        return Counts(**values | {"largest_bytes": self.largest_bytes})

    def copy(self) -> "Counts":
        return Counts(**asdict(self))


class Direction:
    """Push packets as they come, pop those whose time has come."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self._random = random.Random(seed)
        self._faults = faults or Faults()
        self._free_s = 0.0
        self._last_s = 0.0
        self._number = 0
        self._in_burst = False
        self._queue: list[tuple[float, int, bytes]] = []
        self._held: list[bytes] = []
        self._queued_bytes = 0
        self.counts = Counts()

    @property
    def faults(self) -> Faults:
        return self._faults

    def set(self, faults: Faults, now_s: float) -> None:
        """From now on; what a held link kept goes on its way when it is no longer held."""
        self._faults = faults
        if not faults.is_held:
            held, self._held = self._held, []
            for packet in held:
                self._queued_bytes -= len(packet)
                self._send(packet, now_s)

    def push(self, packet: bytes, now_s: float) -> None:
        faults, counts = self._faults, self.counts
        counts.offered += 1
        if faults.is_down:
            counts.down += 1
        elif faults.largest_bytes and len(packet) > faults.largest_bytes:
            counts.too_large += 1
        elif self._is_lost():
            counts.lost += 1
        elif faults.is_held:
            if self._queued_bytes + len(packet) > faults.queue_bytes:
                counts.overflowed += 1
                return
            counts.waited += 1
            self._held.append(packet)
            self._queued_bytes += len(packet)
        else:
            self._send(packet, now_s)
            if faults.duplicate and self._random.random() < faults.duplicate:
                counts.duplicated += 1
                self._send(packet, now_s)

    def pop(self, now_s: float) -> list[bytes]:
        """Packets that are due, in their order."""
        out: list[bytes] = []
        while self._queue and self._queue[0][0] <= now_s:
            packet = heapq.heappop(self._queue)[2]
            self._queued_bytes -= len(packet)
            self.counts.passed += 1
            self.counts.passed_bytes += len(packet)
            self.counts.largest_bytes = max(self.counts.largest_bytes, len(packet))
            out.append(packet)
        return out

    @property
    def due_s(self) -> float | None:
        """When the next packet is due."""
        return self._queue[0][0] if self._queue else None

    def _is_lost(self) -> bool:
        """A chain of two states: mean loss `loss`, mean run of lost packets `burst`."""
        loss = self._faults.loss
        if not loss:
            self._in_burst = False
            return False
        leaves = 1 / max(1.0, self._faults.burst)
        enters = leaves * loss / (1 - loss) if loss < 1 else 1.0
        if self._in_burst:
            self._in_burst = self._random.random() >= leaves
            # A run of length one that "leaves" may be followed by another at once: that is a burst of its own.
            return self._in_burst or self._begins(enters)
        return self._begins(enters)

    def _begins(self, enters: float) -> bool:
        self._in_burst = self._random.random() < enters
        self.counts.lost_bursts += self._in_burst
        return self._in_burst

    def _send(self, packet: bytes, now_s: float) -> None:
        faults = self._faults
        if self._queued_bytes + len(packet) > faults.queue_bytes:
            self.counts.overflowed += 1
            return
        start_s = max(now_s, self._free_s)
        self._free_s = start_s + (len(packet) * 8 / faults.rate_bps if faults.rate_bps else 0.0)
        due_s = self._free_s + max(0.0, self._random.gauss(faults.delay_s, faults.jitter_s))
        if faults.reorder and self._random.random() < faults.reorder:
            self.counts.reordered += 1
            due_s += faults.reorder_s
        else:
            due_s = self._last_s = max(due_s, self._last_s)
        self._number += 1
        self._queued_bytes += len(packet)
        heapq.heappush(self._queue, (due_s, self._number, packet))
