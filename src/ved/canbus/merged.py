"""The buses of a car as one source: one sequence of frames over all of them."""

import select
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from ved.canbus.hostclock import host_pair
from ved.canbus.network.readers import network_reader
from ved.canbus.pythoncan import PythonCanReader
from ved.canbus.reader import BusReader
from ved.canbus.socketcan import SocketCanReader
from ved.canbus.source import BusState, SourceLoss
from ved.canbus.watchedbus import WatchedBus
from ved.errors import UserError
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns
from ved.model.vehicle import VehicleBus

PACE_S: Final = 0.02
"""Frames wait in the kernel this long, so that many come with one look."""


def merge_buses(buses: Sequence[VehicleBus]) -> "MergedSource":
    """The source for a vehicle's buses. An interface is a network interface, `kind:channel` for python-can's kinds, or
    `kind://...` for frames that come over a network (`network/address.py`).

    UserError when there is none, or an address is wrong.
    """
    if not buses:
        raise UserError("no bus to read; give the vehicle a [[bus]] with an interface")
    return MergedSource([_reader(bus) for bus in buses])


def _reader(bus: VehicleBus) -> BusReader:
    if "://" in bus.interface:
        return network_reader(bus.index, bus.interface)
    kind, is_named, channel = bus.interface.partition(":")
    if not is_named or kind == "socketcan":
        return SocketCanReader(bus.index, channel or kind)
    return PythonCanReader(bus.index, kind, channel, bus.bitrate_hz)


class MergedSource:
    """Several buses. Within a read the frames stand in order of time; those of one bus always in order of arrival.

    A bus that is down holds up no other. UserError from `open` when a bus can never be there.
    """

    is_realtime: Final = True

    def __init__(self, readers: Sequence[BusReader]) -> None:
        self._buses = [WatchedBus(reader, FrameColumns.empty()) for reader in readers]
        self._origin_ns = 0
        self._next_s = 0.0

    def open(self, origin_mono_ns: int) -> None:
        """Open all buses; those that are not there are tried again later."""
        self._origin_ns = origin_mono_ns
        for bus in self._buses:
            bus.open(origin_mono_ns)

    def read(self, timeout_s: float) -> FrameColumns:
        """What came on all buses; never ends."""
        self._wait(timeout_s)
        return in_time_order([bus.read() for bus in self._buses])

    def clock(self, now_mono_ns: int) -> ClockPair | None:  # noqa: ARG002  (both clocks are read side by side)
        """This machine's clock, if it was ever set."""
        return host_pair(self._origin_ns)

    def losses(self) -> list[SourceLoss]:
        """What was lost on any bus; everything that is left once closed."""
        return [loss for bus in self._buses for loss in bus.losses()]

    def bus_states(self) -> tuple[BusState, ...]:
        """How each bus does, in the order of the readers."""
        return tuple(bus.state for bus in self._buses)

    def close(self) -> None:
        """Close all buses."""
        for bus in self._buses:
            bus.close()

    def _wait(self, timeout_s: float) -> None:
        """Until something came, but no more often than the pace."""
        poll = select.poll()
        for bus in self._buses:
            fd = bus.fileno()
            if fd is not None:
                poll.register(fd, select.POLLIN)
        if poll.poll(timeout_s * 1000):
            time.sleep(max(0.0, min(self._next_s - time.monotonic(), PACE_S)))
        self._next_s = time.monotonic() + PACE_S


def in_time_order(parts: Sequence[FrameColumns]) -> FrameColumns:
    """All frames by `t_us`, which runs forwards in each part; ties keep the order of the parts."""
    parts = [part for part in parts if len(part)]
    merged = FrameColumns.concatenate(parts)
    return merged if len(parts) < 2 else merged.take(np.argsort(merged.t_us, kind="stable"))
