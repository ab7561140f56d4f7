"""Rollups of epochs as files beside the tables: made in the background, named by what they were made of.

`<lake>/rollups/vehicle=V/epoch=E/<key>.parquet`; whoever makes and whoever reads computes the key by itself, so a file
that no longer fits (another DBC, a better clock, more frames) is never found. Losing one costs time alone.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ved.analysis.rollup import Rollup
from ved.lake.layout import COMPACT_ZSTD_LEVEL, ROLLUPS, partition_path
from ved.lake.rows import cut_groups, numbers_of
from ved.lake.rowstore import open_rows
from ved.lake.store import ParquetRows
from ved.model.intervals import Intervals

ROLLUP_US: Final = 10_000_000
"""Width of a stored stretch, on the grid of UTC."""

_VERSION: Final = 1
_CACHED: Final = 64
_LAST_TEXT: Final = chr(0x10FFFF)
_FIGURES: Final = ("utc_us", "minimum", "maximum", "last", "mean", "count")


def rollup_key(decoding_digest: bytes, offset_us: int, stored: Intervals) -> str:
    """Names the rollup of an epoch: how its frames are read, its clock, and which of its frames there are."""
    told = repr((_VERSION, ROLLUP_US, offset_us, stored.runs())).encode()
    return hashlib.sha256(decoding_digest + told).hexdigest()[:32]


class Rollups:
    """The rollups of one lake. May be used from several threads."""

    def __init__(self, lake_url: str) -> None:
        self._store = open_rows(lake_url, ROLLUPS)
        self._footers: OrderedDict[str, tuple[Any, list[tuple[str, str]]]] = OrderedDict()
        self._lock = Lock()

    @staticmethod
    @lru_cache(maxsize=8)
    def of(lake_url: str) -> "Rollups":
        """The one for a lake, with the footers that were read before."""
        return Rollups(lake_url)

    def has(self, vehicle: str, epoch: bytes, key: str) -> bool:
        """True when it was made."""
        return self._footer(_path(vehicle, epoch, key)) is not None

    def write(self, vehicle: str, epoch: bytes, key: str, found: Mapping[str, Rollup]) -> None:
        """Keep the rollup of an epoch (by channel, on the grid of ROLLUP_US). StorageError."""
        names = sorted(name for name, one in found.items() if len(one))
        whole = Rollup.concatenate([found[name] for name in names])
        number = np.repeat(np.arange(len(names), dtype=np.int32), [len(found[name]) for name in names])
        texts = pa.array(names, pa.string()).take(pa.array(number))
        columns = (whole.t_us, whole.minimum, whole.maximum, whole.last, whole.mean, whole.count)
        table = pa.Table.from_arrays([texts, *(pa.array(one) for one in columns)], schema=ROLLUPS.file_schema)
        is_new = number[1:] != number[:-1]
        bounds = cut_groups(len(number), np.zeros(len(is_new), np.bool_), is_new)
        self._store.replace(_path(vehicle, epoch, key), ParquetRows(ROLLUPS, table, bounds), COMPACT_ZSTD_LEVEL)

    def read(
        self, vehicle: str, epoch: bytes, key: str, channels: Sequence[str], utc_us: tuple[int, int]
    ) -> dict[str, Rollup] | None:
        """The stretches of channels that lie in from <= UTC < to (multiples of ROLLUP_US); None: there is no such file.

        Channels without samples are left out.
        """
        path = _path(vehicle, epoch, key)
        footer = self._footer(path)
        if footer is None:
            return None
        metadata, limits = footer
        groups = [at for at, (low, high) in enumerate(limits) if any(low <= name <= high for name in channels)]
        if not groups:
            return {}
        try:
            with self._store.open(path) as source:
                file = pq.ParquetFile(source, metadata=metadata, page_checksum_verification=True, pre_buffer=False)
                table = file.read_row_groups(groups, columns=ROLLUPS.file_schema.names, use_threads=False)
        except (OSError, pa.ArrowException):
            return None
        return _by_channel(table, channels, utc_us)

    def keep_only(self, current: Mapping[tuple[str, bytes], str]) -> int:
        """Delete files of other keys than these, by (vehicle, epoch); how many. StorageError."""
        kept = {_path(vehicle, epoch, key) for (vehicle, epoch), key in current.items()}
        doomed = [file.path for file in self._store.walk() if file.path not in kept]
        for path in doomed:
            self._store.delete(path)
        return len(doomed)

    def _footer(self, path: str) -> tuple[Any, list[tuple[str, str]]] | None:
        with self._lock:
            if path in self._footers:
                self._footers.move_to_end(path)
                return self._footers[path]
        try:
            with self._store.open(path) as source:
                file = pq.ParquetFile(source, page_checksum_verification=True)
                metadata, at = file.metadata, file.schema_arrow.names.index("channel")
            statistics = [metadata.row_group(number).column(at).statistics for number in range(metadata.num_row_groups)]
        except (OSError, ValueError, pa.ArrowException):
            return None
        has_limits = all(one is not None and one.has_min_max for one in statistics)
        footer = (metadata, [(one.min, one.max) if has_limits else ("", _LAST_TEXT) for one in statistics])
        with self._lock:
            self._footers[path] = footer
            while len(self._footers) > _CACHED:
                self._footers.popitem(last=False)
        return footer


def _path(vehicle: str, epoch: bytes, key: str) -> str:
    return f"{partition_path(vehicle, epoch)}/{key}.parquet"


def _by_channel(table: pa.Table, channels: Sequence[str], utc_us: tuple[int, int]) -> dict[str, Rollup]:
    names = table["channel"].combine_chunks().dictionary_encode()
    if isinstance(names, pa.ChunkedArray):
        names = names.chunk(0)
    words = names.dictionary.to_pylist()
    codes = numbers_of(pa.chunked_array([names.indices]), np.int64)
    columns = [numbers_of(table[name], np.int64 if name in ("utc_us", "count") else np.float64) for name in _FIGURES]
    is_in = (columns[0] >= utc_us[0]) & (columns[0] < utc_us[1])
    out = {}
    for name in channels:
        if name in words:
            rows = np.flatnonzero(is_in & (codes == words.index(name)))
            if len(rows):
                out[name] = Rollup(*(column[rows] for column in columns))
    return out
