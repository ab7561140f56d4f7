"""Reading the lake's Parquet files: only the row groups and columns that a query needs."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ved.lake.layout import FRAMES, TableLayout
from ved.lake.log import FileEntry
from ved.lake.rows import FrameRows, disk_table, numbers_of, payload_matrix
from ved.lake.store import ParquetRows, Store
from ved.lake.table import Limits
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag
from ved.model.samples import SampleChannel

CACHED_FOOTERS: Final = 256
_COLUMN_NAMES: Final = tuple(FRAMES.file_schema.names)
_LIMITED: Final = ("t_us", "bus", "arbitration_id", "flags", "length")
_WIDEST: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class FrameKey:
    """One kind of frame; `bus` and `is_extended` None: any."""

    arbitration_id: int
    bus: int | None = None
    is_extended: bool | None = None


@dataclass(frozen=True, slots=True)
class Where:
    """Which rows a query wants: frames of any of `keys` (None: all) with t_from_us <= t_us < t_to_us.

    Without `with_seq` the rows' seq is not read and all 0.
    """

    keys: tuple[FrameKey, ...] | None = None
    bus: int | None = None
    t_from_us: int | None = None
    t_to_us: int | None = None
    with_seq: bool = True


ALL: Final = Where()


@dataclass(frozen=True, slots=True, eq=False)
class _Footer:
    metadata: Any
    rows: NDArray[np.int64]
    low: dict[str, NDArray[np.int64]]
    high: dict[str, NDArray[np.int64]]
    has_tail: NDArray[np.bool_]


class FrameFormat:
    """See RowFormat: frames in files of one store, whose footers are kept. May be used from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._footers: OrderedDict[str, _Footer] = OrderedDict()
        self._lock = Lock()

    @property
    def layout(self) -> TableLayout:
        """FRAMES."""
        return FRAMES

    @property
    def all(self) -> Where:
        """Everything."""
        return ALL

    def cut(self, batch: FrameBatch, first: int, last: int) -> FrameRows:
        """The frames of a batch with the seqs first..last."""
        frames = batch.frames.take(slice(first - batch.first_seq, last - batch.first_seq + 1))
        return FrameRows(np.arange(first, last + 1), frames)

    def concatenate(self, parts: Sequence[FrameRows]) -> FrameRows:
        """All parts one after the other."""
        return FrameRows.concatenate(parts)

    def channels(self, rows: FrameBatch | FrameRows) -> tuple[SampleChannel, ...]:  # noqa: ARG002
        """None: DBCs describe them."""
        return ()

    def limits(self, rows: FrameRows) -> Limits:
        """Of the numbers that are limited."""
        columns: dict[str, Any] = {"seq": rows.seq}
        columns |= {name: getattr(rows.frames, name) for name in FRAMES.limited if name != "seq"}
        return {name: (int(column.min()), int(column.max())) for name, column in columns.items()}

    def to_disk(self, rows: FrameRows) -> ParquetRows:
        """Sorted by (bus, is_extended, arbitration_id, seq)."""
        return ParquetRows(FRAMES, *disk_table(rows))

    def read(self, entry: FileEntry, where: Where) -> FrameRows:
        """See RowFormat."""
        footer = self._footer(entry.path)
        groups = _groups(footer, where)
        if not len(groups):
            return FrameRows(np.empty(0, np.int64), FrameColumns.empty())
        constants = {
            name: int(footer.low[name][groups[0]])
            for name in _LIMITED[1:]
            if footer.low[name][groups].min() == footer.high[name][groups].max()
        }
        names = [name for name in _COLUMN_NAMES if name not in constants]
        if not footer.has_tail[groups].any():
            names.remove("tail")
        if not where.with_seq:
            names.remove("seq")
            constants["seq"] = 0
        with self._store.open(entry.path) as source:
            file = pq.ParquetFile(source, metadata=footer.metadata, page_checksum_verification=True, pre_buffer=False)
            table = file.read_row_groups(groups.tolist(), columns=names, use_threads=False)
        rows = _from_table(table, constants)
        return rows if _covers(footer, groups, constants, where) else _filter(rows, where)

    def _footer(self, path: str) -> _Footer:
        with self._lock:
            footer = self._footers.get(path)
            if footer is not None:
                self._footers.move_to_end(path)
                return footer
        with self._store.open(path) as source:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            footer = _read_footer(file.metadata, file.schema_arrow.names)
        with self._lock:
            self._footers[path] = footer
            while len(self._footers) > CACHED_FOOTERS:
                self._footers.popitem(last=False)
        return footer


