"""Writes the golden vectors of docs/spec/live.md by hand-packed bytes, without the codec that they test.

Run it only when the format changes: `python tests/conformance/live/write_vectors.py`.
"""

import json
import math
import struct
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
UTC = 1_760_000_000_000_000


def pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 8)


def header(kind: int, subscription: int, columns: int, flags: int, base: int, tick: int, sequence: int) -> bytes:
    return struct.pack("<BBHHHqIIQ", 1, kind, subscription, columns, flags, base, tick, 0, sequence)


def column(index: int, letter: str, dt: list[int], *values: list[float]) -> bytes:
    n = len(dt)
    dtype = {"f": 1, "d": 2}[letter]
    out = struct.pack("<HBBI", index, dtype, 1 if len(values) == 3 else 0, n) + pad(struct.pack(f"<{n}I", *dt))
    return out + b"".join(pad(struct.pack(f"<{n}{letter}", *v)) for v in values)


def clean(values: list[float] | None) -> list[Any] | None:
    names = {math.inf: "inf", -math.inf: "-inf"}
    return None if values is None else [None if v != v else names.get(v, v) for v in values]


def described(index: int, letter: str, t: list[int], *values: list[float]) -> dict[str, Any]:
    last, low, high = values if len(values) == 3 else (values[0], None, None)
    dtype = {"f": "f32", "d": "f64"}[letter]
    return {
        "channel": index,
        "dtype": dtype,
        "t_utc_us": t,
        "last": clean(last),
        "minimum": clean(low),
        "maximum": clean(high),
    }


def write(name: str, data: bytes, message: dict[str, Any]) -> None:
    (HERE / f"{name}.bin").write_bytes(data)
    (HERE / f"{name}.json").write_text(json.dumps(message, indent=1) + "\n")


def message(
    kind: str, subscription: int, last: bool, numbers: tuple[int, int, int], columns: list[dict[str, Any]]
) -> dict[str, Any]:
    base, tick, sequence = numbers
    return {
        "kind": kind,
        "subscription": subscription,
        "is_last_history": last,
        "base_utc_us": base,
        "tick_us": tick,
        "sequence": sequence,
        "columns": columns,
    }


def main() -> None:
    nan = math.nan
    write("history_empty", header(1, 7, 0, 1, UTC, 1, 42), message("history", 7, True, (UTC, 1, 42), []))

    one = [1.5, -2.25, nan]
    wide = [[123456789.125], [0.1], [1e300]]
    data = header(2, 1, 2, 0, UTC, 1, 2**33)
    data += column(3, "f", [0, 10_000, 20_001], one) + column(65_535, "d", [5], *wide)
    shown = [described(3, "f", [UTC, UTC + 10_000, UTC + 20_001], one), described(65_535, "d", [UTC + 5], *wide)]
    write("increment_two_columns", data, message("increment", 1, False, (UTC, 1, 2**33), shown))

    low, high, end = [-1.0, 0.5], [4.0, 0.5], [2.0, 0.5]
    ticks = [0, 4_294_967_295]
    data = header(1, 65_535, 1, 0, UTC, 1000, 0) + column(0, "f", ticks, end, low, high)
    shown = [described(0, "f", [UTC, UTC + 4_294_967_295_000], end, low, high)]
    write("history_coarse_tick", data, message("history", 65_535, False, (UTC, 1000, 0), shown))

    data = header(2, 0, 2, 0, -5_000_000, 1, 9) + column(1, "f", [], []) + column(2, "f", [1, 1], [math.inf, -math.inf])
    shown = [described(1, "f", [], []), described(2, "f", [-4_999_999, -4_999_999], [math.inf, -math.inf])]
    write("increment_before_1970", data, message("increment", 0, False, (-5_000_000, 1, 9), shown))

    good = header(2, 1, 1, 0, UTC, 1, 1) + column(0, "f", [0, 1], [1.0, 2.0])
    bad = {
        "bad_cut_header": good[:31],
        "bad_cut_column": good[:-1],
        "bad_left_over": good + b"\0" * 8,
        "bad_version": b"\x02" + good[1:],
        "bad_kind": good[:1] + b"\x03" + good[2:],
        "bad_tick": header(2, 1, 0, 0, UTC, 0, 1),
        "bad_dtype": good[:34] + b"\x03" + good[35:],
        "bad_huge_count": good[:36] + b"\xff\xff\xff\xff" + good[40:],
        "bad_times_decrease": header(2, 1, 1, 0, UTC, 1, 1) + column(0, "f", [2, 1], [1.0, 2.0]),
    }
    for name, broken in bad.items():
        write(name, broken, {"error": name.removeprefix("bad_")})


if __name__ == "__main__":
    main()
