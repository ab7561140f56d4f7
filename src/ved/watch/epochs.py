"""What watch knows of each epoch: its clock map and its decoders, kept up to date from stream and database."""

from collections import OrderedDict
from dataclasses import dataclass, field

from ved.api.decoding import Decoding, decoding_of
from ved.api.registry import load_registry
from ved.api.unpack import decode_entry
from ved.broker.base import StreamEntry
from ved.db.database import Database
from ved.db.dbcs import registries_mark
from ved.db.epochs import clock_pairs, epoch_buses
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.clockmap import ClockMap, ClockPair
from ved.model.frames import FrameBatch
from ved.model.records import Clock, Description, Preview
from ved.watch.parts import Taken

MOST_EPOCHS = 256
RELOAD_US = 1_000_000
"""A changed DBC is in force this long after it was put there, at the latest."""


@dataclass(slots=True)
class _Epoch:
    pairs: list[ClockPair]
    clock: ClockMap
    description: Description | None = None
    decoding: Decoding | None = None
    aliases: Aliases = NO_ALIASES
    mark: tuple[int, int] = (0, 0)
    decoding_us: int = field(default=0)


class Epochs:
    """Makes stream entries into what the parts take."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: OrderedDict[tuple[str, bytes], _Epoch] = OrderedDict()
        self._mark = (0, 0)
        self._looked_us: int | None = None

    def take(self, entry: StreamEntry, now_us: int) -> Taken:
        """Decode one entry (`now_us`: monotonic). CorruptDataError when its bytes are wrong."""
        record = decode_entry(entry.record)
        epoch = self._epoch(record.vehicle, record.epoch)
        if isinstance(record, Clock):
            epoch.pairs.append(ClockPair(record.t_us, record.utc_us, record.source, record.error_us))
            epoch.clock = ClockMap.best(epoch.pairs)
        elif isinstance(record, Description):
            epoch.description, epoch.decoding = record, None
        taken = Taken(entry.position, entry.arrival, record, epoch.clock)
        if isinstance(record, FrameBatch | Preview):
            taken.frames = record.frames
            t_us = 0 if not len(record.frames) else int(record.frames.t_us[0])
            decoding = self._decoding(record.vehicle, record.epoch, epoch, now_us)
            taken.decoder, taken.aliases = decoding.at(t_us + epoch.clock.offset_us), epoch.aliases
        return taken

    def _epoch(self, vehicle: str, epoch: bytes) -> _Epoch:
        known = self._known.get((vehicle, epoch))
        if known is None:
            pairs = clock_pairs(self._db, vehicle, epoch)
            known = self._known[vehicle, epoch] = _Epoch(pairs, ClockMap.best(pairs))
            if len(self._known) > MOST_EPOCHS:  # the one that was quiet for longest is read again when it comes
                self._known.popitem(last=False)
        self._known.move_to_end((vehicle, epoch))
        return known

    def _decoding(self, vehicle: str, name: bytes, epoch: _Epoch, now_us: int) -> Decoding:
        self._look(now_us)
        # The car's own word may still be on its way into the database.
        is_due = epoch.description is None and now_us - epoch.decoding_us > RELOAD_US
        if epoch.decoding is None or epoch.mark != self._mark or is_due:
            registry, described = load_registry(self._db, vehicle), epoch.description
            buses = epoch_buses(self._db, vehicle, name) if described is None else described.buses
            epoch.decoding, epoch.aliases = decoding_of(registry, buses), registry.aliases
            epoch.mark, epoch.decoding_us = self._mark, now_us
        return epoch.decoding

    def _look(self, now_us: int) -> None:
        """Whether anybody changed any vehicle's DBCs: asked once for all of them."""
        if self._looked_us is None or now_us - self._looked_us > RELOAD_US:
            self._mark, self._looked_us = registries_mark(self._db), now_us
