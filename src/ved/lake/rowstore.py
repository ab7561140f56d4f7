"""One table of the lake, whatever its rows are: each seq of an epoch is stored once, files are merged and set aside."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic

import pyarrow as pa
from deltalake.transaction import AddAction

from ved.errors import StorageError
from ved.lake.checkpoint import write_checkpoint
from ved.lake.commit import ConflictError
from ved.lake.compaction import plan_merges
from ved.lake.layout import APPEND_ZSTD_LEVEL, COMPACT_ZSTD_LEVEL, TableLayout, partition_path
from ved.lake.log import ChannelMap, EpochKey, FileEntry, IntervalMap, merged_channels
from ved.lake.rowformat import B, R, RowFormat, W
from ved.lake.store import Store, open_store
from ved.lake.table import IntervalsLostError, LakeTable, add_action
from ved.model.intervals import Intervals
from ved.model.samples import SampleChannel

_log = logging.getLogger(__name__)
_COMMIT_TRIES: Final = 20
_PROBE_BYTES: Final = 1 << 20


class ReorganisedError(StorageError):
    """Files of the version that was read are gone because they were merged. Read again."""


@dataclass(frozen=True, slots=True)
class AppendResult:
    """Rows that were new and are stored now, and rows that were there already."""

    new: int
    duplicates: int


class RowStore(Generic[B, R, W]):
    """One table at `<lake>/<layout.name>`, as of the last refresh. All methods may be called from any thread.

    A table that does not exist yet is empty; the first append makes it.
    """

    def __init__(self, store: Store, rows: RowFormat[B, R, W]) -> None:
        self._store = store
        self._format = rows
        self._table = LakeTable(store, rows.layout)
        self._lock = threading.RLock()
        self._broken: dict[str, str] = {}
        self._dead_since_s: dict[str, float] = {}
        self.refresh()

    @property
    def version(self) -> int:
        """Number of the last commit seen; -1 while there is no table."""
        return self._table.version

    @property
    def url(self) -> str:
        """Address of the table."""
        return self._store.url

    def refresh(self) -> bool:
        """See what was committed since; cheap when nothing was. True when something was."""
        with self._lock:
            try:
                return self._table.refresh()
            except IntervalsLostError:
                self._recover_from_files()
                return True

    def append(self, batches: Sequence[B]) -> AppendResult:
        """Store the rows whose (vehicle, epoch, seq) is not there yet, in one commit, durable on return."""
        with self._lock:
            for _ in range(_COMMIT_TRIES):
                self.refresh()
                self._table.create()
                new, added, total = self._new_rows(batches)
                count = sum(len(rows) for rows in new.values())
                if not count:
                    return AppendResult(0, total)
                adds = [self._write(key, rows, APPEND_ZSTD_LEVEL, is_new_data=True) for key, rows in new.items()]
                try:
                    self._table.commit_append(adds, added, self._new_channels(batches))
                except ConflictError:
                    continue
                return AppendResult(count, total - count)
        raise StorageError(f"the lake at {self._store.url} is busy: another writer commits all the time")

    def intervals(self, vehicle: str, epoch: bytes) -> Intervals:
        """The seqs of an epoch that are stored (a copy)."""
        with self._lock:
            return self._table.intervals.get((vehicle, epoch), Intervals()).copy()

    def epochs(self) -> list[EpochKey]:
        """All (vehicle, epoch) that have rows."""
        with self._lock:
            return [key for key, runs in self._table.intervals.items() if runs]

    def channels(self, vehicle: str) -> list[SampleChannel]:
        """The channels of a vehicle that the commits describe."""
        with self._lock:
            return list(self._table.channels.get(vehicle, {}).values())

    def files(self) -> list[FileEntry]:
        """The live files."""
        with self._lock:
            return list(self._table.files)

    def time_range(self, vehicle: str, epoch: bytes) -> tuple[int, int] | None:
        """(first, last) t_us of an epoch's stored rows, None where there are none."""
        with self._lock:
            files = self._table.files.of((vehicle, epoch))
        if not files:
            return None
        return min(entry.t_min_us for entry in files), max(entry.t_max_us for entry in files)

    def parts(self, vehicle: str, epoch: bytes, where: W) -> Iterator[R]:
        """The wanted rows of an epoch file by file, each part in its file's order; all parts are of one version.

        A broken file is set aside, named in the log and in broken_files(); the rest reads. StorageError when a file
        cannot be read for now (an object store away, too many open files); ReorganisedError when a file of that
        version was merged and deleted meanwhile: start again.
        """
        for entry in self._entries(vehicle, epoch, where):
            rows = self._read(entry, where)
            if len(rows):
                yield rows

    def all_parts(self, vehicle: str, epoch: bytes, where: W) -> R:
        """The parts as one, read again when files were merged meanwhile."""
        try:
            parts = list(self.parts(vehicle, epoch, where))
        except ReorganisedError:
            parts = list(self.parts(vehicle, epoch, where))
        return self._format.concatenate(parts)

    def compact(self, *, is_final: Callable[[EpochKey], bool], stop: Callable[[], bool]) -> int:
        """Merge small files into big ones sorted as a whole; the number of files that were merged.

        Blocks appends only for the commits. `is_final` says of an epoch that no more is expected: then everything that
        fits is merged, else only where many small files have gathered. `stop` ends it between two merges.
        """
        self.refresh()
        with self._lock:
            entries = [entry for entry in self._table.files if entry.path not in self._broken]
        merged = 0
        for group in plan_merges(entries, is_final):
            if stop():
                break
            merged += self._merge(group)
        return merged

    def checkpoint(self) -> bool:
        """Write a checkpoint of the log when one is due; True when it was. StorageError."""
        with self._lock:
            version, is_due = self._table.version, self._table.wants_checkpoint
            self._table.wants_checkpoint = False
        if is_due:
            try:
                write_checkpoint(self._store.url, version)
            except StorageError:
                with self._lock:
                    self._table.wants_checkpoint = True
                raise
        return is_due

    def forget(self, doomed: Sequence[FileEntry]) -> int:
        """Take files out of the table in one commit, and with them their rows; how many were still in it.

        Their intervals stay: what was let go is not taken in again. The files themselves go with a later vacuum.
        """
        with self._lock:
            for _ in range(_COMMIT_TRIES):
                self.refresh()
                there = [entry for entry in doomed if entry.path in self._table.files]
                if not there:
                    return 0
                try:
                    self._table.commit_replace([], there, is_data_change=True)
                except ConflictError:
                    continue
                return len(there)
        raise StorageError(f"the lake at {self._store.url} is busy: another writer commits all the time")

    def orphans(self) -> int:
        """How many data files the newest version does not name: `vacuum` deletes them in its time."""
        found = [file.path for file in self._store.walk()]
        self.refresh()
        with self._lock:
            live = self._table.files.paths()
        return len(set(found) - live)

    def vacuum(self, older_than_s: float, dead_for_s: float | None = None) -> int:
        """Delete data files that the newest version does not name (orphans, merged files); how many.

        Only those that were written at least `older_than_s` ago, and were found dead by a call of this object at least
        `dead_for_s` ago (None: the same): a write on its way to its commit, or a reader that holds an older version, is
        not disturbed. (A reader that is disturbed starts again.)
        """
        dead_for_s = older_than_s if dead_for_s is None else dead_for_s
        found = list(self._store.walk())  # before the refresh: what is committed meanwhile is then seen as live
        self.refresh()
        with self._lock:
            live = self._table.files.paths()
        now_s = time.monotonic()
        dead = {file.path: file.age_s for file in found if file.path not in live}
        with self._lock:
            self._dead_since_s = {path: self._dead_since_s.get(path, now_s) for path in dead}
        doomed = [
            path
            for path, since_s in self._dead_since_s.items()
            if dead[path] >= older_than_s and now_s - since_s >= dead_for_s
        ]
        for path in doomed:
            self._store.delete(path)
        return len(doomed)

    def live_paths(self) -> set[str]:
        """Paths of the live files, relative to the table."""
        with self._lock:
            return self._table.files.paths()

    def is_whole(self, vehicle: str, epoch: bytes) -> bool:
        """True when no live file of an epoch was found broken so far."""
        with self._lock:
            return all(entry.path not in self._broken for entry in self._table.files.of((vehicle, epoch)))

    def broken_files(self) -> dict[str, str]:
        """Files that could not be read so far, and why."""
        with self._lock:
            return dict(self._broken)

    def check(self, entry: FileEntry) -> R | None:
        """All rows of a live file; None when it cannot be read (see broken_files()), or was merged meanwhile."""
        try:
            rows = self._read(entry, self._format.all)
        except ReorganisedError:
            return None
        return None if entry.path in self._broken else rows

    def _new_rows(self, batches: Sequence[B]) -> tuple[dict[EpochKey, R], IntervalMap, int]:
        known: IntervalMap = {}
        added: IntervalMap = {}
        parts: dict[EpochKey, list[R]] = {}
        total = 0
        for batch in batches:
            if not batch.count:
                continue
            total += batch.count
            key = (batch.vehicle, batch.epoch)
            if key not in known:
                known[key] = self._table.intervals.get(key, Intervals()).copy()
                added[key], parts[key] = Intervals(), []
            have = known[key]
            for first, last in have.missing(batch.first_seq, batch.last_seq):
                parts[key].append(self._format.cut(batch, first, last))
                added[key].add(first, last)
            have.add(batch.first_seq, batch.last_seq)
        new = {key: self._format.concatenate(found) for key, found in parts.items() if found}
        return new, {key: runs for key, runs in added.items() if runs}, total

    def _new_channels(self, batches: Sequence[B]) -> ChannelMap:
        """What the batches say of channels that the table does not know so."""
        out: ChannelMap = {}
        for batch in batches:
            known = self._table.channels.get(batch.vehicle, {})
            for channel in self._format.channels(batch):
                if known.get(channel.name) != channel:
                    out.setdefault(batch.vehicle, {})[channel.name] = channel
        return out

    def _write(self, key: EpochKey, rows: R, zstd_level: int, *, is_new_data: bool) -> AddAction:
        """Write rows as one file in disk order; the action that makes it live."""
        limits: Any = self._format.limits(rows)
        vehicle, epoch = key
        entry = FileEntry(
            path=f"{partition_path(vehicle, epoch)}/{uuid.uuid4().hex}.parquet",
            vehicle=vehicle,
            epoch=epoch,
            size_bytes=0,
            rows=len(rows),
            seq_min=limits["seq"][0],
            seq_max=limits["seq"][1],
            t_min_us=limits["t_us"][0],
            t_max_us=limits["t_us"][1],
        )
        size = self._store.write(entry.path, self._format.to_disk(rows), zstd_level)
        return add_action(replace(entry, size_bytes=size), limits, is_new_data=is_new_data)

    def _merge(self, group: Sequence[FileEntry]) -> int:
        try:
            rows = self._format.concatenate([self._read(entry, self._format.all) for entry in group])
        except ReorganisedError:
            return 0  # merged by somebody else meanwhile
        if any(entry.path in self._broken for entry in group):
            return 0  # the next plan leaves that file out
        add = self._write(group[0].key, rows, COMPACT_ZSTD_LEVEL, is_new_data=False)
        with self._lock:
            for _ in range(_COMMIT_TRIES):
                self.refresh()
                if any(entry.path not in self._table.files for entry in group):
                    break
                try:
                    self._table.commit_replace([add], group, is_data_change=False)
                except ConflictError:
                    continue
                return len(group)
        self._store.delete(add.path)
        return 0

    def _entries(self, vehicle: str, epoch: bytes, where: W) -> list[FileEntry]:
        with self._lock:
            files = self._table.files.of((vehicle, epoch))
        wanted = [
            entry
            for entry in files
            if entry.path not in self._broken
            and (where.t_from_us is None or entry.t_max_us >= where.t_from_us)
            and (where.t_to_us is None or entry.t_min_us < where.t_to_us)
        ]
        return sorted(wanted, key=lambda entry: entry.seq_min)

    def _read(self, entry: FileEntry, where: W) -> R:
        """The wanted rows; none, and the file is set aside, where it is broken. StorageError where it was not told.

        Arrow raises OSError for broken pages too, then without an errno: such a file is broken when all its bytes can
        be had and it reads no better a second time.
        """
        path = f"{self._store.url}/{entry.path}"
        for is_second in (False, True):
            try:
                return self._format.read(entry, where)
            except FileNotFoundError as error:
                self.refresh()
                if entry.path not in self._table.files:
                    raise ReorganisedError(f"{path} was merged while it was to be read") from error
                self._set_aside(entry, "missing")
                break
            except (OSError, pa.ArrowException) as error:
                if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:
                    raise StorageError(f"cannot read {path}: {error}") from error
                if is_second or not isinstance(error, OSError):
                    self._set_aside(entry, str(error))
                    break
                self._must_be_readable(entry.path)
        return self._format.concatenate([])

    def _must_be_readable(self, path: str) -> None:
        """StorageError unless all bytes of a file can be had."""
        try:
            with self._store.open(path) as source:
                while source.read(_PROBE_BYTES):
                    pass
        except OSError as error:
            raise StorageError(f"cannot read {self._store.url}/{path}: {error}") from error

    def _set_aside(self, entry: FileEntry, why: str) -> None:
        with self._lock:
            is_new = entry.path not in self._broken
            self._broken[entry.path] = why
        if is_new:
            _log.error("lake file set aside: %s/%s: %s", self._store.url, entry.path, why)

    def _recover_from_files(self) -> None:
        """Which seqs are stored and which channels there are, from the files: the way back when the log lost them."""
        intervals: IntervalMap = {}
        channels: ChannelMap = {}
        for entry in self._table.files:
            rows = self._read(entry, self._format.all)
            runs = intervals.setdefault(entry.key, Intervals())
            for first, last in Intervals.of(rows.seq):
                runs.add(first, last)
            found = {one.name: one for one in self._format.channels(rows)}
            channels = merged_channels(channels, {entry.vehicle: found} if found else {})
        self._table.intervals, self._table.channels = intervals, channels


def open_rows(url: str, layout: TableLayout) -> Store:
    """The store of one table of the lake at `url`."""
    return open_store(f"{url.rstrip('/')}/{layout.name}")


def repair(url: str, layout: TableLayout) -> None:
    """Mend what a power cut may have left of a table; its writer does this first."""
    LakeTable(open_rows(url, layout), layout).repair()
