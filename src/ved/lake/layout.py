"""The shapes of the lake's two tables: columns, Parquet encodings (docs/spec/lake.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import pyarrow as pa
from deltalake import Field, Schema
from deltalake.schema import PrimitiveType

PARTITION_COLUMNS: Final = ["vehicle", "epoch"]


@dataclass(frozen=True, slots=True, eq=False)
class TableLayout:
    """One of the lake's tables: its folder, the columns of a file, how they are encoded, and which have limits.

    Columns without an encoding are plain, or in dictionaries where `dictionaries` names them.
    """

    name: str
    file_schema: pa.Schema
    encodings: Mapping[str, str]
    dictionaries: tuple[str, ...]
    limited: tuple[str, ...]

    @property
    def delta_schema(self) -> Schema:
        """The Delta table's schema: the partition columns, then those of a file."""
        fields = [Field(name, PrimitiveType("string"), nullable=False) for name in PARTITION_COLUMNS]
        fields += [
            Field(one.name, PrimitiveType(_DELTA_TYPES[one.type]), nullable=one.nullable) for one in self.file_schema
        ]
        return Schema(fields)


_DELTA_TYPES: Final = {
    pa.int64(): "long",
    pa.int32(): "integer",
    pa.int16(): "short",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "binary",
}

FRAMES: Final = TableLayout(
    name="frames",
    file_schema=pa.schema(
        [
            pa.field("seq", pa.int64(), nullable=False),
            pa.field("t_us", pa.int64(), nullable=False),
            pa.field("bus", pa.int16(), nullable=False),
            pa.field("arbitration_id", pa.int32(), nullable=False),
            pa.field("flags", pa.int16(), nullable=False),
            pa.field("length", pa.int16(), nullable=False),
            pa.field("payload", pa.int64(), nullable=False),
            pa.field("tail", pa.binary(), nullable=True),
        ]
    ),
    # The others are plain: sorted, they compress to next to nothing, at half the time that dictionaries take.
    encodings={"seq": "DELTA_BINARY_PACKED", "t_us": "DELTA_BINARY_PACKED", "payload": "BYTE_STREAM_SPLIT"},
    dictionaries=(),
    limited=("seq", "t_us", "bus", "arbitration_id", "flags", "length"),
)

SAMPLES: Final = TableLayout(
    name="samples",
    file_schema=pa.schema(
        [
            pa.field("seq", pa.int64(), nullable=False),
            pa.field("t_us", pa.int64(), nullable=False),
            pa.field("channel", pa.string(), nullable=False),
            pa.field("unit", pa.string(), nullable=False),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("value", pa.float64(), nullable=False),
        ]
    ),
    encodings={"seq": "DELTA_BINARY_PACKED", "t_us": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"},
    dictionaries=("channel", "unit", "kind"),
    limited=("seq", "t_us", "channel"),
)

ROLLUPS: Final = TableLayout(
    name="rollups",
    file_schema=pa.schema(
        [
            pa.field("channel", pa.string(), nullable=False),
            pa.field("utc_us", pa.int64(), nullable=False),
            pa.field("minimum", pa.float64(), nullable=False),
            pa.field("maximum", pa.float64(), nullable=False),
            pa.field("last", pa.float64(), nullable=False),
            pa.field("mean", pa.float64(), nullable=False),
            pa.field("count", pa.int64(), nullable=False),
        ]
    ),
    encodings={"utc_us": "DELTA_BINARY_PACKED", "count": "DELTA_BINARY_PACKED"}
    | dict.fromkeys(("minimum", "maximum", "last", "mean"), "BYTE_STREAM_SPLIT"),
    dictionaries=("channel",),
    limited=("channel", "utc_us"),
)
"""No Delta table: files that can be made again at any time, named by what they were made of."""

APPEND_ZSTD_LEVEL: Final = 1
COMPACT_ZSTD_LEVEL: Final = 6

GROUP_LEAST_ROWS: Final = 16_384
GROUP_MOST_ROWS: Final = 131_072


def partition_path(vehicle: str, epoch: bytes) -> str:
    """Folder of an epoch's files, relative to the table."""
    return f"vehicle={quote(vehicle, safe='')}/epoch={epoch.hex()}"
