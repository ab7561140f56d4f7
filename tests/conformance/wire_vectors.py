"""The golden streams on the wire: what they hold; `python -m tests.conformance.wire_vectors` writes them anew.

Written anew only when docs/spec/wire.md changed first. A `.bin` holds the messages of one connection, each behind its
size (u32); the `.json` beside it the batches.
"""

import json
import struct
from pathlib import Path

import numpy as np
from tests.conformance import batch_vectors

from ved.codec.layout import Field, Layout, Word
from ved.codec.learn import LayoutBook
from ved.codec.wire import WireEncoder
from ved.codec.wiregroups import GroupKey
from ved.model.frames import FrameBatch, FrameFlag

FOLDER = Path(__file__).parent / "wire"
EPOCH = batch_vectors.EPOCH
LENGTH = struct.Struct("<I")


class FixedLayouts:
    """Layouts that were not learned: the golden bytes must not depend on what a learner finds."""

    def __init__(self, layouts: dict[int, Layout]) -> None:
        self._layouts = layouts

    def find(self, key: GroupKey) -> Layout | None:
        layout = self._layouts.get(key.arbitration_id)
        if layout is None or sum(field.width for word in layout.words for field in word.fields) != 8 * key.data_bytes:
            return None
        return layout

    def observe(self, *_: object) -> None:
        pass


def layouts() -> dict[int, Layout]:
    """Both byte orders, fields across bytes, every kind of filter, a short word, an FD payload."""
    line = Field(64, 7, 6)
    return {
        0x100: Layout(line, (Word(False, (Field(4, 1, 0), Field(12, 3, 4), Field(16, 2, 9), Field(32, 12, 0))),)),
        0x101: Layout(line, (Word(True, (Field(16, 5, 6), Field(13, 11, 41), Field(11, 0, 1))),)),
        0x102: Layout(Field(64, 1, 15), (Word(False, (Field(8, 36, 0), Field(16, 36, 7), Field(40, 8, 0))),)),
        0x103: Layout(
            Field(64, 4, 12),
            (Word(True, (Field(64, 6, 30),)), Word(False, (Field(1, 0, 0), Field(31, 9, 20)))),
        ),
    }


def moving_rows(first: int, count: int) -> list[batch_vectors.Row]:
    """Four ids: a ramp and a counter, a big-endian wave, a multiplexed message, an FD payload of 12 bytes."""
    fd = FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH
    rows = []
    for step in range(first, first + count):
        t_us = 10_000 * step + step * step % 37
        ramp = (step % 16) | (37 * step % 4096) << 4 | (step // 50) << 16 | (3 * step * step % 2**16) << 32
        wave = (step * step * 7 % 65_536) << 24 | (step // 3 % 2048) << 13 | step % 7
        page = bytes([step % 4, *(1000 * (step % 4) + step).to_bytes(2, "little"), 0, 0, 0, 0, step // 100 % 256])
        long = (step * 1_000_003 * 2**20 % 2**64).to_bytes(8, "big") + (2 * (step % 900)).to_bytes(4, "little")
        rows += [
            (t_us, 0, 0x100, 0, 8, ramp.to_bytes(8, "little")),
            (t_us + 200, 0, 0x101, 0, 5, wave.to_bytes(5, "big")),
            (t_us + 200, 1, 0x102, 0, 8, page),
            (t_us + 300 - 400 * (step % 5 == 4), 1, 0x103, fd, 12, long),
        ]
    return rows


def cases() -> dict[str, list[FrameBatch]]:
    """Name -> the batches of one connection."""
    moving, seq = [], 1
    for first in range(0, 90, 15):
        moving.append(FrameBatch("fs", EPOCH, seq, batch_vectors.columns(moving_rows(first, 15))))
        seq += 60
    singles = {name: batch for name, batch in batch_vectors.cases().items() if batch.count and batch.vehicle == "fs"}
    ends = [
        FrameBatch("fs", bytes(16), 2**64 - 1, singles["one"].frames),
        FrameBatch("fs", EPOCH, 5, singles["ties"].frames),
        FrameBatch("fs", EPOCH, 3, singles["ties"].frames),
        FrameBatch("fs", EPOCH, 2**63 + 9, singles["ties"].frames),
    ]
    return {
        "moving": moving,
        "learned": _learned(),
        "kinds": [singles[name] for name in ("one", "kinds", "backwards", "kinds", "ties", "periodic", "periodic")],
        "places": ends,
    }


def _learned() -> list[FrameBatch]:
    rows = moving_rows(0, 160)
    return [
        FrameBatch("fs", EPOCH, first + 1, batch_vectors.columns(rows[first : first + 80]))
        for first in range(0, len(rows), 80)
    ]


def encoder(name: str) -> WireEncoder:
    """The writer of a case."""
    return WireEncoder(LayoutBook() if name == "learned" else FixedLayouts(layouts()))


def encode(name: str) -> list[bytes]:
    """The messages of a case."""
    writer = encoder(name)
    messages = [writer.encode(batch) for batch in cases()[name]]
    assert all(message is not None for message in messages)
    return [message for message in messages if message is not None]


def read_messages(name: str) -> list[bytes]:
    """The messages of a golden file."""
    data, at, out = (FOLDER / f"{name}.bin").read_bytes(), 0, []
    while at < len(data):
        (size,) = LENGTH.unpack_from(data, at)
        out.append(data[at + LENGTH.size : at + LENGTH.size + size])
        at += LENGTH.size + size
    return out


def read_batches(name: str) -> list[tuple[FrameBatch, int]]:
    """The batches of a golden file, and the CRC of the columns of each."""
    found = json.loads((FOLDER / f"{name}.json").read_text())
    return [batch_vectors.from_json(json.dumps(one)) for one in found]


def noise(seed: int) -> list[FrameBatch]:
    """Batches of random frames of a few groups."""
    rng = np.random.default_rng(seed)
    batches, t_us, seq = [], 0, 1
    for _ in range(6):
        rows = []
        for _ in range(int(rng.integers(1, 120))):
            t_us += int(rng.integers(-2, 1000 if seed % 2 else 3))
            number = int(rng.integers(0x100, 0x104))
            flags = 2 if number == 0x103 else int(rng.choice([0, 0, 0, 0, 1, 16]))
            size = {0x101: 5, 0x103: 12}.get(number, 8) - int(rng.integers(0, 20) == 0)
            data = b"" if flags == 16 else rng.integers(0, 4 + 252 * (seed // 2 % 2), size).astype(np.uint8).tobytes()
            rows.append((t_us, 1, number, flags, size, data))
        batches.append(FrameBatch("fs", EPOCH, seq, batch_vectors.columns(rows)))
        seq += len(rows)
    return batches


def main() -> None:
    """Write all vectors."""
    FOLDER.mkdir(exist_ok=True)
    for name, batches in cases().items():
        messages = encode(name)
        (FOLDER / f"{name}.bin").write_bytes(b"".join(LENGTH.pack(len(one)) + one for one in messages))
        text = ",\n".join(batch_vectors.as_json(batch).strip() for batch in batches)
        (FOLDER / f"{name}.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
