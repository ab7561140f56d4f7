"""Alarm rules, vectorised and in any cuts, against the slow way: one frame after the other (docs/spec/alarms.md)."""

import json
import math
import random
from dataclasses import dataclass, field, replace
from itertools import pairwise
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.analysis.alarms import look
from ved.analysis.alarms.batches import Columns, Piece
from ved.analysis.alarms.engine import Engine
from ved.analysis.alarms.saving import engine_state, restore
from ved.model.alarmrule import Guard, Rule
from ved.model.channel import Channel

NEVER = 1 << 62


@dataclass
class Frame:
    t_us: int
    values: dict[str, float]


@dataclass
class Seen:
    """What the model knows of one channel."""

    t_us: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    changed_us: int = 0


def run(  # noqa: C901 - one place, as the words of the spec
    rule: Rule, channels: list[Channel], frames: list[Frame], end_us: int
) -> list[tuple[bool, int]]:
    """(is_raised, time) of everything that happens up to `end_us`."""
    known = {channel.name: channel for channel in channels}
    seen = {channel.name: Seen() for channel in channels}
    is_on = guard_on = active = False
    rising, falling = NEVER, NEVER
    out: list[tuple[bool, int]] = []
    now, heard = -NEVER, None
    was = False

    def settle(t: int) -> None:
        """Delays that run out by t."""
        nonlocal active, rising, falling
        if rising <= t:
            active = True
            out.append((True, rising))
            rising = NEVER
        if falling <= t:
            active = False
            out.append((False, falling))
            falling = NEVER

    def decide(t: int) -> None:
        nonlocal was, active, rising, falling
        both = is_on and (rule.guard is None or guard_on)
        if both == was:
            return
        was = both
        if both:
            falling = NEVER
            if not active:
                rising = t + rule.on_delay_ms * 1000
        else:
            rising = NEVER
            if active:
                falling = t + rule.off_delay_ms * 1000
        settle(t)

    def silence_begins() -> int:
        if heard is None:
            return NEVER
        times = seen[rule.channel].t_us if rule.channel else [heard]
        return (times[-1] if times else first) + rule.for_ms * 1000

    for frame in [*frames, Frame(end_us, {})]:
        now = max(now, frame.t_us)
        if heard is None:
            first = now
        if rule.kind == "no_data" and not is_on and silence_begins() < now:
            begin = silence_begins()
            settle(begin)
            is_on = True
            decide(begin)
        settle(now)
        heard = now
        if frame.t_us == end_us and not frame.values:
            break
        for name, value in frame.values.items():
            one = seen[name]
            if not one.values or not (one.values[-1] == value or (math.isnan(value) and math.isnan(one.values[-1]))):
                one.changed_us = now
            one.t_us.append(now)
            one.values.append(value)
        if rule.kind == "no_data":
            is_on = is_on and bool(rule.channel) and rule.channel not in frame.values
        elif rule.channel in frame.values:
            is_on = becomes(rule, known[rule.channel], seen[rule.channel], is_on)
        if rule.guard is not None and rule.guard.channel in frame.values:
            guard_on = guards(rule.guard, frame.values[rule.guard.channel], guard_on)
        decide(now)
    return out


def becomes(rule: Rule, channel: Channel, seen: Seen, is_on: bool) -> bool:
    """The condition after the newest sample of its channel."""
    value, now = seen.values[-1], seen.t_us[-1]
    if rule.kind == "equals":
        return value in rule.values if math.isfinite(value) else is_on
    if rule.kind == "bits":
        return bool(int(value) & rule.mask) if abs(value) < 2**63 else is_on
    if rule.kind == "not_plausible":
        is_frozen = bool(rule.frozen_ms) and now - seen.changed_us >= rule.frozen_ms * 1000
        low, high = channel.minimum, channel.maximum
        is_out = (low is not None and value < low) or (high is not None and value > high)
        return math.isnan(value) or is_out or is_frozen
    if rule.kind == "rate":
        span = max(rule.over_ms * 1000, 1)
        past = [at for at in range(len(seen.t_us) - 1) if now - seen.t_us[at] >= span]
        if not past:
            return is_on
        value = (value - seen.values[past[-1]]) / ((now - seen.t_us[past[-1]]) / 1e6)
    if math.isnan(value):
        return is_on
    if rule.kind == "outside":
        low, high = rule.low, rule.high
    elif rule.kind == "below" or (rule.kind == "rate" and rule.limit < 0):
        low, high = rule.limit, math.inf
    else:
        low, high = -math.inf, rule.limit
    if is_on:
        return not low + rule.hysteresis <= value <= high - rule.hysteresis
    return value < low or value > high


