"""One run of a vehicle's alarm rules: over its live frames, its late frames, or its samples."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np

from ved.analysis.alarms.batches import Columns
from ved.analysis.alarms.conditions import NO_TIME
from ved.analysis.alarms.engine import Engine
from ved.analysis.alarms.life import NEVER, Change, Phase
from ved.analysis.alarms.saving import engine_state, restore
from ved.db.alarms import Kept
from ved.dbc.decode import Decoder
from ved.model.alarmrule import Rule, rule_from
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.channel import Channel
from ved.model.frames import FrameColumns
from ved.model.samples import SampleBatch, SampleChannel
from ved.watch.parts import Taken

AROUND_US: Final = 5_000_000
"""How much of the time before and after an alarm's start is kept."""
MAX_RECENT: Final = 2000


class Found(NamedTuple):
    """A change with what is needed to tell it: its rule, the rule's channels, their unit, the epoch and its clock."""

    change: Change
    rule: Rule
    channels: list[str]
    unit: str
    epoch: bytes
    offset_us: int


@dataclass(slots=True)
class _Recent:
    """Frames or samples that may be wanted around an alarm."""

    epoch: bytes
    t_from_us: int
    t_to_us: int
    frames: FrameColumns | None = None
    decoder: Decoder | None = None
    samples: SampleBatch | None = None


@dataclass(slots=True)
class Run:
    """Feeds one engine. `with_silence`: no_data is told (of late data it cannot be)."""

    rules: Sequence[Rule]
    with_silence: bool
    epoch: bytes = b""
    offset_us: int = 0
    next_seq: int = 0
    is_fed: bool = False
    """Something came since the server's clock was told."""
    heard_us: int = 0
    hold_from_us: int = NEVER
    """Frames of the epoch from there on are still wanted around an alarm."""
    saved: dict[str, Any] | None = None
    """The state of an earlier process, until the channels are known."""
    _engine: Engine | None = None
    _channels: tuple[Channel, ...] = ()
    _aliases: Aliases = NO_ALIASES
    _is_of_samples: bool = False
    _recent: deque[_Recent] = field(default_factory=lambda: deque(maxlen=MAX_RECENT))

    def take_frames(self, taken: Taken, first_seq: int) -> list[Found]:
        """The frames of a batch or of a preview."""
        assert taken.decoder is not None
        assert taken.frames is not None
        frames = taken.frames
        found = self._begin(taken, first_seq, first_seq + len(frames) - 1)
        if self._engine is None or taken.decoder.channels is not self._channels or taken.aliases is not self._aliases:
            self._aliases = taken.aliases
            found += self._rebuild(self.rules, taken.decoder.channels)
        decoded = taken.decoded
        t_us = frames.t_us
        self._keep(_Recent(self.epoch, int(t_us.min()), int(t_us.max()), frames, taken.decoder))
        return found + self._took(t_us, Columns(decoded.starts, decoded.values, decoded.rows))

    def take_samples(self, taken: Taken, batch: SampleBatch) -> list[Found]:
        """Samples that never were frames; channels that are new to this run are added."""
        found = self._begin(taken, batch.first_seq, batch.last_seq)
        self._is_of_samples = True
        known = {channel.name: number for number, channel in enumerate(self._channels)}
        new = [channel for channel in batch.channels if channel.name not in known]
        if new or self._engine is None:
            found += self._rebuild(self.rules, (*self._channels, *map(_channel, new)))
            known = {channel.name: number for number, channel in enumerate(self._channels)}
        number = np.array([known[channel.name] for channel in batch.channels], np.int64)[batch.samples.channel]
        rows = np.argsort(number, kind="stable")
        starts = np.searchsorted(number[rows], np.arange(len(self._channels) + 1))
        t_us = batch.samples.t_us
        self._keep(_Recent(self.epoch, int(t_us.min()), int(t_us.max()), samples=batch))
        return found + self._took(t_us, Columns(starts, batch.samples.value[rows], rows))

    def use_rules(self, rules: Sequence[Rule]) -> list[Found]:
        """Other rules from now on: alarms of rules that changed end."""
        if self._engine is None:
            self.rules = rules
            return []
        return self._rebuild(rules, self._channels)

    def quiet_us(self, mono_us: int) -> int:
        """For how long nothing came (`mono_us`: the server's monotonic clock)."""
        if self.is_fed:
            self.is_fed, self.heard_us = False, mono_us
        return mono_us - self.heard_us

    def advance(self, quiet_us: int) -> list[Found]:
        """Nothing came for so long: the vehicle is silent."""
        if self._engine is None or self._engine.now_us == NO_TIME:
            return []
        return self._found(self._engine.advance(self._engine.now_us + quiet_us))

    def close(self) -> list[Found]:
        """Nothing follows: what is on ends."""
        if self._engine is not None:
            return self._found(self._engine.close())
        saved, self.saved = self.saved, None
        return [] if saved is None else [_ended(one) for one in _active(saved)]

    def worst(self) -> dict[str, float]:
        """The worst value so far of each rule whose alarm is on."""
        if self._engine is None:
            return {}
        return {self._engine.rules[number].id: self._engine.worst[number] for number in self._engine.active}

    def state(self) -> dict[str, Any]:
        """What a later process needs to go on."""
        if self._engine is None:
            return self.saved or {}
        return {
            "epoch": self.epoch.hex(),
            "offset_us": self.offset_us,
            "next_seq": self.next_seq,
            "engine": engine_state(self._engine),
        }

    def around(self, channels: Sequence[str], epoch: bytes, t_us: tuple[int, int]) -> dict[str, Kept]:
        """The samples at hand of these channels with t_us[0] <= t < t_us[1]."""
        within = [
            one for one in self._recent if one.epoch == epoch and one.t_from_us < t_us[1] and one.t_to_us >= t_us[0]
        ]
        out: dict[str, list[Kept]] = {}
        for _, group in groupby(within, key=lambda one: id(one.decoder)):
            for name, (times, values) in _columns(list(group), channels):
                inside = (times >= t_us[0]) & (times < t_us[1])
                out.setdefault(name, []).append((times[inside], values[inside]))
        return {
            name: (np.concatenate([one[0] for one in parts]), np.concatenate([one[1] for one in parts]))
            for name, parts in out.items()
        }

    def reached_us(self, epoch: bytes) -> int:
        """The newest time of an epoch that is at hand."""
        return max((one.t_to_us for one in self._recent if one.epoch == epoch), default=NO_TIME)

    def _begin(self, taken: Taken, first_seq: int, last_seq: int) -> list[Found]:
        """Another epoch, and of late data another place, begins anew."""
        found: list[Found] = []
        epoch = taken.record.epoch
        if self._engine is not None and epoch != self.epoch:
            if self.with_silence:
                self._engine.rebase()
            else:
                found = self.close()
        elif self._engine is not None and not self.with_silence and first_seq != self.next_seq:
            found = self.close()
        if taken.clock.source is not None or epoch != self.epoch:
            self.offset_us = taken.clock.offset_us
        self.epoch, self.next_seq = epoch, last_seq + 1
        self.is_fed = True
        return found

    def _rebuild(self, rules: Sequence[Rule], channels: tuple[Channel, ...]) -> list[Found]:
        """A new engine that goes on where the old one is."""
        before, self.rules, self._channels = self._engine, rules, channels
        state = None if before is None else self.state()
        if self.saved is not None:
            state, self.saved = self.saved, None
        if self._is_of_samples:  # they say nothing of the silence of the car
            rules = [rule for rule in rules if rule.kind != "no_data" or rule.channel]
        self._engine = Engine(rules, channels, self._aliases, with_silence=self.with_silence)
        if not state:
            return []
        ended = restore(self._engine, state["engine"])
        if state["epoch"] != self.epoch.hex():
            self._engine.rebase()
        return [_ended(one) for one in _active(state) if one["engine_rule"]["id"] in ended]

    def _keep(self, recent: _Recent) -> None:
        self._recent.append(recent)
        keep_us = min(recent.t_to_us - 2 * AROUND_US, self.hold_from_us)
        while self._recent[0].epoch == recent.epoch and self._recent[0].t_to_us < keep_us:
            self._recent.popleft()

    def _took(self, t_us: "np.ndarray[Any, np.dtype[np.int64]]", columns: Columns) -> list[Found]:
        assert self._engine is not None
        return self._found(self._engine.take(t_us, columns))

    def _found(self, changes: Sequence[Change]) -> list[Found]:
        assert self._engine is not None
        rules = self._engine.rules
        out = []
        for one in changes:
            rule = rules[one.rule]
            unit = next((channel.unit for channel in self._channels if channel.name == rule.channel), "")
            out.append(Found(one, rule, self._engine.inputs_of(one.rule), unit, self.epoch, self.offset_us))
        return out


