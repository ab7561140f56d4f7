"""The gap ledger of every vehicle: what came, what came late, what is missing or lost, kept second by second."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from ved.analysis.ledger import EpochLedger
from ved.db.database import Database
from ved.db.ledger import load_ledger, write_change
from ved.model.frames import FrameBatch
from ved.model.records import Loss
from ved.watch.parts import Append, Now, Taken

MAX_OPEN: Final = 64
"""Ledgers kept in memory; one that is needed again is read from the database."""

_Key = tuple[str, bytes]


class LedgerKeeper:
    """A part of watch; see `WatchPart`."""

    def __init__(self, db: Database) -> None:
        self._load: Callable[[str, bytes], EpochLedger] = lambda vehicle, epoch: load_ledger(db, vehicle, epoch)
        self._open: dict[_Key, EpochLedger] = {}
        self._arrived_us: dict[_Key, int] = {}

    def take(self, taken: Taken) -> None:
        """Enter a batch or a declared loss."""
        record = taken.record
        if isinstance(record, FrameBatch) and record.count:
            self._ledger(taken).arrive(record.first_seq, record.frames.t_us, taken.arrival.lane)
        elif isinstance(record, Loss):
            self._ledger(taken).lose(record)

    def tick(self, now: Now) -> None:
        """Nothing depends on the clock."""

    def publish(self, append: Append, now: Now) -> None:
        """The ledger is asked for, not told."""

    def save(self, connection: Connection) -> None:
        """Write what changed, and let go of the ledgers that were not needed for the longest time."""
        for key, ledger in self._open.items():
            if ledger.is_changed:
                write_change(connection, *key, ledger.take_change(), self._arrived_us[key])
        while len(self._open) > MAX_OPEN:
            oldest = next(iter(self._open))
            del self._open[oldest], self._arrived_us[oldest]

    def missing(self, vehicle: str, epoch: bytes) -> int:
        """Frames that are missing in an epoch whose ledger is in memory; 0 for others."""
        ledger = self._open.get((vehicle, epoch))
        return 0 if ledger is None else ledger.missing_frames()

    def _ledger(self, taken: Taken) -> EpochLedger:
        key = taken.record.vehicle, taken.record.epoch
        ledger = self._open.pop(key, None) or self._load(*key)
        self._open[key] = ledger
        self._arrived_us.setdefault(key, taken.arrival.utc_us)
        return ledger