def _read_footer(metadata: Any, names: Sequence[str]) -> _Footer:
    """`names` of the columns: `metadata.schema` and the metadata would keep each other, 30 kB, for the collector."""
    count = metadata.num_row_groups
    position = {name: at for at, name in enumerate(names)}
    missing = [name for name in _COLUMN_NAMES if name not in position]
    if missing:
        raise pa.ArrowInvalid(f"no column {missing[0]}")
    rows = np.empty(count, np.int64)
    low = {name: np.full(count, -_WIDEST) for name in _LIMITED}
    high = {name: np.full(count, _WIDEST) for name in _LIMITED}
    has_tail = np.ones(count, np.bool_)
    for at in range(count):
        group = metadata.row_group(at)
        rows[at] = group.num_rows
        for name in _LIMITED:
            statistics = group.column(position[name]).statistics
            if statistics is not None and statistics.has_min_max:
                low[name][at], high[name][at] = statistics.min, statistics.max
        statistics = group.column(position["tail"]).statistics
        if statistics is not None and statistics.has_null_count:
            has_tail[at] = statistics.null_count < group.num_rows
    return _Footer(metadata, rows, low, high, has_tail)


def _groups(footer: _Footer, where: Where) -> NDArray[np.intp]:
    wanted = footer.rows > 0
    if where.t_from_us is not None:
        wanted &= footer.high["t_us"] >= where.t_from_us
    if where.t_to_us is not None:
        wanted &= footer.low["t_us"] < where.t_to_us
    if where.bus is not None:
        wanted &= (footer.low["bus"] <= where.bus) & (footer.high["bus"] >= where.bus)
    if where.keys is not None:
        any_key = np.zeros(len(wanted), np.bool_)
        for key in where.keys:
            match = footer.low["arbitration_id"] <= key.arbitration_id
            match &= footer.high["arbitration_id"] >= key.arbitration_id
            if key.bus is not None:
                match &= (footer.low["bus"] <= key.bus) & (footer.high["bus"] >= key.bus)
            any_key |= match
        wanted &= any_key
    return np.flatnonzero(wanted)


def _covers(footer: _Footer, groups: NDArray[np.intp], constants: dict[str, int], where: Where) -> bool:
    """True when the limits of the groups show that every row in them is wanted."""
    if where.bus is not None and constants.get("bus") != where.bus:
        return False
    if where.keys is not None and not any(_is_key(constants, key) for key in where.keys):
        return False
    starts = where.t_from_us is None or bool(footer.low["t_us"][groups].min() >= where.t_from_us)
    return starts and (where.t_to_us is None or bool(footer.high["t_us"][groups].max() < where.t_to_us))


def _is_key(constants: dict[str, int], key: FrameKey) -> bool:
    if constants.get("arbitration_id") != key.arbitration_id:
        return False
    if key.bus is not None and constants.get("bus") != key.bus:
        return False
    flags = constants.get("flags")
    return key.is_extended is None or (flags is not None and bool(flags & FrameFlag.EXTENDED) == key.is_extended)


def _filter(rows: FrameRows, where: Where) -> FrameRows:
    wanted = np.flatnonzero(row_mask(rows.frames, where))
    if not len(wanted):
        return rows.take(slice(0, 0))
    first, end = int(wanted[0]), int(wanted[-1]) + 1
    # Files are sorted by id: mostly the wanted rows are neighbours, and a slice copies nothing.
    return rows.take(slice(first, end) if end - first == len(wanted) else wanted)


def row_mask(frames: FrameColumns, where: Where) -> NDArray[np.bool_]:
    """True for the frames that `where` wants."""
    mask = np.ones(len(frames), np.bool_)
    if where.t_from_us is not None:
        mask &= frames.t_us >= where.t_from_us
    if where.t_to_us is not None:
        mask &= frames.t_us < where.t_to_us
    if where.bus is not None:
        mask &= frames.bus == where.bus
    if where.keys is not None:
        mask &= _any_key(frames, where.keys)
    return mask


def _any_key(frames: FrameColumns, keys: Sequence[FrameKey]) -> NDArray[np.bool_]:
    extended = (frames.flags & np.uint8(FrameFlag.EXTENDED)) != 0
    out = np.zeros(len(frames), np.bool_)
    for key in keys:
        match = frames.arbitration_id == key.arbitration_id
        if key.bus is not None:
            match &= frames.bus == key.bus
        if key.is_extended is not None:
            match &= extended == key.is_extended
        out |= match
    return out


def _from_table(table: pa.Table, constants: dict[str, int]) -> FrameRows:
    n = table.num_rows

    def column(name: str, dtype: type[np.generic]) -> NDArray[Any]:
        if name in constants:
            return np.full(n, constants[name], dtype)
        if table[name].null_count:
            raise pa.ArrowInvalid(f"column {name} has nulls")
        return numbers_of(table[name], dtype)

    tail = table["tail"].combine_chunks() if "tail" in table.column_names else None
    if isinstance(tail, pa.ChunkedArray):
        tail = pa.concat_arrays(tail.chunks)
    frames = FrameColumns(
        t_us=column("t_us", np.int64),
        bus=column("bus", np.uint8),
        arbitration_id=column("arbitration_id", np.uint32),
        flags=column("flags", np.uint8),
        length=column("length", np.uint8),
        payload=payload_matrix(column("payload", np.int64), tail),
    )
    return FrameRows(column("seq", np.int64), frames)
