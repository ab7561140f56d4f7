"""The gap ledger of a vehicle over a window of UTC: the database's ledger under the epochs' clocks."""

import threading
import time
from typing import Final

from ved.analysis.strip import EpochPart, LedgerStrip, lay_arrived, lay_spans
from ved.api.timeline import EpochSpan, visible
from ved.db.database import Database
from ved.db.epochs import clock_pairs
from ved.db.ledger import list_ledger_epochs, read_ledger
from ved.model.clockmap import ClockMap

_LIVE_EPOCHS: Final = 2
_OLD_CLOCK_S: Final = 30.0
_LIVE_CLOCK_S: Final = 1.0


class Ledgers:
    """Reads ledgers. Blocking; may be used from several threads."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._clocks: dict[tuple[str, bytes], tuple[float, ClockMap]] = {}
        self._lock = threading.Lock()

    def strip(self, vehicle: str, utc_from_us: int, utc_to_us: int, buckets: int) -> LedgerStrip:
        """What became of the frames with utc_from_us <= utc < utc_to_us, in at most about `buckets` buckets.

        An epoch without a clock is not shown: nobody knows when it was.
        """
        strip = LedgerStrip.over(utc_from_us, utc_to_us, buckets)
        for span in self._spans(vehicle):
            from_us = max(strip.utc_from_us, span.seen_from_us)
            to_us = min(strip.utc_to_us, span.seen_to_us)
            if from_us >= to_us or span.utc_first_us >= to_us or span.utc_last_us < from_us:
                continue
            offset_us = span.clock.offset_us
            blocks, spans = read_ledger(self._db, vehicle, span.epoch, from_us - offset_us, to_us - offset_us)
            part = EpochPart(offset_us, span.seen_from_us, span.seen_to_us)
            lay_arrived(strip, part, blocks)
            lay_spans(strip, part, spans)
        return strip

    def _spans(self, vehicle: str) -> list[EpochSpan]:
        rows = list_ledger_epochs(self._db, vehicle)
        spans = []
        for at, row in enumerate(rows):
            clock = self._clock(vehicle, row.epoch, is_live=at >= len(rows) - _LIVE_EPOCHS)
            if clock.source is not None and row.t_first_us <= row.t_last_us:
                first_us, last_us = row.t_first_us + clock.offset_us, row.t_last_us + clock.offset_us
                spans.append(EpochSpan(row.epoch, (), clock, first_us, last_us))
        return visible(spans)

    def _clock(self, vehicle: str, epoch: bytes, *, is_live: bool) -> ClockMap:
        """The epoch's clock, kept for a while: many pages ask, and old clocks change rarely."""
        key, now_s = (vehicle, epoch), time.monotonic()
        with self._lock:
            read_s, clock = self._clocks.get(key, (float("-inf"), ClockMap(0, None)))
        if now_s - read_s < (_LIVE_CLOCK_S if is_live or clock.source is None else _OLD_CLOCK_S):
            return clock
        clock = ClockMap.best(clock_pairs(self._db, vehicle, epoch))
        with self._lock:
            self._clocks[key] = (now_s, clock)
        return clock
