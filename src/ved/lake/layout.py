"""The shape of the lake's one table: columns, order of rows, Parquet encodings (docs/spec/lake.md)."""

from typing import Final
from urllib.parse import quote

import pyarrow as pa
from deltalake import Field, Schema
from deltalake.schema import PrimitiveType

TABLE_NAME: Final = "frames"
PARTITION_COLUMNS: Final = ["vehicle", "epoch"]

FILE_SCHEMA: Final = pa.schema(
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
)

TABLE_SCHEMA: Final = Schema(
    [
        Field("vehicle", PrimitiveType("string"), nullable=False),
        Field("epoch", PrimitiveType("string"), nullable=False),
        Field("seq", PrimitiveType("long"), nullable=False),
        Field("t_us", PrimitiveType("long"), nullable=False),
        Field("bus", PrimitiveType("short"), nullable=False),
        Field("arbitration_id", PrimitiveType("integer"), nullable=False),
        Field("flags", PrimitiveType("short"), nullable=False),
        Field("length", PrimitiveType("short"), nullable=False),
        Field("payload", PrimitiveType("long"), nullable=False),
        Field("tail", PrimitiveType("binary"), nullable=True),
    ]
)

COLUMN_NAMES: Final = tuple(FILE_SCHEMA.names)
STATISTICS_COLUMNS: Final = ("seq", "t_us", "bus", "arbitration_id", "flags", "length")

ENCODINGS: Final = {"seq": "DELTA_BINARY_PACKED", "t_us": "DELTA_BINARY_PACKED", "payload": "BYTE_STREAM_SPLIT"}
"""The others are plain: sorted, they compress to next to nothing, at half the time that dictionaries take."""

APPEND_ZSTD_LEVEL: Final = 1
COMPACT_ZSTD_LEVEL: Final = 6

GROUP_LEAST_ROWS: Final = 16_384
GROUP_MOST_ROWS: Final = 131_072


def partition_path(vehicle: str, epoch: bytes) -> str:
    """Folder of an epoch's files, relative to the table."""
    return f"vehicle={quote(vehicle, safe='')}/epoch={epoch.hex()}"
