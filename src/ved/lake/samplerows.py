"""Rows of the table of samples: sorted by (channel, seq) on disk, read channel by channel."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ved.lake.layout import SAMPLES, TableLayout
from ved.lake.log import FileEntry
from ved.lake.reading import CACHED_FOOTERS
from ved.lake.rows import cut_groups, numbers_of
from ved.lake.store import ParquetRows, Store
from ved.lake.table import Limits
from ved.model.samples import SampleBatch, SampleChannel

_TEXTS: Final = SAMPLES.dictionaries


@dataclass(frozen=True, slots=True, eq=False)
class SampleRows:
    """n samples with their seq; `channel` i32[n] counts in `channels`, which are distinct."""

    seq: NDArray[np.int64]
    t_us: NDArray[np.int64]
    channel: NDArray[np.int32]
    value: NDArray[np.float64]
    channels: tuple[SampleChannel, ...]

    def __len__(self) -> int:
        return len(self.seq)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "SampleRows":
        """The rows at `rows`, in that order."""
        return SampleRows(self.seq[rows], self.t_us[rows], self.channel[rows], self.value[rows], self.channels)

    @staticmethod
    def concatenate(parts: Sequence["SampleRows"]) -> "SampleRows":
        """All parts one after the other."""
        if len(parts) == 1:
            return parts[0]
        numbers: dict[SampleChannel, int] = {}
        channel = [np.empty(0, np.int32)]
        for part in parts:
            moved = [numbers.setdefault(one, len(numbers)) for one in part.channels]
            channel.append(np.array(moved, np.int32)[part.channel])
        return SampleRows(
            np.concatenate([np.empty(0, np.int64), *(part.seq for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *(part.t_us for part in parts)]),
            np.concatenate(channel),
            np.concatenate([np.empty(0), *(part.value for part in parts)]),
            tuple(numbers),
        )


@dataclass(frozen=True, slots=True)
class SampleWhere:
    """Which samples a query wants: of any of `channels` (names; None: all) with t_from_us <= t_us < t_to_us."""

    channels: tuple[str, ...] | None = None
    t_from_us: int | None = None
    t_to_us: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Limits of a row group; None where a file does not tell."""

    channel: tuple[str, str] | None
    t_us: tuple[int, int] | None


class SampleFormat:
    """See RowFormat: samples in files of one store, whose footers are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._footers: OrderedDict[str, tuple[Any, list[_Group]]] = OrderedDict()
        self._lock = Lock()

    @property
    def layout(self) -> TableLayout:
        """SAMPLES."""
        return SAMPLES

    @property
    def all(self) -> SampleWhere:
        """Everything."""
        return SampleWhere()

    def cut(self, batch: SampleBatch, first: int, last: int) -> SampleRows:
        """The samples of a batch with the seqs first..last."""
        samples = batch.samples.take(slice(first - batch.first_seq, last - batch.first_seq + 1))
        numbers = samples.channel.astype(np.int32)
        return SampleRows(np.arange(first, last + 1), samples.t_us, numbers, samples.value, batch.channels)

    def concatenate(self, parts: Sequence[SampleRows]) -> SampleRows:
        """All parts one after the other."""
        return SampleRows.concatenate(parts)

    def channels(self, rows: SampleBatch | SampleRows) -> tuple[SampleChannel, ...]:
        """Those of the batch or the rows."""
        return rows.channels

    def limits(self, rows: SampleRows) -> Limits:
        """Of seq, t_us and the channels' names."""
        names = sorted({rows.channels[number].name for number in np.unique(rows.channel).tolist()})
        return {
            "seq": (int(rows.seq.min()), int(rows.seq.max())),
            "t_us": (int(rows.t_us.min()), int(rows.t_us.max())),
            "channel": (names[0], names[-1]),
        }

    def to_disk(self, rows: SampleRows) -> ParquetRows:
        """Sorted by (name, seq); a row group ends where the name changes once it is large enough."""
        by_name = sorted(range(len(rows.channels)), key=lambda number: rows.channels[number].name)
        names = [rows.channels[number].name for number in by_name]
        rank = np.empty(len(by_name), np.int32)
        rank[by_name] = np.searchsorted(sorted(set(names)), names) if names else 0
        ranks = rank[rows.channel]
        order = np.lexsort((rows.seq, ranks))
        sorted_rows, ranks = rows.take(order), ranks[order]
        is_new = ranks[1:] != ranks[:-1]
        return ParquetRows(
            SAMPLES, _to_table(sorted_rows), cut_groups(len(rows), np.zeros(len(is_new), np.bool_), is_new)
        )

    def read(self, entry: FileEntry, where: SampleWhere) -> SampleRows:
        """See RowFormat."""
        metadata, groups = self._footer(entry.path)
        wanted = [number for number, group in enumerate(groups) if _may_have(group, where)]
        if not wanted:
            return SampleRows.concatenate([])
        with self._store.open(entry.path) as source:
            file = pq.ParquetFile(
                source,
                metadata=metadata,
                page_checksum_verification=True,
                pre_buffer=False,
                read_dictionary=list(_TEXTS),
            )
            table = file.read_row_groups(wanted, columns=SAMPLES.file_schema.names, use_threads=False)
        rows = _from_table(table)
        return rows.take(_mask(rows, where))

    def _footer(self, path: str) -> tuple[Any, list[_Group]]:
        with self._lock:
            known = self._footers.get(path)
            if known is not None:
                self._footers.move_to_end(path)
                return known
        with self._store.open(path) as source:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            footer = (file.metadata, _groups(file.metadata, file.schema_arrow.names))
        with self._lock:
            self._footers[path] = footer
            while len(self._footers) > CACHED_FOOTERS:
                self._footers.popitem(last=False)
        return footer


