"""Rollups of epochs: made in the background, and read for overviews of long times."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ved.analysis.decimate import Buckets
from ved.analysis.rollup import Rollup, combine, roll
from ved.api.decoding import Decoding
from ved.api.framekeys import frame_key
from ved.api.series import Samples, join
from ved.lake.lake import Lake
from ved.lake.reading import FrameKey, Where
from ved.lake.rollups import ROLLUP_US, Rollups, rollup_key
from ved.model.aliases import Aliases
from ved.model.clockmap import ClockMap


@dataclass(frozen=True, slots=True)
class RolledSpan:
    """A stretch (from <= UTC < to) in which one epoch alone is seen, and how that is read."""

    epoch: bytes
    decoding: Decoding
    clock: ClockMap
    utc_from_us: int
    utc_to_us: int


def names_asked(channels: Sequence[str], aliases: Aliases) -> dict[str, str]:
    """Every name under which a rollup may have one of the channels -> the name that was asked for."""
    asked = {other: name for name in channels for other in aliases.others(name)}
    return asked | {name: name for name in channels}


def read_rolled(
    lake: Lake,
    vehicle: str,
    spans: Sequence[RolledSpan],
    asked: Mapping[str, str],
    utc_us: tuple[int, int],
) -> tuple[dict[str, Buckets], list[tuple[int, int]]]:
    """What rollups tell of from <= UTC < to, on their own grid, and the stretches of it of which none tells."""
    rollups = Rollups.of(lake.url)
    found: defaultdict[str, list[Rollup]] = defaultdict(list)
    left, at_us = [], utc_us[0]
    for span in sorted(spans, key=lambda one: one.utc_from_us):
        first, end = max(utc_us[0], span.utc_from_us), min(utc_us[1], span.utc_to_us)
        inside = (-(-first // ROLLUP_US) * ROLLUP_US, end // ROLLUP_US * ROLLUP_US)
        if inside[0] >= inside[1] or inside[0] < at_us or not all_rolled(span.decoding, inside, list(asked)):
            continue
        key = key_of(lake, vehicle, span.epoch, span.decoding, span.clock)
        read = rollups.read(vehicle, span.epoch, key, list(asked), inside)
        if read is None:
            continue
        for name, one in read.items():
            found[asked[name]].append(one)
        left.append((at_us, inside[0]))
        at_us = inside[1]
    left.append((at_us, utc_us[1]))
    out = {}
    for name, parts in found.items():
        one = combine(parts, ROLLUP_US)
        out[name] = Buckets(one.t_us, one.minimum, one.maximum, one.last)
    return out, [one for one in left if one[0] < one[1]]


@lru_cache(maxsize=64)
def decoding_digest(decoding: Decoding) -> bytes:
    """Names how an epoch is read: the same DBCs on the same buses at the same times."""
    digest = hashlib.sha256()
    for stretch in decoding.stretches:
        digest.update(f"{stretch.utc_from_us} {stretch.utc_to_us} {len(stretch.sources)}".encode())
        for source in stretch.sources:
            for text in (str(source.bus), source.bus_name, source.name, source.text):
                data = text.encode("utf-8", "surrogatepass")
                digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def key_of(lake: Lake, vehicle: str, epoch: bytes, decoding: Decoding, clock: ClockMap) -> str:
    """Names the rollup that fits the epoch as it is now."""
    return rollup_key(decoding_digest(decoding), clock.offset_us, lake.intervals(vehicle, epoch))


def make_rollup(
    lake: Lake, key: tuple[str, bytes], decoding: Decoding, clock: ClockMap, stop: Callable[[], bool]
) -> Mapping[str, Rollup] | None:
    """The rollup of an epoch, message by message and file by file; None when `stop` said so.

    J1939 messages are left out: their ids do not tell whose they are. ReorganisedError as for Lake.parts.
    """
    limits = lake.time_range(*key)
    if limits is None:
        return {}
    out: dict[str, Rollup] = {}
    for piece in decoding.between(limits[0] + clock.offset_us, limits[1] + clock.offset_us + 1):
        span = (piece.utc_from_us - clock.offset_us, piece.utc_to_us - clock.offset_us)
        by_key: defaultdict[FrameKey, list[int]] = defaultdict(list)
        for number in range(len(piece.decoder.channels)):
            one = frame_key(piece.decoder, number)
            if one is not None:
                by_key[one].append(number)
        for frames_of, numbers in by_key.items():
            parts: defaultdict[str, list[Rollup]] = defaultdict(list)
            mask = np.zeros(len(piece.decoder.channels), np.bool_)
            mask[numbers] = True
            for rows in lake.parts(*key, Where((frames_of,), None, *span, with_seq=False)):
                if stop():
                    return None
                decoded = piece.decoder.decode(rows.frames, mask)
                for number in numbers:
                    t_us, values = decoded.column(number)
                    if len(t_us):
                        samples = join([Samples(t_us + clock.offset_us, values)])
                        parts[piece.decoder.channels[number].name].append(roll(*samples, ROLLUP_US))
            for name, found in parts.items():
                out[name] = combine([*found, *([out[name]] if name in out else [])], ROLLUP_US)
    return out


def all_rolled(decoding: Decoding, utc_us: tuple[int, int], names: Sequence[str]) -> bool:
    """False when one of these channels lies in a J1939 message, which no rollup has."""
    for piece in decoding.between(*utc_us):
        for name in names:
            number = piece.decoder.dbc_set.numbers.get(name)
            if number is not None and frame_key(piece.decoder, number) is None:
                return False
    return True
