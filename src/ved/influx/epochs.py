"""What the role knows of each epoch: its clock, its buses, its decoders, and under which offset it was written."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from ved.api.decoding import Decoding, decoding_for
from ved.db.database import Database
from ved.db.epochs import clock_pairs, epoch_buses
from ved.errors import StorageError
from ved.model.clockmap import ClockMap, ClockPair
from ved.model.intervals import Intervals
from ved.model.records import BusDescription, Clock, Description

STEADY_US: Final = 100_000
"""A better clock that moves an epoch by less leaves its points where they are."""
RELOAD_US: Final = 1_000_000
_MOST_EPOCHS: Final = 256

EpochKey = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Written:
    """Under which offset the points of an epoch were written. `former_us`: offsets under which older points still
    stand; `is_due`: the epoch is to be written anew from the lake.
    """

    offset_us: int
    former_us: tuple[int, ...] = ()
    is_due: bool = False


class WrittenStore:
    """One small file for each epoch in `folder`, replaced as a whole. StorageError when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: EpochKey) -> Written | None:
        """What is known; None for an epoch that was never written, and for a damaged file."""
        try:
            found = json.loads(self._path(key).read_text())
            return Written(int(found["offset_us"]), tuple(map(int, found["former_us"])), bool(found["is_due"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, key: EpochKey, written: Written) -> None:
        """Remember it durably."""
        path = self._path(key)
        draft = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(asdict(written)))
            draft.replace(path)
        except OSError as error:
            raise StorageError(f"{path}: cannot write: {error}") from error

    def due(self) -> list[EpochKey]:
        """The epochs that are to be written anew."""
        keys = [(path.parent.name, bytes.fromhex(path.stem)) for path in sorted(self._folder.glob("*/*.json"))]
        return [key for key in keys if (found := self.read(key)) is not None and found.is_due]

    def _path(self, key: EpochKey) -> Path:
        return self._folder / key[0] / f"{key[1].hex()}.json"


def settled(known: Written | None, best: ClockMap) -> Written | None:
    """How an epoch is written on, given what its best clock map is now; None while nobody knows its time."""
    if best.source is None:
        return known
    if known is None:
        return Written(best.offset_us)
    if abs(best.offset_us - known.offset_us) <= STEADY_US:
        return known
    former = dict.fromkeys((*known.former_us, known.offset_us))
    return Written(best.offset_us, tuple(one for one in former if one != best.offset_us), is_due=True)


@dataclass(slots=True)
class _Epoch:
    pairs: list[ClockPair]
    written: Written | None
    buses: Mapping[int, str]
    description: Description | None = None
    decoding: Decoding | None = None
    decoding_us: int = 0
    is_waiting: bool = False
    seqs: Intervals = field(default_factory=Intervals)


class Epochs:
    """Kept up to date from stream, database and file. Blocking calls."""

    def __init__(self, db: Database, store: WrittenStore) -> None:
        self._db = db
        self.store = store
        self._known: OrderedDict[EpochKey, _Epoch] = OrderedDict()

    def clock(self, clock: Clock) -> bool:
        """Fold a clock pair in; True when the epoch is to be written anew.

        StorageError: the same call is right later.
        """
        key = (clock.vehicle, clock.epoch)
        epoch = self._epoch(key)
        pair = ClockPair(clock.t_us, clock.utc_us, clock.source, clock.error_us)
        if pair not in epoch.pairs:
            epoch.pairs.append(pair)
        if epoch.written is None and not epoch.is_waiting:
            return False
        now = settled(epoch.written, ClockMap.best(epoch.pairs))
        if now is not None and epoch.is_waiting:
            now = replace(now, is_due=True)
        if now is None or now == epoch.written:
            return False
        self._set(key, epoch, now)
        epoch.is_waiting = False
        return now.is_due

    def description(self, description: Description) -> None:
        """The buses of an epoch and their DBCs."""
        epoch = self._epoch((description.vehicle, description.epoch))
        epoch.description, epoch.decoding = description, None
        epoch.buses = _names(description.buses)

    def offset_us(self, key: EpochKey) -> int | None:
        """UTC in µs at the epoch's start for what is written now; None: nobody knows, and it is written later."""
        epoch = self._epoch(key)
        if epoch.written is None:
            now = settled(None, ClockMap.best(epoch.pairs))
            if now is None:
                epoch.is_waiting = True
                return None
            self._set(key, epoch, now)
        return None if epoch.written is None else epoch.written.offset_us

    def buses(self, key: EpochKey) -> Mapping[int, str]:
        """Names of the epoch's buses."""
        return self._epoch(key).buses

    def decoding(self, key: EpochKey, now_us: int) -> Decoding:
        """How its frames are read; a changed DBC is in force after a second (`now_us`: monotonic)."""
        epoch = self._epoch(key)
        if epoch.decoding is None or now_us - epoch.decoding_us > RELOAD_US:
            epoch.decoding = decoding_for(self._db, *key, epoch.description)
            epoch.decoding_us = now_us
        return epoch.decoding

    def note_seqs(self, key: EpochKey, first_seq: int, last_seq: int) -> None:
        """These rows were given to the database in this run."""
        self._epoch(key).seqs.add(first_seq, last_seq)

    def seqs(self, vehicle: str) -> list[tuple[EpochKey, Intervals]]:
        """What was given to the database in this run, of each epoch of a vehicle."""
        return [(key, epoch.seqs) for key, epoch in self._known.items() if key[0] == vehicle]

    def written(self, key: EpochKey) -> Written | None:
        """How the epoch was written."""
        return self._epoch(key).written

    def done(self, key: EpochKey, at: Written) -> None:
        """The epoch was written anew as `at` asked, unless it is to be once more by now."""
        epoch = self._epoch(key)
        if epoch.written == at:
            self._set(key, epoch, Written(at.offset_us))

    def _set(self, key: EpochKey, epoch: _Epoch, written: Written) -> None:
        self.store.write(key, written)
        epoch.written = written

    def _epoch(self, key: EpochKey) -> _Epoch:
        known = self._known.get(key)
        if known is None:
            buses = _names(epoch_buses(self._db, *key))
            known = self._known[key] = _Epoch(clock_pairs(self._db, *key), self.store.read(key), buses)
            while len(self._known) > _MOST_EPOCHS:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return known


def _names(buses: tuple[BusDescription, ...]) -> dict[int, str]:
    return {bus.index: bus.name for bus in buses}