def guards(guard: Guard, value: float, is_on: bool) -> bool:
    if math.isnan(value):
        return is_on
    if guard.equals is not None:
        return value == guard.equals if math.isfinite(value) else is_on
    return value > guard.above if guard.above is not None else value < guard.below


CHANNELS = [
    Channel("M.A", "", "continuous", 0, "M", "A", 1, False, minimum=0.0, maximum=5.0),
    Channel("N.B", "", "continuous", 0, "N", "B", 2, False),
]
NAMES = [channel.name for channel in CHANNELS]


def columns_of(frames: list[Frame]) -> tuple[np.ndarray, Columns]:
    starts, values, rows = [0], [], []
    for name in NAMES:
        for row, frame in enumerate(frames):
            if name in frame.values:
                values.append(frame.values[name])
                rows.append(row)
        starts.append(len(values))
    t_us = np.array([frame.t_us for frame in frames], np.int64)
    return t_us, Columns(np.array(starts), np.array(values, np.float64), np.array(rows, np.int64))


def pieces_of(frames: list[Frame], first: int, size: int) -> tuple[list[Piece], tuple[np.ndarray, np.ndarray]]:
    """The frames as a store gives them: pieces of `size`, in each those with N.B first; `first`: a third of a seq."""
    pieces = []
    for at in range(0, len(frames), size):
        part = frames[at : at + size]
        t_us, columns = columns_of(part)
        place = np.argsort(["N.B" not in frame.values for frame in part], kind="stable")
        rank = np.argsort(place)[columns.rows]
        seq = (first + at + np.arange(len(part))) * 3
        pieces.append(Piece(seq[place], columns._replace(rows=rank), t_us[columns.rows], int(t_us.max())))
    times = np.array([frame.t_us for frame in frames], np.int64)
    return pieces, (3 * (first + np.arange(len(frames))), times)


def vectorised(rules, frames, cuts, end_us, saves=(), piece=0):
    engine = Engine(rules, CHANNELS)
    out = {rule.id: [] for rule in rules}
    edges = [0, *sorted(cuts), len(frames)]
    for number, (first, last) in enumerate(pairwise(edges)):
        if not piece:
            changes = engine.take(*columns_of(frames[first:last]))
        elif first < last:
            changes = engine.take_long(*pieces_of(frames[first:last], first + 1, piece))
        for change in changes if first < last else ():
            out[engine.rules[change.rule].id].append((change.is_raised, change.t_us))
        if number in saves:
            saved = json.loads(json.dumps(engine_state(engine)))
            engine = Engine(rules, CHANNELS)
            assert restore(engine, saved) == []
    for change in engine.finish(end_us):
        out[engine.rules[change.rule].id].append((change.is_raised, change.t_us))
    return out


delays = st.sampled_from([0, 0, 1, 5, 20, 60])


@st.composite
def rule_lists(draw):
    kind = draw(st.sampled_from(["above", "below", "outside", "rate", "equals", "bits", "no_data", "not_plausible"]))
    limit = float(draw(st.integers(0, 6)))
    rule = Rule(
        "r",
        kind,
        "r",
        "r",
        channel=draw(st.sampled_from(["M.A", "M.A", "M.A", "N.B"])),
        on_delay_ms=draw(delays),
        off_delay_ms=draw(delays),
        guard=draw(
            st.sampled_from(
                [None, None, None, None, Guard("N.B", above=3), Guard("N.B", below=3), Guard("M.A", equals=2)]
            )
        ),
    )
    extra = {
        "above": {"limit": limit, "hysteresis": draw(st.sampled_from([0.0, 1.0, 2.5]))},
        "below": {"limit": limit, "hysteresis": draw(st.sampled_from([0.0, 1.0, 2.5]))},
        "outside": {"low": 1.0, "high": 5.0, "hysteresis": draw(st.sampled_from([0.0, 1.0]))},
        "rate": {
            "limit": draw(st.sampled_from([20.0, 100.0, -20.0, -100.0])),
            "over_ms": draw(st.sampled_from([0, 10, 30])),
            "hysteresis": draw(st.sampled_from([0.0, 20.0])),
        },
        "equals": {"values": (limit, 3.0)},
        "bits": {"mask": draw(st.integers(1, 7))},
        "no_data": {"for_ms": draw(st.sampled_from([10, 20, 40])), "channel": draw(st.sampled_from(["M.A", ""]))},
        "not_plausible": {"frozen_ms": draw(st.sampled_from([0, 15, 40]))},
    }[kind]
    return replace(rule, **extra)