def _active(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The rules of a saved state whose alarm is on."""
    return [
        {"engine_rule": one["rule"], "worst": one["worst"], **state}
        for one in state.get("engine", {}).get("rules", {}).values()
        if one["life"][0] >= Phase.ACTIVE
    ]


def _ended(one: dict[str, Any]) -> Found:
    now_us = max(0, int(one["engine"]["now_us"]))
    change = Change(-1, False, now_us, float("nan"), one["worst"])
    return Found(change, rule_from(one["engine_rule"]), [], "", bytes.fromhex(one["epoch"]), one["offset_us"])


def _channel(of: SampleChannel) -> Channel:
    return Channel(of.name, of.unit, of.kind, None, "", of.name, 0, False)


def _columns(group: Sequence[_Recent], channels: Sequence[str]) -> list[tuple[str, Kept]]:
    """The samples of channels in recent frames of one decoder, or in recent samples."""
    decoder = group[0].decoder
    if decoder is None:
        return [pair for one in group if one.samples is not None for pair in _sample_columns(one.samples, channels)]
    numbers = decoder.dbc_set.numbers
    found = [(name, numbers[name]) for name in channels if name in numbers]
    wanted = np.zeros(len(decoder.channels), np.bool_)
    wanted[[number for _, number in found]] = True
    frames = FrameColumns.concatenate([one.frames for one in group if one.frames is not None])
    decoded = decoder.decode(frames, wanted)
    return [(name, decoded.column(number)) for name, number in found]


def _sample_columns(batch: SampleBatch, channels: Sequence[str]) -> list[tuple[str, Kept]]:
    names = {channel.name: number for number, channel in enumerate(batch.channels)}
    picked = [(name, batch.samples.channel == names[name]) for name in channels if name in names]
    return [(name, (batch.samples.t_us[mask], batch.samples.value[mask])) for name, mask in picked]
