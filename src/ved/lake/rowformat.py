"""What a table's rows must be able to do for the lake to store them."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ved.lake.layout import TableLayout
from ved.lake.log import FileEntry
from ved.lake.store import ParquetRows
from ved.lake.table import Limits
from ved.model.samples import SampleChannel


class Batch(Protocol):
    """Consecutive rows of one epoch, by the seq of the first."""

    @property
    def vehicle(self) -> str:
        """Whose."""

    @property
    def epoch(self) -> bytes:
        """Of which epoch."""

    @property
    def first_seq(self) -> int:
        """seq of the first row."""

    @property
    def last_seq(self) -> int:
        """seq of the last row."""

    @property
    def count(self) -> int:
        """How many rows."""


class Rows(Protocol):
    """Rows with their seq."""

    @property
    def seq(self) -> NDArray[np.int64]:
        """i64[n]."""

    def __len__(self) -> int: ...


class Span(Protocol):
    """Which rows a query wants: at least a span of time."""

    @property
    def t_from_us(self) -> int | None:
        """Its begin; None: from the first."""

    @property
    def t_to_us(self) -> int | None:
        """Its end, exclusive; None: to the last."""


B = TypeVar("B", bound=Batch)
B_contra = TypeVar("B_contra", bound=Batch, contravariant=True)
R = TypeVar("R", bound=Rows)
W = TypeVar("W", bound=Span)


class RowFormat(Protocol[B_contra, R, W]):
    """What a table's rows are: how batches become rows, rows become a file, and a file becomes rows."""

    @property
    def layout(self) -> TableLayout:
        """The table's shape."""

    @property
    def all(self) -> W:
        """The query for everything."""

    def cut(self, batch: B_contra, first: int, last: int) -> R:
        """The rows of a batch with the seqs first..last."""

    def concatenate(self, parts: Sequence[R]) -> R:
        """All parts one after the other; no parts: no rows."""

    def to_disk(self, rows: R) -> ParquetRows:
        """The rows in the order of the disk."""

    def limits(self, rows: R) -> Limits:
        """Least and greatest value of the limited columns; `seq` and `t_us` at least."""

    def channels(self, rows: B_contra | R) -> tuple[SampleChannel, ...]:
        """The channels that a batch or rows describe; none where the rows are frames."""

    def read(self, entry: FileEntry, where: W) -> R:
        """The wanted rows in file order. FileNotFoundError; OSError or pa.ArrowException where it cannot be read."""
