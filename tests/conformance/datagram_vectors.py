"""The golden datagrams, and `python -m tests.conformance.datagram_vectors`, which writes them anew.

Written anew only when docs/spec/datagram.md changed first: the file is the contract, not this program.
"""

import hmac
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ved.codec.datagram import Datagram, NamedSamples, encode_datagram
from ved.model.frames import FrameColumns
from ved.model.samples import SampleChannel, SampleColumns

FILE = Path(__file__).parent / "datagram" / "datagrams.json"
KEY = bytes(range(32))
EPOCH = bytes(range(0x10, 0x20))

Frame = tuple[int, int, int, int, int, str]
"""t_us, bus, arbitration_id, flags, length, data in hex."""

Sample = tuple[int, str, str, float]
"""t_us, channel, unit, value."""


def of_frames(first_seq: int, sent_at_us: int, frames: list[Frame], key_id: int = 7) -> Datagram:
    """A datagram of frames from rows."""
    width = 64 if any(row[4] > 8 for row in frames) else 8
    payload = np.zeros((len(frames), width), np.uint8)
    for at, row in enumerate(frames):
        data = bytes.fromhex(row[5])
        payload[at, : len(data)] = np.frombuffer(data, np.uint8)
    kinds = (np.int64, np.uint8, np.uint32, np.uint8, np.uint8)
    columns = [np.array([row[at] for row in frames], kind) for at, kind in enumerate(kinds)]
    return Datagram(key_id, EPOCH, first_seq, sent_at_us, FrameColumns(*columns, payload))


def of_samples(first_seq: int, sent_at_us: int, samples: list[Sample], key_id: int = 8) -> Datagram:
    """A datagram of samples from rows."""
    units = {name: unit for _, name, unit, _ in samples}
    names = list(units)
    columns = SampleColumns(
        np.array([row[0] for row in samples], np.int64),
        np.array([names.index(row[1]) for row in samples], np.uint16),
        np.array([row[3] for row in samples], np.float64),
    )
    channels = tuple(SampleChannel(name, unit) for name, unit in units.items())
    return Datagram(key_id, EPOCH, first_seq, sent_at_us, NamedSamples(channels, columns))


def cases() -> dict[str, Datagram]:
    """Name -> datagram."""
    full = [(5_000_000 + at * 1639, at % 3, 0x100 + at, 0, 8, f"{at:016x}") for at in range(61)]
    return {
        "one_frame": of_frames(1, 1_000, [(1_000, 0, 0x123, 0, 8, "0102030405060708")]),
        "kinds": of_frames(
            2**40,
            2**45 + 123_456,
            [
                (2**45, 0, 0x7FF, 0, 0, ""),
                (2**45, 1, 0x1FFFFFFF, 1, 3, "aabbcc"),
                (2**45 - 250, 2, 0x55, 16, 4, ""),
                (2**45 + 10, 0, 0x18DAF110, 3, 64, "5a" * 64),
                (2**45 + 11, 0, 0x200, 2 | 4 | 8, 12, "00112233445566778899aabb"),
                (2**45 + 12, 255, 0x000, 32, 8, "0000800000000000"),
                (2**45 + 13, 1, 0x321, 64, 1, "ff"),
            ],
            key_id=2**32 - 1,
        ),
        "full": of_frames(601, 5_100_000, full),
        "last_seq": of_frames(2**48, 2**53, [(2**53, 0, 1, 0, 1, "00")]),
        "sent_long_after": of_frames(1, 2**32 + 5, [(0, 0, 1, 0, 1, "00")]),
        "samples": of_samples(
            9,
            77_100,
            [
                (77_000, "Pack.temperature", "°C", 36.5),
                (77_050, "Pack.current", "A", -0.0),
                (77_100, "Pack.temperature", "°C", float("inf")),
                (77_100, "Compteur.énergie", "", 1.0e-300),
            ],
        ),
    }


def with_mac(body: bytes) -> bytes:
    """Any bytes with the MAC of the golden key: what only a broken sender sends."""
    return body + hmac.digest(KEY, body, "sha256")[:16]


def bad_cases() -> dict[str, bytes]:
    """Name -> bytes with a right MAC that a receiver refuses all the same."""
    good = encode_datagram(cases()["one_frame"], KEY)[:-16]
    sample = encode_datagram(cases()["samples"], KEY)[:-16]

    def patched(at: int, layout: str, value: Any, base: bytes = good) -> bytes:
        out = bytearray(base)
        struct.pack_into(layout, out, at, value)
        return with_mac(bytes(out))

    return {
        "magic": patched(0, "<2s", b"DV"),
        "version": patched(2, "<B", 2),
        "kind": patched(3, "<B", 3),
        "seq_zero": patched(24, "<Q", 0),
        "seq_too_great": patched(24, "<Q", 2**48 + 1),
        "time_too_great": patched(32, "<Q", 2**53 + 1),
        "count_zero": patched(44, "<H", 0),
        "count_too_great": patched(44, "<H", 2),
        "reserved": patched(46, "<H", 1),
        "first_dt": patched(48, "<i", 1),
        "standard_id": patched(52, "<I", 0x800),
        "extended_id": with_mac(good[:52] + struct.pack("<IBB", 1 << 29, 0, 1) + good[58:]),
        "flag": patched(57, "<B", 128),
        "fd_remote": with_mac(good[:57] + bytes((2 | 16, 8))),
        "long_classic": with_mac(good[:58] + bytes((9,)) + good[59:] + b"\0"),
        "cut": with_mac(good[:-1]),
        "left_over": with_mac(good + b"\0"),
        "no_entries": with_mac(good[:48]),
        "samples_as_frames": patched(3, "<B", 1, sample),
        "sample_without_name": patched(60, "<B", 0, sample),
        "sample_unit_too_long": patched(61, "<B", 65, sample),
        "sample_not_utf8": patched(62, "<B", 0xFF, sample),
        "too_long": with_mac(good[:44] + struct.pack("<HH", 76, 0) + good[48:] * 76),
    }


def to_json(datagram: Datagram) -> dict[str, Any]:
    """The fields for a person, and for implementations in other languages."""
    out: dict[str, Any] = {
        "key_id": datagram.key_id,
        "epoch": datagram.epoch.hex(),
        "first_seq": datagram.first_seq,
        "sent_at_us": datagram.sent_at_us,
    }
    if isinstance(datagram.entries, FrameColumns):
        frames = datagram.entries
        sizes = np.where(frames.flags & 16, 0, frames.length).tolist()
        columns = (frames.t_us, frames.bus, frames.arbitration_id, frames.flags, frames.length)
        rows = zip(*(column.tolist() for column in columns), frames.payload, sizes, strict=True)
        out["frames"] = [[*row[:5], row[5][: row[6]].tobytes().hex()] for row in rows]
    else:
        channels, columns = datagram.entries.channels, datagram.entries.samples
        rows = zip(columns.t_us.tolist(), columns.channel.tolist(), columns.value.tolist(), strict=True)
        out["samples"] = [[t_us, channels[at].name, channels[at].unit, value.hex()] for t_us, at, value in rows]
    return out


def main() -> None:
    """Write the file."""
    good = [
        {"name": name, "bytes": encode_datagram(one, KEY).hex(), "datagram": to_json(one)}
        for name, one in cases().items()
    ]
    bad = [{"name": name, "bytes": data.hex()} for name, data in bad_cases().items()]
    text = json.dumps({"key": KEY.hex(), "good": good, "bad": bad}, indent=1, ensure_ascii=False)
    FILE.write_text(text + "\n")


if __name__ == "__main__":
    main()