def drive(seed: int, length: int) -> list[Frame]:
    """A drive that crosses the limits often: hypothesis' own lists are too short and too even to raise much."""
    dice = random.Random(seed)
    steps_ms = dice.choice([(0, 1, 5, 10), (-3, 0, 1, 5, 20), (10,), (1, 40)])
    levels = dice.choice([(0, 1, 2, 3, 4, 5, 6, 7), (2, 3), (1, 2, 3, 4, math.nan), (0, 6, math.nan, math.nan)])
    if dice.random() < 0.2:
        levels = (*levels, 1e300, math.inf, -math.inf)
    frames, t_us = [], dice.choice([0, 5_000, -7_000_000])
    first, second = 3.0, 3.0
    for _ in range(length):
        t_us += dice.choice(steps_ms) * 1000
        if dice.random() < 0.6:
            first = float(dice.choice(levels))
        if dice.random() < 0.3:
            second = float(dice.choice((2, 4, 4, 2, math.nan)))
        sent = dice.choice([("M.A",), ("M.A", "N.B"), ("N.B",), ("M.A",), ()])
        frames.append(Frame(t_us, {name: first if name == "M.A" else second for name in sent}))
    return frames


@settings(max_examples=300)
@given(
    st.lists(rule_lists(), min_size=1, max_size=3),
    st.builds(drive, st.integers(0, 1 << 32), st.integers(0, 60)),
    st.lists(st.integers(0, 60), max_size=6),
    st.sets(st.integers(0, 6), max_size=2),
    st.integers(0, 100),
)
def test_vectorised_in_any_cuts_is_the_sample_by_sample_model(rules, frames, cuts, saves, rest_ms):
    rules = [replace(rule, id=f"r{number}") for number, rule in enumerate(rules)]
    end_us = max([frame.t_us for frame in frames], default=0) + rest_ms * 1000 + 1
    expected = {rule.id: run(rule, CHANNELS, frames, end_us) for rule in rules}
    assert vectorised(rules, frames, [cut for cut in cuts if cut <= len(frames)], end_us, saves) == expected


@settings(max_examples=300)
@given(
    st.lists(rule_lists(), min_size=1, max_size=3),
    st.builds(drive, st.integers(0, 1 << 32), st.integers(0, 60)),
    st.lists(st.integers(0, 60), max_size=3),
    st.integers(1, 40),
    st.sampled_from([1, 1000]),
)
def test_long_batches_as_a_store_gives_them_are_the_sample_by_sample_model(rules, frames, cuts, piece, long):
    rules = [replace(rule, id=f"r{number}") for number, rule in enumerate(rules)]
    frames = sorted(frames, key=_time)
    end_us = max([frame.t_us for frame in frames], default=0) + 1
    expected = {rule.id: run(rule, CHANNELS, frames, end_us) for rule in rules}
    with patch.object(look, "LONG", long):
        cuts = [cut for cut in cuts if cut <= len(frames)]
        got = vectorised(rules, frames, cuts, end_us, piece=piece)
        assert got == expected, repr((rules, frames, cuts, piece))


@settings(max_examples=80)
@given(
    st.builds(drive, st.integers(0, 1 << 32), st.integers(0, 60)),
    st.lists(st.integers(0, 60), max_size=6),
    delays,
    delays,
)
def test_an_expression_raises_as_the_limit_that_says_the_same(frames, cuts, on_delay_ms, off_delay_ms):
    given_ = {"on_delay_ms": on_delay_ms, "off_delay_ms": off_delay_ms}
    limit = Rule("limit", "above", "l", "l", channel="M.A", limit=3.0, **given_)
    same = Rule("same", "expression", "s", "s", expression="M.A > 3", **given_)
    end_us = max([frame.t_us for frame in frames], default=0) + 1
    # Of samples of one time the last counts in an expression; so times are made distinct here.
    frames = [Frame(frame.t_us + number, frame.values) for number, frame in enumerate(sorted(frames, key=_time))]
    end_us += len(frames)
    found = vectorised([limit, same], frames, [cut for cut in cuts if cut <= len(frames)], end_us)
    assert found["same"] == found["limit"] == run(limit, CHANNELS, frames, end_us)


def _time(frame: Frame) -> int:
    return frame.t_us
