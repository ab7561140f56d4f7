"""What watch knows of each epoch: its clock map and its decoder, kept up to date from stream and database."""

from dataclasses import dataclass, field

from ved.api.decoding import decoder_for
from ved.broker.base import StreamEntry
from ved.codec.records import decode_record
from ved.db.database import Database
from ved.db.epochs import clock_pairs
from ved.dbc.decode import Decoder
from ved.model.clockmap import ClockMap, ClockPair
from ved.model.frames import FrameBatch
from ved.model.records import Clock, Description, Preview
from ved.watch.parts import Taken

RELOAD_US = 5_000_000
"""A changed DBC is in force this long after it was put there, at the latest."""


@dataclass(slots=True)
class _Epoch:
    pairs: list[ClockPair]
    clock: ClockMap
    description: Description | None = None
    decoder: Decoder | None = None
    decoder_us: int = field(default=0)


class Epochs:
    """Makes stream entries into what the parts take."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[tuple[str, bytes], _Epoch] = {}

    def take(self, entry: StreamEntry, now_us: int) -> Taken:
        """Decode one entry (`now_us`: monotonic). CorruptDataError when its bytes are wrong."""
        record = decode_record(entry.record)
        epoch = self._epoch(record.vehicle, record.epoch)
        if isinstance(record, Clock):
            epoch.pairs.append(ClockPair(record.t_us, record.utc_us, record.source, record.error_us))
            epoch.clock = ClockMap.best(epoch.pairs)
        elif isinstance(record, Description):
            epoch.description, epoch.decoder = record, None
        taken = Taken(entry.position, entry.arrival, record, epoch.clock)
        if isinstance(record, FrameBatch | Preview):
            taken.frames = record.frames
            taken.decoder = self._decoder(record.vehicle, record.epoch, epoch, now_us)
        return taken

    def _epoch(self, vehicle: str, epoch: bytes) -> _Epoch:
        known = self._known.get((vehicle, epoch))
        if known is None:
            pairs = clock_pairs(self._db, vehicle, epoch)
            known = self._known[vehicle, epoch] = _Epoch(pairs, ClockMap.best(pairs))
        return known

    def _decoder(self, vehicle: str, name: bytes, epoch: _Epoch, now_us: int) -> Decoder:
        if epoch.decoder is None or now_us - epoch.decoder_us > RELOAD_US:
            epoch.decoder = decoder_for(self._db, vehicle, name, epoch.description)
            epoch.decoder_us = now_us
        return epoch.decoder
