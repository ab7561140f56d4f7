"""Which numbers of which epochs are here: the sets that make at-least-once into exactly once."""

import struct
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ved.codec.link import KEPT_SPACES, MAX_RUNS, Held, Received, Space, Stored
from ved.ingest.recent import Recent
from ved.model.intervals import Intervals

MAX_EPOCHS: Final = 20_000
RECENT_EPOCHS: Final = 4
"""Of so many epochs of a vehicle it is kept what came lately (640 kB each at most): older ones are over."""

_CRC_AT: Final = 4

EpochKey = tuple[str, bytes]
"""Vehicle and epoch."""


@dataclass(frozen=True, slots=True)
class LastEntry:
    """A place in the stream, and the CRC of the record there by which it is known again."""

    position: int
    crc: int


def record_crc(record: bytes) -> int:
    """The CRC that stands in a record's header."""
    (crc,) = struct.unpack_from("<I", record, _CRC_AT)
    return int(crc)


def _both() -> dict[Space, Intervals]:
    return {space: Intervals() for space in KEPT_SPACES}


@dataclass(slots=True)
class EpochState:
    """One epoch: what was taken (memory or disk) and what is durable."""

    received: dict[Space, Intervals] = field(default_factory=_both)
    stored: dict[Space, Intervals] = field(default_factory=_both)
    recent: Recent = field(default_factory=Recent)

    def held(self, epoch: bytes) -> Held:
        """All of it as a message; the latest runs where there are too many for one."""
        sets: list[Received | Stored] = []
        for space in KEPT_SPACES:
            if runs := self.received[space].runs()[-MAX_RUNS:]:
                sets.append(Received(epoch, space, tuple(runs)))
            if runs := self.stored[space].runs()[-MAX_RUNS:]:
                sets.append(Stored(epoch, space, tuple(runs)))
        return Held(epoch, tuple(sets))


class Accepted:
    """The states of all epochs, most recently used last; the longest unused go when there are too many.

    Losing a state is harmless: what is sent again is stored again, and the lake takes each seq once.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[EpochKey, EpochState] = OrderedDict()

    def state(self, vehicle: str, epoch: bytes) -> EpochState:
        """The state of an epoch, made if new."""
        key = (vehicle, epoch)
        found = self._states.get(key)
        if found is None:
            self._forget_recent(vehicle)
            found = self._states[key] = EpochState()
            if len(self._states) > MAX_EPOCHS:
                self._states.popitem(last=False)
        else:
            self._states.move_to_end(key)
        return found

    def _forget_recent(self, vehicle: str) -> None:
        """A new epoch of this vehicle comes: of the last used ones before it, RECENT_EPOCHS - 1 stay whole."""
        used = (state for (name, _), state in reversed(self._states.items()) if name == vehicle)
        for state in islice(used, RECENT_EPOCHS - 1, 4 * RECENT_EPOCHS):
            state.recent.clear()

    def held(self, vehicle: str, epoch: bytes) -> Held:
        """What is here of an epoch, for its car; nothing is made for an unknown one."""
        found = self._states.get((vehicle, epoch))
        return Held(epoch, ()) if found is None else found.held(epoch)

    def items(self) -> list[tuple[EpochKey, EpochState]]:
        """All epochs, longest unused first."""
        return list(self._states.items())
