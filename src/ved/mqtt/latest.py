"""The live edge of the stream `frames` as latest values: what came late, or lies behind, is left out."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ved.api.decoding import Decoding, decoding_for
from ved.api.unpack import decode_entry
from ved.broker.base import StreamEntry
from ved.db.database import Database
from ved.errors import CorruptDataError
from ved.metrics import RECORDS_CORRUPT_TOTAL, Counters
from ved.model.frames import FrameBatch
from ved.model.records import Description, Lane, LinkState, Preview
from ved.model.samples import SampleBatch

RELOAD_US: Final = 1_000_000
"""A changed DBC is in force this long after it was put there, at the latest."""
MAX_EPOCHS: Final = 64

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Update:
    """What some entries said of one vehicle; `is_linked` is None where they did not say."""

    values: dict[str, float] = field(default_factory=dict)
    is_linked: bool | None = None


@dataclass(slots=True)
class _Epoch:
    decoding: Decoding
    loaded_us: int
    description: Description | None = None


class Latest:
    """Decodes entries. Blocking: it asks the database for the DBCs in force."""

    def __init__(self, db: Database, counters: Counters) -> None:
        self._db = db
        self._counters = counters
        self._epochs: OrderedDict[tuple[str, bytes], _Epoch] = OrderedDict()

    def take(self, entries: Sequence[StreamEntry], now_us: int) -> dict[str, Update]:
        """The newest values of each vehicle among live entries (`now_us`: monotonic). A corrupt entry is counted."""
        out: dict[str, Update] = {}
        for entry in entries:
            if entry.arrival.lane is not Lane.LIVE:
                continue
            try:
                record = decode_entry(entry.record)
            except CorruptDataError as error:
                self._counters.add(RECORDS_CORRUPT_TOTAL)
                _log.warning("frames %d: %s", entry.position, error)
                continue
            if isinstance(record, FrameBatch | Preview):
                self._decode(record, entry.arrival.utc_us, now_us, out.setdefault(record.vehicle, Update()))
            elif isinstance(record, SampleBatch):
                values = out.setdefault(record.vehicle, Update()).values
                samples = record.samples
                for number, value in zip(samples.channel.tolist(), samples.value.tolist(), strict=True):
                    values[record.channels[number].name] = value
            elif isinstance(record, LinkState):
                out.setdefault(record.vehicle, Update()).is_linked = record.is_up
            elif isinstance(record, Description):
                self._epoch(record.vehicle, record.epoch, now_us, record)
        return out

    def _decode(self, batch: FrameBatch | Preview, utc_us: int, now_us: int, update: Update) -> None:
        decoder = self._epoch(batch.vehicle, batch.epoch, now_us).decoding.at(utc_us)
        decoded = decoder.decode(batch.frames)
        starts, values = decoded.starts.tolist(), decoded.values
        for number, channel in enumerate(decoder.channels):
            if starts[number] < starts[number + 1]:
                update.values[channel.name] = float(values[starts[number + 1] - 1])

    def _epoch(self, vehicle: str, epoch: bytes, now_us: int, description: Description | None = None) -> _Epoch:
        key = (vehicle, epoch)
        known = self._epochs.pop(key, None)
        if known is None or description is not None or now_us - known.loaded_us > RELOAD_US:
            said = description or (known.description if known else None)
            known = _Epoch(decoding_for(self._db, vehicle, epoch, said), now_us, said)
        self._epochs[key] = known
        if len(self._epochs) > MAX_EPOCHS:
            self._epochs.popitem(last=False)
        return known
