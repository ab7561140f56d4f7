"""The golden batches: what they hold, and `python -m tests.conformance.batch_vectors`, which writes them anew.

Written anew only when docs/spec/batch.md changed first: the files are the contract, not this program.
"""

import json
from pathlib import Path

import numpy as np

from ved.codec.batch import columns_crc, encode_batch
from ved.model.frames import FD_WIDTH, FrameBatch, FrameColumns, FrameFlag

FOLDER = Path(__file__).parent / "batch"
EPOCH = bytes(range(16))

Row = tuple[int, int, int, int, int, bytes]


def columns(rows: list[Row]) -> FrameColumns:
    """Frames from (t_us, bus, id, flags, length, data) rows."""
    width = FD_WIDTH if any(len(row[5]) > 8 for row in rows) else 8
    return FrameColumns(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.uint8),
        np.array([row[2] for row in rows], np.uint32),
        np.array([row[3] for row in rows], np.uint8),
        np.array([row[4] for row in rows], np.uint8),
        np.frombuffer(b"".join(row[5].ljust(width, b"\0") for row in rows), np.uint8).reshape(len(rows), width),
    )


def _row(t_us: int, bus: int, number: int, flags: int, data: bytes) -> Row:
    return t_us, bus, number, flags, len(data), data


def _periodic() -> list[Row]:
    """Three ids on two buses, 10 ms with jitter; a counter, a slow 16-bit value, a constant and a noisy byte."""
    rows = []
    for step in range(40):
        value = (20_000 + 37 * step).to_bytes(2, "little")
        noise = step * 151 % 256
        rows.append(_row(10_000 * step + step % 3, 0, 0x120, 0, bytes([step % 16, *value, 0x55, noise])))
        rows.append(_row(10_000 * step + 400, 0, 0x121, 0, bytes(8)))
        rows.append(_row(10_000 * step + 900 - step % 5, 2, 0x18FEF100, FrameFlag.EXTENDED, value))
    return rows


def cases() -> dict[str, FrameBatch]:
    """Name -> batch."""
    fd = FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH
    rows: dict[str, list[Row]] = {
        "one": [_row(5, 1, 0x7FF, 0, b"\x01\x02\x03")],
        "periodic": _periodic(),
        "ties": [_row(100 * (k // 4), 0, 0x300 - k % 4, 0, bytes([k])) for k in range(12)],
        "backwards": [
            _row(t, 0, 0x10 + t % 2, 0, bytes([t % 256])) for t in (500, 400, 400, -3, 10_000, 9_999, -(2**54))
        ],
        "kinds": [
            _row(0, 0, 0x123, 0, b""),
            (1, 0, 0x123, FrameFlag.REMOTE, 8, b""),
            _row(2, 0, 0x123, FrameFlag.EXTENDED, b"\xff" * 8),
            _row(3, 255, 0x1FFFFFFF, FrameFlag.EXTENDED | FrameFlag.TRANSMITTED, b"\x80"),
            _row(4, 1, 0x88, FrameFlag.ERROR, bytes(range(8))),
            _row(5, 1, 0x400, fd, bytes(range(64))),
            _row(6, 1, 0x400, fd, bytes(range(1, 65))),
            _row(7, 1, 0x400, fd | FrameFlag.ERROR_STATE, bytes(range(12))),
        ],
    }
    batches = {name: FrameBatch("fs", EPOCH, 1, columns(found)) for name, found in rows.items()}
    batches["empty"] = FrameBatch("fs", EPOCH, 7, FrameColumns.empty())
    batches["last_seq"] = FrameBatch("pe-2_x", bytes(16), 2**54 - 1, columns(rows["one"]))
    return batches


def as_json(batch: FrameBatch) -> str:
    """The batch in a form that any language reads."""
    frames = batch.frames
    rows = [
        [*values, bytes(data[: 0 if values[3] & FrameFlag.REMOTE else values[4]]).hex()]
        for *values, data in zip(
            frames.t_us.tolist(),
            frames.bus.tolist(),
            frames.arbitration_id.tolist(),
            frames.flags.tolist(),
            frames.length.tolist(),
            frames.payload,
            strict=True,
        )
    ]
    head = {
        "vehicle": batch.vehicle,
        "epoch": batch.epoch.hex(),
        "first_seq": str(batch.first_seq),
        "columns_crc32c": f"{columns_crc(frames):08x}",
        "columns": ["t_us", "bus", "arbitration_id", "flags", "length", "data"],
    }
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    return json.dumps(head, indent=1)[:-2] + ',\n "frames": [\n  ' + lines + "\n ]\n}\n"


def from_json(text: str) -> tuple[FrameBatch, int]:
    """The batch and the CRC of its columns."""
    found = json.loads(text)
    rows = [(*row[:5], bytes.fromhex(row[5])) for row in found["frames"]]
    frames = columns(rows) if rows else FrameColumns.empty()
    batch = FrameBatch(found["vehicle"], bytes.fromhex(found["epoch"]), int(found["first_seq"]), frames)
    return batch, int(found["columns_crc32c"], 16)


def main() -> None:
    """Write all vectors."""
    FOLDER.mkdir(exist_ok=True)
    for name, batch in cases().items():
        (FOLDER / f"{name}.bin").write_bytes(encode_batch(batch))
        (FOLDER / f"{name}.json").write_text(as_json(batch))


if __name__ == "__main__":
    main()
