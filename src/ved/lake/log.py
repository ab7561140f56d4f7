"""The table's log as the lake uses it: which seqs each commit added, and which files are live.

A commit that adds frames carries, in its commit info,
  "ved": {"added": {"<vehicle>/<epoch hex>": [[first, last], …]}, "snapshot": {…} }
`added` holds the intervals of this commit; `snapshot`, on every SNAPSHOT_EVERY-th commit, holds all of them. In the
table of samples `channels` describes channels that are new or changed (with a snapshot: all):
  {"<vehicle>": {"<name>": ["<unit>", "<kind>"]}}
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from ved.errors import CorruptDataError
from ved.model.intervals import Intervals
from ved.model.samples import SampleChannel

COMMIT_KEY: Final = "ved"
SNAPSHOT_EVERY: Final = 32

EpochKey = tuple[str, bytes]
IntervalMap = dict[EpochKey, Intervals]
ChannelMap = dict[str, dict[str, SampleChannel]]
"""Vehicle -> name -> channel of samples."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A live data file with what the log says of it; limits are inclusive."""

    path: str
    vehicle: str
    epoch: bytes
    size_bytes: int
    rows: int
    seq_min: int
    seq_max: int
    t_min_us: int
    t_max_us: int

    @property
    def key(self) -> EpochKey:
        """(vehicle, epoch)."""
        return (self.vehicle, self.epoch)


class LiveFiles:
    """The live files, by path and by epoch."""

    def __init__(self, entries: Iterable[FileEntry] = ()) -> None:
        self._by_path: dict[str, FileEntry] = {}
        self._by_epoch: dict[EpochKey, dict[str, FileEntry]] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: FileEntry) -> None:
        """Put a file in, in place of one of the same path."""
        self._by_path[entry.path] = entry
        self._by_epoch.setdefault(entry.key, {})[entry.path] = entry

    def remove(self, path: str) -> None:
        """Take a file out; nothing happens when it is not in."""
        entry = self._by_path.pop(path, None)
        if entry is not None:
            del self._by_epoch[entry.key][path]

    def of(self, key: EpochKey) -> list[FileEntry]:
        """The files of an epoch."""
        return list(self._by_epoch.get(key, {}).values())

    def paths(self) -> set[str]:
        """All paths."""
        return set(self._by_path)

    def __contains__(self, path: str) -> bool:
        return path in self._by_path

    def __iter__(self) -> Iterator[FileEntry]:
        return iter(self._by_path.values())


@dataclass(slots=True)
class CommitNotes:
    """What one commit says: intervals, files, and whether it changes what the files mean (schema, protocol)."""

    added: IntervalMap = field(default_factory=dict)
    snapshot: IntervalMap | None = None
    channels: ChannelMap = field(default_factory=dict)
    added_files: list[FileEntry] = field(default_factory=list)
    removed_paths: list[str] = field(default_factory=list)
    is_schema_change: bool = False


def commit_path(version: int) -> str:
    """Path of a commit's file, relative to the table."""
    return f"_delta_log/{version:020d}.json"


def pack_intervals(intervals: Mapping[EpochKey, Intervals]) -> dict[str, list[list[int]]]:
    """Intervals as the JSON that a commit carries."""
    return {
        f"{vehicle}/{epoch.hex()}": [[first, last] for first, last in runs]
        for (vehicle, epoch), runs in intervals.items()
    }


def unpack_intervals(packed: object) -> IntervalMap:
    """The inverse of pack_intervals; CorruptDataError."""
    if not isinstance(packed, dict):
        raise CorruptDataError("intervals are not a JSON object")
    out: IntervalMap = {}
    try:
        for name, runs in packed.items():
            vehicle, _, epoch = name.rpartition("/")
            out[vehicle, bytes.fromhex(epoch)] = Intervals((int(first), int(last)) for first, last in runs)
    except (TypeError, ValueError) as error:
        raise CorruptDataError(f"intervals of a commit cannot be read: {error}") from error
    return out


def merge_intervals(into: IntervalMap, more: Mapping[EpochKey, Iterable[tuple[int, int]]]) -> None:
    """Add all of `more` to `into`."""
    for key, runs in more.items():
        target = into.setdefault(key, Intervals())
        for first, last in runs:
            target.add(first, last)


def pack_channels(channels: ChannelMap) -> dict[str, dict[str, list[str]]]:
    """Channels as the JSON that a commit carries."""
    return {vehicle: {name: [one.unit, one.kind] for name, one in found.items()} for vehicle, found in channels.items()}


def unpack_channels(packed: Mapping[str, Mapping[str, Sequence[Any]]]) -> ChannelMap:
    """The inverse of pack_channels; CorruptDataError."""
    try:
        return {
            vehicle: {name: SampleChannel(name, unit, kind) for name, (unit, kind) in found.items()}
            for vehicle, found in packed.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise CorruptDataError(f"channels of a commit cannot be read: {error}") from error


def merged_channels(older: ChannelMap, newer: ChannelMap) -> ChannelMap:
    """All channels of both; of one name the newer."""
    return {vehicle: older.get(vehicle, {}) | newer.get(vehicle, {}) for vehicle in older.keys() | newer.keys()}


def parse_commit(text: str) -> CommitNotes:
    """One commit file of the Delta log (one JSON action a line); CorruptDataError."""
    notes = CommitNotes()
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            action = json.loads(line)
        except ValueError as error:
            raise CorruptDataError(f"a line of a commit is not JSON: {error}") from error
        if "add" in action:
            notes.added_files.append(_file_entry(action["add"]))
        elif "remove" in action:
            notes.removed_paths.append(unquote(action["remove"]["path"]))
        elif "metaData" in action or "protocol" in action:
            notes.is_schema_change = True
        elif "commitInfo" in action:
            own = action["commitInfo"].get(COMMIT_KEY)
            if own is not None:
                notes.added = unpack_intervals(own.get("added", {}))
                notes.snapshot = unpack_intervals(own["snapshot"]) if "snapshot" in own else None
                notes.channels = unpack_channels(own.get("channels", {}))
    return notes


def _file_entry(add: Mapping[str, Any]) -> FileEntry:
    stats = json.loads(add["stats"]) if add.get("stats") else {}
    low, high = stats.get("minValues", {}), stats.get("maxValues", {})
    return make_entry(
        unquote(add["path"]), add["partitionValues"], (add["size"], stats.get("numRecords", 0)), (low, high)
    )


def make_entry(
    path: str,
    partition: Mapping[str, str],
    size_rows: tuple[int, int],
    limits: tuple[Mapping[str, int], Mapping[str, int]],
) -> FileEntry:
    """A FileEntry from what an add action says; a missing limit is as wide as int64."""
    low, high = limits
    widest = 1 << 62
    return FileEntry(
        path=path,
        vehicle=partition["vehicle"],
        epoch=bytes.fromhex(partition["epoch"]),
        size_bytes=size_rows[0],
        rows=size_rows[1],
        seq_min=low.get("seq", 1),
        seq_max=high.get("seq", widest),
        t_min_us=low.get("t_us", -widest),
        t_max_us=high.get("t_us", widest),
    )
