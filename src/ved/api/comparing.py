"""The same frames read under two sets of DBCs: which channels come out differently, with examples."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ved.api.framekeys import frame_key
from ved.api.history import all_of
from ved.api.parts import Part
from ved.dbc.decode import Decoded
from ved.dbc.load import DbcSet
from ved.dbc.matching import ChannelMatch, match_channels
from ved.lake.lake import Lake, ReorganisedError
from ved.lake.reading import FrameKey, Where
from ved.model.channel import Channel
from ved.model.frames import FrameColumns

MAX_EXAMPLES: Final = 5
DifferenceKind = Literal["changed", "gone", "renamed", "new"]
_ORDER: Final[tuple[DifferenceKind, ...]] = ("changed", "gone", "renamed", "new")


@dataclass(frozen=True, slots=True)
class Example:
    """One frame that reads differently: its UTC (µs), bus, id and payload, and the values (None: no sample)."""

    utc_us: int
    bus: int
    arbitration_id: int
    payload: bytes
    before: float | None
    after: float | None


@dataclass(slots=True)
class Difference:
    """A channel that is not the same under both. `name` is the present one, `former` the one before.

    `samples` are those of both sides that stand in one frame; `differing` of them have another value (by at most
    `largest`); `only_before` and `only_after` are samples that the other side does not have.
    """

    kind: DifferenceKind
    name: str
    former: str
    unit_before: str
    unit_after: str
    samples: int = 0
    differing: int = 0
    only_before: int = 0
    only_after: int = 0
    largest: float = 0.0
    examples: list[Example] = field(default_factory=list)

    @property
    def has_other_samples(self) -> bool:
        """True when any frame gives something else."""
        return self.differing + self.only_before + self.only_after > 0


class _Stretch(NamedTuple):
    before: Part
    after: Part
    t_from_us: int
    t_to_us: int


def compare_parts(
    lake: Lake, before: Sequence[Part], after: Sequence[Part], utc_us: tuple[int, int]
) -> list[Difference]:
    """The channels that have samples and differ where both sides read utc_us[0] <= utc < utc_us[1]."""
    try:
        return _compare_once(lake, before, after, utc_us)
    except ReorganisedError:
        return _compare_once(lake, before, after, utc_us)


def compare_sets(before: DbcSet, after: DbcSet) -> list[Difference]:
    """What changes by the definitions alone: new, gone and renamed channels, and those whose values may be others."""
    found = (_difference(match, before.channels, after.channels) for match in match_channels(before, after))
    return in_order([one for one in found if one is not None])


def in_order(differences: Sequence[Difference]) -> list[Difference]:
    """What people should look at first: other values, gone, renamed, new; by name."""
    return sorted(differences, key=lambda one: (_ORDER.index(one.kind), one.name))


def _compare_once(
    lake: Lake, before: Sequence[Part], after: Sequence[Part], utc_us: tuple[int, int]
) -> list[Difference]:
    found: dict[tuple[str, str], Difference] = {}
    for stretch in _stretches(before, after, utc_us):
        if stretch.before.decoder is stretch.after.decoder:
            continue
        sets = stretch.before.decoder.dbc_set, stretch.after.decoder.dbc_set
        pairs: list[tuple[ChannelMatch, Difference]] = []
        for match in match_channels(*sets):
            made = _difference(match, sets[0].channels, sets[1].channels)
            if made is not None:
                pairs.append((match, found.setdefault((made.former, made.name), made)))
        _read(lake, stretch, pairs)
    return in_order([one for one in found.values() if one.samples + one.only_before + one.only_after])


def _stretches(before: Sequence[Part], after: Sequence[Part], utc_us: tuple[int, int]) -> Iterator[_Stretch]:
    for old in before:
        limits = utc_us[0] - old.clock.offset_us, utc_us[1] - old.clock.offset_us
        for new in after:
            t_from = max(old.t_from_us, new.t_from_us, limits[0])
            t_to = min(old.t_to_us + 1, new.t_to_us + 1, limits[1])
            if old.epoch == new.epoch and t_from < t_to:
                yield _Stretch(old, new, t_from, t_to)


def _difference(match: ChannelMatch, before: Sequence[Channel], after: Sequence[Channel]) -> Difference | None:
    old = None if match.before is None else before[match.before]
    new = None if match.after is None else after[match.after]
    if old is None and new is not None:
        return Difference("new", new.name, "", "", new.unit)
    if old is not None and new is None:
        return Difference("gone", old.name, old.name, old.unit, "")
    assert old is not None
    assert new is not None
    if old.name != new.name:
        return Difference("renamed", new.name, old.name, old.unit, new.unit)
    if match.has_other_values or old.unit != new.unit:
        return Difference("changed", new.name, old.name, old.unit, new.unit)
    return None


def _read(lake: Lake, stretch: _Stretch, pairs: Sequence[tuple[ChannelMatch, Difference]]) -> None:
    """Count the samples of one stretch into the differences."""
    sides = stretch.before.decoder, stretch.after.decoder
    by_key: defaultdict[FrameKey | None, list[tuple[ChannelMatch, Difference]]] = defaultdict(list)
    for match, difference in pairs:
        for side, number in zip(sides, (match.before, match.after), strict=True):
            if number is not None:
                by_key[frame_key(side, number)].append((match, difference))
    # Both ids of a channel that moved to another one are read together, so that each side finds its own.
    for keys, members in _groups(by_key):
        where = Where(keys=keys, t_from_us=stretch.t_from_us, t_to_us=stretch.t_to_us, with_seq=False)
        for rows in lake.parts(stretch.before.vehicle, stretch.before.epoch, where):
            frames = rows.frames
            decoded = [
                side.decode(frames, _wanted(len(side.channels), numbers))
                for side, numbers in (
                    (sides[0], [match.before for match, _ in members]),
                    (sides[1], [match.after for match, _ in members]),
                )
            ]
            for match, difference in members:
                _count(difference, match, decoded, frames, stretch.before.clock.offset_us)


def _groups(
    by_key: dict[FrameKey | None, list[tuple[ChannelMatch, Difference]]],
) -> Iterator[tuple[tuple[FrameKey, ...] | None, list[tuple[ChannelMatch, Difference]]]]:
    keys_of: defaultdict[int, list[FrameKey | None]] = defaultdict(list)
    pair_of: dict[int, tuple[ChannelMatch, Difference]] = {}
    for key, members in by_key.items():
        for member in members:
            if key not in keys_of[id(member[1])]:
                keys_of[id(member[1])].append(key)
            pair_of[id(member[1])] = member
    together: defaultdict[tuple[FrameKey, ...] | None, list[tuple[ChannelMatch, Difference]]] = defaultdict(list)
    for number, keys in keys_of.items():
        together[all_of(keys)].append(pair_of[number])
    yield from together.items()


def _wanted(count: int, numbers: Sequence[int | None]) -> NDArray[np.bool_]:
    wanted = np.zeros(count, np.bool_)
    wanted[[number for number in numbers if number is not None]] = True
    return wanted


def _count(
    difference: Difference, match: ChannelMatch, decoded: Sequence[Decoded], frames: FrameColumns, offset_us: int
) -> None:
    old_rows, old_values = _column(decoded[0], match.before)
    new_rows, new_values = _column(decoded[1], match.after)
    _, old_at, new_at = np.intersect1d(old_rows, new_rows, assume_unique=True, return_indices=True)
    before, after = old_values[old_at], new_values[new_at]
    is_other = (before != after) & ~(np.isnan(before) & np.isnan(after))
    difference.samples += len(before)
    difference.differing += int(is_other.sum())
    difference.only_before += len(old_rows) - len(old_at)
    difference.only_after += len(new_rows) - len(new_at)
    gaps = np.abs(after[is_other] - before[is_other])
    if np.isfinite(gaps).any():
        difference.largest = max(difference.largest, float(gaps[np.isfinite(gaps)].max()))
    rows, old, new = old_rows[old_at][is_other], before[is_other], after[is_other]
    if not len(rows):
        rows = old_rows if match.after is None else new_rows if match.before is None else rows
        nothing = np.full(len(rows), np.nan)
        old, new = (old_values, nothing) if match.after is None else (nothing, new_values)
    picked: list[int] = np.unique(np.linspace(0, len(rows) - 1, MAX_EXAMPLES).astype(int)).tolist() if len(rows) else []
    made = [
        Example(
            utc_us=int(frames.t_us[rows[at]]) + offset_us,
            bus=int(frames.bus[rows[at]]),
            arbitration_id=int(frames.arbitration_id[rows[at]]),
            payload=frames.payload[rows[at]][: int(frames.length[rows[at]])].tobytes(),
            before=_number(old[at]),
            after=_number(new[at]),
        )
        for at in picked
    ]
    difference.examples = heapq.nsmallest(MAX_EXAMPLES, [*difference.examples, *made], key=lambda one: one.utc_us)


def _column(decoded: Decoded, number: int | None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if number is None:
        return np.empty(0, np.int64), np.empty(0)
    part = slice(int(decoded.starts[number]), int(decoded.starts[number + 1]))
    return decoded.rows[part].astype(np.int64), decoded.values[part]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
