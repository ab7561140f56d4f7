"""What the role watch is made of: parts that each look at every record, and what they are given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection

from ved.dbc.decode import Decoded, Decoder
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.clockmap import ClockMap
from ved.model.frames import FrameColumns
from ved.model.records import Arrival, Record

Append = Callable[[Arrival, bytes], int]
"""Appends an encoded record to the stream `events`."""


@dataclass(frozen=True, slots=True)
class Now:
    """The server's clocks: monotonic (that of `Arrival.mono_us`) and UTC."""

    mono_us: int
    utc_us: int


@dataclass(slots=True, eq=False)
class Taken:
    """One record of the stream `frames`, and what all parts need of it.

    `clock` is the best map of the record's epoch so far (source None: no clock is known). `frames` are those of a batch
    or preview and `decoder` its DBCs, else None; `aliases` tell what former names of its channels mean.
    """

    position: int
    arrival: Arrival
    record: Record
    clock: ClockMap
    frames: FrameColumns | None = None
    decoder: Decoder | None = None
    aliases: Aliases = NO_ALIASES
    _decoded: Decoded | None = field(default=None, repr=False)

    @property
    def decoded(self) -> Decoded:
        """All samples of the frames, decoded once for all parts. ValueError for a record without frames."""
        if self._decoded is None:
            if self.frames is None or self.decoder is None:
                raise ValueError("only a batch or a preview has samples")
            self._decoded = self.decoder.decode(self.frames)
        return self._decoded


class WatchPart(Protocol):
    """Looks at every record in order. Watch calls `take` for each, then `tick` and `publish` after every read, and
    `save` about once per second.

    What a part cannot rebuild, it writes in `save`: that transaction also moves watch's position in the stream, so
    after a kill a part is given exactly the records that came after what it saved. Events published since then are
    published again: give them the same ids.
    """

    def take(self, taken: Taken) -> None:
        """Fold one record in."""
        ...

    def tick(self, now: Now) -> None:
        """Do what depends on the server's clock, or on what people changed in the database."""
        ...

    def publish(self, append: Append, now: Now) -> None:
        """Append what is new to the stream `events`."""
        ...

    def save(self, connection: Connection) -> None:
        """Write what changed, in the transaction of `connection`; runs in a thread while nothing else runs."""
        ...