def sample_mask(t_us: NDArray[np.int64], where: SampleWhere) -> NDArray[np.bool_]:
    """True where the time is wanted."""
    mask = np.ones(len(t_us), np.bool_)
    if where.t_from_us is not None:
        mask &= t_us >= where.t_from_us
    if where.t_to_us is not None:
        mask &= t_us < where.t_to_us
    return mask


def _mask(rows: SampleRows, where: SampleWhere) -> NDArray[np.bool_]:
    mask = sample_mask(rows.t_us, where)
    if where.channels is not None:
        wanted = set(where.channels)
        mask &= np.array([one.name in wanted for one in rows.channels], np.bool_)[rows.channel]
    return mask


def _may_have(group: _Group, where: SampleWhere) -> bool:
    if group.t_us is not None:
        if where.t_from_us is not None and group.t_us[1] < where.t_from_us:
            return False
        if where.t_to_us is not None and group.t_us[0] >= where.t_to_us:
            return False
    if where.channels is None or group.channel is None:
        return True
    return any(group.channel[0] <= name <= group.channel[1] for name in where.channels)


def _groups(metadata: Any, names: Sequence[str]) -> list[_Group]:
    position = {name: at for at, name in enumerate(names)}
    for name in SAMPLES.file_schema.names:
        if name not in position:
            raise pa.ArrowInvalid(f"no column {name}")
    out = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        texts = group.column(position["channel"]).statistics
        times = group.column(position["t_us"]).statistics
        out.append(
            _Group(
                (texts.min, texts.max) if texts is not None and texts.has_min_max else None,
                (times.min, times.max) if times is not None and times.has_min_max else None,
            )
        )
    return out


def _to_table(rows: SampleRows) -> pa.Table:
    numbers = pa.Array.from_buffers(
        pa.int32(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows.channel, np.int32))]
    )
    texts: list[list[str]] = [[one.name, one.unit, one.kind] for one in rows.channels]

    def text(at: int) -> pa.Array:
        words = pa.array([one[at] for one in texts], pa.string(), from_pandas=False)
        return words.take(numbers)

    def number(column: NDArray[Any], kind: Any) -> pa.Array:
        return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(np.ascontiguousarray(column))])

    columns = [number(rows.seq, pa.int64()), number(rows.t_us, pa.int64()), text(0), text(1), text(2)]
    return pa.Table.from_arrays([*columns, number(rows.value, pa.float64())], schema=SAMPLES.file_schema)


def _from_table(table: pa.Table) -> SampleRows:
    for name in SAMPLES.file_schema.names:
        if table[name].null_count:
            raise pa.ArrowInvalid(f"column {name} has nulls")
    table = table.unify_dictionaries().combine_chunks()
    words, codes = [], []
    for name in _TEXTS:
        column = table[name].combine_chunks() if table[name].num_chunks != 1 else table[name].chunk(0)
        words.append(column.dictionary.to_pylist())
        codes.append(numbers_of(pa.chunked_array([column.indices]), np.int64))
    triples = (codes[0] * len(words[1]) + codes[1]) * len(words[2]) + codes[2]
    distinct, channel = np.unique(triples, return_inverse=True)
    channels = []
    for triple in distinct.tolist():
        rest, kind = divmod(triple, len(words[2]))
        name, unit = divmod(rest, len(words[1]))
        try:
            channels.append(SampleChannel(words[0][name], words[1][unit], words[2][kind]))
        except ValueError as error:
            raise pa.ArrowInvalid(str(error)) from error
    return SampleRows(
        numbers_of(table["seq"], np.int64),
        numbers_of(table["t_us"], np.int64),
        channel.astype(np.int32),
        numbers_of(table["value"], np.float64),
        tuple(channels),
    )
