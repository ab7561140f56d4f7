"""The golden vectors of the binary live messages, read and written."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ved.codec.live import LiveColumn, decode_message, encode_column, encode_message
from ved.errors import CorruptDataError
from ved.web.limits import bucket_for

FOLDER = Path(__file__).parent / "live"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
GOOD = [name for name in NAMES if not name.startswith("bad_")]
BAD = [name for name in NAMES if name.startswith("bad_")]


def values(listed: list[Any] | None) -> np.ndarray | None:
    return None if listed is None else np.array([np.nan if v is None else float(v) for v in listed], np.float64)


def same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b, equal_nan=True))


def test_there_are_vectors():
    assert len(GOOD) >= 4
    assert len(BAD) >= 9


@pytest.mark.parametrize("name", GOOD)
def test_decode(name):
    told = json.loads((FOLDER / f"{name}.json").read_text())
    message = decode_message((FOLDER / f"{name}.bin").read_bytes())
    head = message.header
    assert head.kind.name.lower() == told["kind"]
    assert head.subscription == told["subscription"]
    assert head.is_last_history == told["is_last_history"]
    assert (head.base_utc_us, head.tick_us, head.sequence) == (told["base_utc_us"], told["tick_us"], told["sequence"])
    assert len(message.columns) == len(told["columns"])
    for column, expected in zip(message.columns, told["columns"], strict=True):
        assert column.channel == expected["channel"]
        assert column.is_wide == (expected["dtype"] == "f64")
        assert column.t_utc_us.tolist() == expected["t_utc_us"]
        assert same(column.last, values(expected["last"]))
        assert same(column.minimum, values(expected["minimum"]))
        assert same(column.maximum, values(expected["maximum"]))


@pytest.mark.parametrize("name", GOOD)
def test_encode(name):
    told = json.loads((FOLDER / f"{name}.json").read_text())
    data = (FOLDER / f"{name}.bin").read_bytes()
    columns = []
    for entry in told["columns"]:
        last = values(entry["last"])
        assert last is not None
        column = LiveColumn(
            entry["channel"],
            np.array(entry["t_utc_us"], np.int64),
            last,
            values(entry["minimum"]),
            values(entry["maximum"]),
            entry["dtype"] == "f64",
        )
        columns.append(encode_column(column, told["base_utc_us"], told["tick_us"]))
    assert encode_message(decode_message(data).header, columns) == data


@pytest.mark.parametrize("name", BAD)
def test_refused(name):
    with pytest.raises(CorruptDataError):
        decode_message((FOLDER / f"{name}.bin").read_bytes())


def test_buckets():
    with (FOLDER / "buckets.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 400
    for row in rows:
        found = bucket_for(float(row["rate_hz"]), float(row["window_s"]), int(row["channels"]))
        assert found == int(row["bucket_us"]), row
