"""The lake: raw frames of all vehicles in one Delta table, each stored exactly once."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from deltalake.transaction import AddAction

from ved.errors import StorageError, UserError
from ved.lake.commit import ConflictError
from ved.lake.compaction import plan_merges
from ved.lake.layout import APPEND_ZSTD_LEVEL, COMPACT_ZSTD_LEVEL, STATISTICS_COLUMNS, TABLE_NAME, partition_path
from ved.lake.log import EpochKey, FileEntry, IntervalMap
from ved.lake.reading import ALL, FileReader, FrameKey, Where
from ved.lake.rows import FrameRows, disk_table
from ved.lake.store import open_store
from ved.lake.table import IntervalsLostError, LakeTable, add_action
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.intervals import Intervals

_log = logging.getLogger(__name__)
_COMMIT_TRIES: Final = 20


class ReorganisedError(StorageError):
    """Files of the version that was read are gone because they were merged. Read again."""


@dataclass(frozen=True, slots=True)
class AppendResult:
    """Frames that were new and are stored now, and frames that were there already."""

    frames: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class LakeStats:
    """Sums over the live files: rows, bytes, vehicles that have frames; `broken_files` could not be read so far."""

    frames: int
    bytes: int
    vehicles: int
    files: int = 0
    broken_files: int = 0


class Lake:
    """One lake at `url` (a folder or s3://BUCKET/PREFIX); the table is `<url>/frames`.

    A lake that does not exist yet is empty; the first append makes it. All methods may be called from any thread.
    Raises UserError where the folder holds something else, StorageError where the disk refuses.
    """

    def __init__(self, url: str) -> None:
        self._store = open_store(f"{url.rstrip('/')}/{TABLE_NAME}")
        self._table = LakeTable(self._store)
        self._reader = FileReader(self._store)
        self._lock = threading.RLock()
        self._broken: dict[str, str] = {}
        self._dead_since_s: dict[str, float] = {}
        self.refresh()

    @staticmethod
    def existing(url: str) -> "Lake":
        """A lake that must be there already; UserError where it is not."""
        lake = Lake(url)
        if lake.version < 0:
            raise UserError(f"{url}: no lake there; give a data folder that has stored frames")
        return lake

    @staticmethod
    def for_writing(url: str) -> "Lake":
        """The lake for its writer: mends what a power cut may have left, then opens it."""
        LakeTable(open_store(f"{url.rstrip('/')}/{TABLE_NAME}")).repair()
        return Lake(url)

    @property
    def version(self) -> int:
        """Number of the last commit seen; -1 while there is no table."""
        return self._table.version

    def refresh(self) -> bool:
        """See what was committed since; cheap when nothing was. True when something was."""
        with self._lock:
            try:
                return self._table.refresh()
            except IntervalsLostError:
                self._table.intervals = self._intervals_from_files()
                return True

    def append(self, batches: Sequence[FrameBatch]) -> AppendResult:
        """Store the frames whose (vehicle, epoch, seq) is not there yet, in one commit, durable on return."""
        with self._lock:
            for _ in range(_COMMIT_TRIES):
                self.refresh()
                self._table.create()
                new, added, total = self._new_rows(batches)
                frames = sum(len(rows) for rows in new.values())
                if not frames:
                    return AppendResult(0, total)
                adds = [self._write(key, rows, APPEND_ZSTD_LEVEL, is_new_data=True) for key, rows in new.items()]
                try:
                    self._table.commit_append(adds, added)
                except ConflictError:
                    continue
                return AppendResult(frames, total - frames)
        raise StorageError(f"the lake at {self._store.url} is busy: another writer commits all the time")

    def intervals(self, vehicle: str, epoch: bytes) -> Intervals:
        """The seqs of an epoch that are stored, as of the last refresh (a copy)."""
        with self._lock:
            return self._table.intervals.get((vehicle, epoch), Intervals()).copy()

    def epochs(self) -> list[EpochKey]:
        """All (vehicle, epoch) that have frames, as of the last refresh."""
        with self._lock:
            return [key for key, runs in self._table.intervals.items() if runs]

    def time_range(self, vehicle: str, epoch: bytes) -> tuple[int, int] | None:
        """(first, last) t_us of an epoch's stored frames, None where there are none."""
        with self._lock:
            files = self._table.files.of((vehicle, epoch))
        if not files:
            return None
        return min(entry.t_min_us for entry in files), max(entry.t_max_us for entry in files)

    def rows(self, vehicle: str, epoch: bytes, where: Where = ALL) -> FrameRows:
        """The wanted frames of an epoch with their seqs, sorted by (t_us, seq).

        A file that cannot be read is set aside, named in the log and counted in stats(); the rest reads.
        """
        try:
            parts = list(self.parts(vehicle, epoch, where))
        except ReorganisedError:
            parts = list(self.parts(vehicle, epoch, where))
        return FrameRows.concatenate(parts).in_time_order()

    def parts(self, vehicle: str, epoch: bytes, where: Where = ALL) -> Iterator[FrameRows]:
        """The wanted frames of an epoch file by file, each part in its file's order; all parts are of one version.

        ReorganisedError when a file of that version was merged and deleted meanwhile: start again.
        """
        for entry in self._entries(vehicle, epoch, where):
            rows = self._read(entry, where)
            if len(rows):
                yield rows

    def frames(
        self,
        vehicle: str,
        epoch: bytes,
        *,
        bus: int | None = None,
        arbitration_id: int | None = None,
        t_from_us: int | None = None,
        t_to_us: int | None = None,
    ) -> FrameColumns:
        """The frames of an epoch in time order, t_from_us <= t_us < t_to_us."""
        keys = None if arbitration_id is None else (FrameKey(arbitration_id, bus),)
        return self.rows(vehicle, epoch, Where(keys, bus, t_from_us, t_to_us)).frames

    def stats(self) -> LakeStats:
        """Exact sums over the live files, as of the last refresh."""
        with self._lock:
            files = list(self._table.files)
            return LakeStats(
                frames=sum(entry.rows for entry in files),
                bytes=sum(entry.size_bytes for entry in files),
                vehicles=len({entry.vehicle for entry in files if entry.rows}),
                files=len(files),
                broken_files=len(self._broken),
            )

    def compact(
        self, *, is_final: Callable[[EpochKey], bool] = lambda _: True, stop: Callable[[], bool] = lambda: False
    ) -> int:
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

    def vacuum(self, older_than_s: float) -> int:
        """Delete data files that the newest version does not name (orphans, merged files); how many.

        Only those that were written, and were found dead by a call of this object, at least `older_than_s` ago: a
        reader that holds an older version, or a write on its way to its commit, is not disturbed.
        """
        found = list(self._store.walk())  # before the refresh: what is committed meanwhile is then seen as live
        self.refresh()
        with self._lock:
            live = self._table.files.paths()
        now_s = time.monotonic()
        dead = {file.path: file.age_s for file in found if file.path not in live}
        with self._lock:
            self._dead_since_s = {path: self._dead_since_s.get(path, now_s) for path in dead}
        doomed = [
            path for path, since_s in self._dead_since_s.items() if min(dead[path], now_s - since_s) >= older_than_s
        ]
        for path in doomed:
            self._store.delete(path)
        return len(doomed)

    def live_paths(self) -> set[str]:
        """Paths of the live files, relative to the table."""
        with self._lock:
            return self._table.files.paths()

    def broken_files(self) -> dict[str, str]:
        """Files that could not be read so far, and why."""
        with self._lock:
            return dict(self._broken)

    def _new_rows(self, batches: Sequence[FrameBatch]) -> tuple[dict[EpochKey, FrameRows], IntervalMap, int]:
        known: IntervalMap = {}
        added: IntervalMap = {}
        parts: dict[EpochKey, list[tuple[int, FrameColumns]]] = {}
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
            if not have.overlaps(batch.first_seq, batch.last_seq):
                parts[key].append((batch.first_seq, batch.frames))
                added[key].add(batch.first_seq, batch.last_seq)
            else:
                for first, last in have.missing(batch.first_seq, batch.last_seq):
                    part = slice(first - batch.first_seq, last - batch.first_seq + 1)
                    parts[key].append((first, batch.frames.take(part)))
                    added[key].add(first, last)
            have.add(batch.first_seq, batch.last_seq)
        new = {key: _numbered(found) for key, found in parts.items() if found}
        return new, {key: runs for key, runs in added.items() if runs}, total

    def _write(self, key: EpochKey, rows: FrameRows, zstd_level: int, *, is_new_data: bool) -> AddAction:
        """Write rows as one file in disk order; the action that makes it live."""
        table, bounds = disk_table(rows)
        limits = _limits(rows)
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
        size = self._store.write(entry.path, table, bounds, zstd_level)
        return add_action(replace(entry, size_bytes=size), limits, is_new_data=is_new_data)

    def _merge(self, group: Sequence[FileEntry]) -> int:
        try:
            rows = FrameRows.concatenate([self._read(entry, ALL) for entry in group])
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
                    self._table.commit_replace([add], group)
                except ConflictError:
                    continue
                return len(group)
        self._store.delete(add.path)
        return 0

    def _entries(self, vehicle: str, epoch: bytes, where: Where) -> list[FileEntry]:
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

    def _read(self, entry: FileEntry, where: Where) -> FrameRows:
        try:
            return self._reader.read(entry, where)
        except FileNotFoundError as error:
            self.refresh()
            if entry.path not in self._table.files:
                raise ReorganisedError(f"{self._store.url}/{entry.path} was merged while it was to be read") from error
            self._set_aside(entry, "missing")
        except (OSError, pa.ArrowException) as error:
            self._set_aside(entry, str(error))
        return FrameRows.concatenate([])

    def _set_aside(self, entry: FileEntry, why: str) -> None:
        with self._lock:
            is_new = entry.path not in self._broken
            self._broken[entry.path] = why
        if is_new:
            _log.error("lake file set aside: %s/%s: %s", self._store.url, entry.path, why)

    def _intervals_from_files(self) -> IntervalMap:
        """Which seqs are stored, from the files themselves: the way back when the log lost its intervals."""
        out: IntervalMap = {}
        for entry in self._table.files:
            seq = np.sort(self._read(entry, ALL).seq)
            cuts = np.flatnonzero(np.diff(seq) > 1)
            firsts, lasts = seq[np.r_[0, cuts + 1]] if len(seq) else seq, seq[np.r_[cuts, len(seq) - 1]]
            runs = out.setdefault(entry.key, Intervals())
            for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
                runs.add(first, last)
        return out


def _numbered(parts: Sequence[tuple[int, FrameColumns]]) -> FrameRows:
    """Runs of frames, each with the seq of its first, as rows."""
    counts = np.array([len(frames) for _, frames in parts])
    starts = np.cumsum(counts) - counts
    firsts = np.array([first for first, _ in parts])
    seq = np.arange(counts.sum()) + np.repeat(firsts - starts, counts)
    return FrameRows(seq, FrameColumns.concatenate([frames for _, frames in parts]))


def _limits(rows: FrameRows) -> dict[str, tuple[int, int]]:
    columns: dict[str, Any] = {"seq": rows.seq}
    columns |= {name: getattr(rows.frames, name) for name in STATISTICS_COLUMNS if name != "seq"}
    return {name: (int(column.min()), int(column.max())) for name, column in columns.items()}
