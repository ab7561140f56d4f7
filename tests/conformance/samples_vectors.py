"""The golden samples: what they hold, and `python -m tests.conformance.samples_vectors`, which writes them anew.

Written anew only when docs/spec/samples.md changed first: the files are the contract, not this program.
"""

import json
import struct
from pathlib import Path

import numpy as np

from ved.codec.samples import encode_samples
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

FOLDER = Path(__file__).parent / "samples"
EPOCH = bytes(range(16))

Row = tuple[int, int, float]


def columns(rows: list[Row]) -> SampleColumns:
    """Samples from (t_us, channel, value) rows."""
    return SampleColumns(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.uint16),
        np.array([row[2] for row in rows], np.float64),
    )


def cases() -> dict[str, SampleBatch]:
    """Name -> samples."""
    health = (
        SampleChannel("record.lag_ms", "ms"),
        SampleChannel("record.is_storing", "", "discrete"),
        SampleChannel("température", "°C"),
    )
    steady = [
        (1_000_000 * k + 7 * channel, channel, [20.5 + k, k % 2, 21.25][channel])
        for k in range(20)
        for channel in (2, 0, 1)
    ]
    odd = [
        (5, 1, float("inf")),
        (5, 0, -0.0),
        (-(2**54), 1, float("-inf")),
        (2**54, 0, float("nan")),
        (0, 0, 5e-324),
    ]
    return {
        "one": SampleBatch("fs", EPOCH, 1, health[:1], columns([(0, 0, 1.5)])),
        "health": SampleBatch("fs", EPOCH, 101, health, columns(steady)),
        "odd": SampleBatch("pe-2_x", bytes(16), 2**54 - 5, health[:2], columns(odd)),
        "unused": SampleBatch("fs", EPOCH, 9, health, columns([(3, 1, 0.0), (2, 1, 0.0)])),
    }


def as_json(batch: SampleBatch) -> str:
    """The samples in a form that any language reads; values as the hex digits of their 64 bits, highest first."""
    samples = batch.samples
    rows = zip(samples.t_us.tolist(), samples.channel.tolist(), samples.value.tolist(), strict=True)
    head = {
        "vehicle": batch.vehicle,
        "epoch": batch.epoch.hex(),
        "first_seq": str(batch.first_seq),
        "channels": [[one.name, one.unit, one.kind] for one in batch.channels],
        "columns": ["t_us", "channel", "value"],
    }
    lines = ",\n  ".join(
        json.dumps([str(t_us), channel, struct.pack(">d", value).hex()]) for t_us, channel, value in rows
    )
    return json.dumps(head, indent=1, ensure_ascii=False)[:-2] + ',\n "samples": [\n  ' + lines + "\n ]\n}\n"


def from_json(text: str) -> SampleBatch:
    """The inverse of `as_json`."""
    found = json.loads(text)
    rows = [
        (int(t_us), channel, struct.unpack(">d", bytes.fromhex(bits))[0]) for t_us, channel, bits in found["samples"]
    ]
    channels = tuple(SampleChannel(*one) for one in found["channels"])
    return SampleBatch(
        found["vehicle"], bytes.fromhex(found["epoch"]), int(found["first_seq"]), channels, columns(rows)
    )


def main() -> None:
    """Write all vectors."""
    FOLDER.mkdir(exist_ok=True)
    for name, batch in cases().items():
        (FOLDER / f"{name}.bin").write_bytes(encode_samples(batch))
        (FOLDER / f"{name}.json").write_text(as_json(batch))


if __name__ == "__main__":
    main()
