"""The Delta table's state in memory: version, live files, intervals; reads on from the log, commits to it."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from ved.errors import CorruptDataError, StorageError, UserError
from ved.lake.commit import Action, committer_for, first_line
from ved.lake.layout import PARTITION_COLUMNS, TableLayout
from ved.lake.log import (
    SNAPSHOT_EVERY,
    ChannelMap,
    CommitNotes,
    EpochKey,
    FileEntry,
    IntervalMap,
    LiveFiles,
    commit_path,
    make_entry,
    merge_intervals,
    merged_channels,
    pack_channels,
    pack_intervals,
    parse_commit,
)
from ved.lake.store import Store
from ved.model.intervals import Intervals

_log = logging.getLogger(__name__)


Limits = Mapping[str, tuple[int, int] | tuple[str, str]]
"""(least, greatest) per column."""


class IntervalsLostError(Exception):
    """The log no longer says which seqs are stored (another tool cleaned it): they must come from the files."""


class LakeTable:
    """State of a table at `version`; -1 while there is no table yet. Not thread-safe: the Lake holds the lock."""

    def __init__(self, store: Store, layout: TableLayout) -> None:
        self.store = store
        self.version = -1
        self.files = LiveFiles()
        self.intervals: IntervalMap = {}
        self.channels: ChannelMap = {}
        self.wants_checkpoint = False
        self._layout = layout
        self._since_snapshot = 0
        self._committer = committer_for(store, layout)

    def refresh(self) -> bool:
        """Read on to the newest version; True when anything changed. UserError for a foreign folder."""
        if self.version < 0:
            return self._load()
        before = self.version
        while (text := self.store.read_text(commit_path(self.version + 1))) is not None:
            notes = _parse(text, self.version + 1)
            if notes.is_schema_change:
                return self._load()
            self._apply(notes)
        return self.version != before

    def repair(self) -> None:
        """Put the newest commit away when a power cut left its name without its content; the writer does this first.

        Every commit is synced before the next one and before anybody is told, so only the newest can be spoilt, and
        what it added was never counted as stored.
        """
        path = self.store.newest_commit()
        if path is None:
            return
        try:
            _check_commit(self.store.read_text(path) or "", is_first=path == commit_path(0))
        except (CorruptDataError, KeyError, TypeError, ValueError):
            _log.exception("lake commit put away: %s/%s", self.store.url, path)
            self.store.put_away(path)

    def create(self) -> None:
        """Make the table when there is none; safe when another process does the same."""
        if self.version >= 0:
            return
        self._committer.create()
        self._load()

    def commit_append(
        self, adds: Sequence[AddAction], added: Mapping[EpochKey, Intervals], channels: ChannelMap
    ) -> None:
        """One commit that adds rows, and channels not known before.

        ConflictError when any other commit came first; StorageError.
        """
        notes: dict[str, Any] = {"added": pack_intervals(added)}
        if channels:
            notes["channels"] = pack_channels(channels)
        with_snapshot = self._since_snapshot + 1 >= SNAPSHOT_EVERY
        if with_snapshot:
            whole = {key: runs.copy() for key, runs in self.intervals.items()}
            merge_intervals(whole, added)
            notes["snapshot"] = pack_intervals(whole)
            if all_channels := merged_channels(self.channels, channels):
                notes["channels"] = pack_channels(all_channels)
        self._commit(adds, notes)
        self.wants_checkpoint |= with_snapshot

    def commit_replace(self, adds: Sequence[AddAction], removed: Sequence[FileEntry], *, is_data_change: bool) -> None:
        """One commit that puts `adds` in the place of `removed`; `is_data_change` unless the rows are the same.

        ConflictError when any other commit came first; StorageError.
        """
        now_ms = int(time.time() * 1000)
        removes = [
            RemoveAction(
                entry.path,
                is_data_change,
                now_ms,
                entry.size_bytes,
                {"vehicle": entry.vehicle, "epoch": entry.epoch.hex()},
            )
            for entry in removed
        ]
        self._commit([*adds, *removes], {"added": {}})

    def _commit(self, actions: Sequence[Action], notes: Mapping[str, Any]) -> None:
        self._committer.commit(self.version + 1, actions, notes)
        self.refresh()

    def _load(self) -> bool:
        try:
            delta = _open(self.store.url, None)
        except TableNotFoundError:
            _refuse_foreign(self.store)
            return False
        names = [field.name for field in delta.schema().fields]
        is_ours = names == [*PARTITION_COLUMNS, *self._layout.file_schema.names]
        if not is_ours or delta.metadata().partition_columns != PARTITION_COLUMNS:
            raise UserError(f"{self.store.url}: a Delta table, but not a lake of ved; give another folder")
        if delta.protocol().min_reader_version > 1:
            raise UserError(f"{self.store.url}: another tool switched on Delta features that ved cannot read")
        self.version = delta.version()
        self.files = LiveFiles(_live_files(delta))
        self._load_intervals()
        return True

    def _load_intervals(self) -> None:
        intervals: IntervalMap = {}
        channels: ChannelMap = {}
        since = 0
        for version in range(self.version, -1, -1):
            text = self.store.read_text(commit_path(version))
            if text is None:
                self._since_snapshot = SNAPSHOT_EVERY
                self.intervals, self.channels = intervals, channels
                raise IntervalsLostError
            notes = _parse(text, version)
            merge_intervals(intervals, notes.added)
            channels = merged_channels(notes.channels, channels)
            if notes.snapshot is not None:
                merge_intervals(intervals, notes.snapshot)
                break
            since += 1
        self.intervals, self.channels = intervals, channels
        self._since_snapshot = since

    def _apply(self, notes: CommitNotes) -> None:
        for path in notes.removed_paths:
            self.files.remove(path)
        for entry in notes.added_files:
            self.files.add(entry)
        merge_intervals(self.intervals, notes.added)
        self.channels = merged_channels(self.channels, notes.channels)
        self._since_snapshot = 0 if notes.snapshot is not None else self._since_snapshot + 1
        self.version += 1


def _open(url: str, version: int | None) -> DeltaTable:
    try:
        return DeltaTable(url, version=version)
    except TableNotFoundError:
        raise
    except (DeltaError, OSError) as error:
        raise StorageError(f"cannot read the lake's log at {url}: {first_line(error)}") from error


def _parse(text: str, version: int) -> CommitNotes:
    try:
        return parse_commit(text)
    except (CorruptDataError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"commit {version} of the lake cannot be read: {first_line(error)}") from error


def _check_commit(text: str, *, is_first: bool) -> None:
    notes = parse_commit(text)
    if is_first and not notes.is_schema_change:
        raise CorruptDataError("the first commit does not describe the table")


def _refuse_foreign(store: Store) -> None:
    if "://" in store.url:
        return
    folder = Path(store.url)
    if folder.is_file() or (folder.is_dir() and any(child.name != "_delta_log" for child in folder.iterdir())):
        raise UserError(f"{store.url}: not a lake (no Delta log in it); give another folder")
    parent = folder.parent
    if parent.is_file():
        raise UserError(f"{parent}: a file, not a lake's folder; give another folder")


def _live_files(delta: DeltaTable) -> list[FileEntry]:
    table = delta.get_add_actions(flatten=True)
    names = table.column_names

    def column(name: str) -> list[Any]:
        return list(table[name].to_pylist()) if name in names else [None] * table.num_rows

    partitions = zip(column("partition.vehicle"), column("partition.epoch"), strict=True)
    limits = zip(column("min.seq"), column("max.seq"), column("min.t_us"), column("max.t_us"), strict=True)
    out = []
    for path, size, rows, (vehicle, epoch), (seq_min, seq_max, t_min, t_max) in zip(
        column("path"), column("size_bytes"), column("num_records"), partitions, limits, strict=True
    ):
        low = {name: value for name, value in (("seq", seq_min), ("t_us", t_min)) if value is not None}
        high = {name: value for name, value in (("seq", seq_max), ("t_us", t_max)) if value is not None}
        partition = {"vehicle": vehicle, "epoch": epoch}
        out.append(make_entry(unquote(path), partition, (size, rows or 0), (low, high)))
    return out


def add_action(entry: FileEntry, limits: Limits, *, is_new_data: bool) -> AddAction:
    """The add action of a written file."""
    stats = {
        "numRecords": entry.rows,
        "minValues": {name: low for name, (low, _) in limits.items()},
        "maxValues": {name: high for name, (_, high) in limits.items()},
        "nullCount": dict.fromkeys(limits, 0),
    }
    return AddAction(
        path=entry.path,
        size=entry.size_bytes,
        partition_values={"vehicle": entry.vehicle, "epoch": entry.epoch.hex()},
        modification_time=int(time.time() * 1000),
        data_change=is_new_data,
        stats=json.dumps(stats),
    )
