"""Many rules over the frames of one vehicle: one state machine, live and over the lake, in any cuts."""

from collections.abc import Sequence
from math import isnan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.analysis.alarms.batches import Batch, Columns, LongBatch, Piece, make_batch
from ved.analysis.alarms.binding import NO_GUARD, bind
from ved.analysis.alarms.conditions import NO_TIME
from ved.analysis.alarms.life import Change, Life, Turn
from ved.analysis.alarms.look import Looker, Steps
from ved.model.alarmrule import Rule, rule_values
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.channel import Channel

_WORSE: Final[dict[str, np.ufunc]] = {"above": np.fmax, "below": np.fmin}


class Engine:
    """The rules of one vehicle under one set of channels.

    `take` the frames in order; what happens does not depend on how they are cut. Time is that of the frames, in µs.
    A rule may name a channel as it was called before (`aliases`). Rules that are switched off, or whose channels nobody
    knows, do nothing; `idle` says why (id -> one line).
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        channels: Sequence[Channel],
        aliases: Aliases = NO_ALIASES,
        *,
        with_silence: bool = True,
    ) -> None:
        bound = bind(rules, channels, aliases, with_silence=with_silence)
        self.rules = tuple(one.rule for one in bound.rules)
        self.values = tuple(rule_values(rule) for rule in self.rules)
        """The rules as plain values."""
        self.idle = bound.idle
        self.now_us = NO_TIME
        self.lives = [Life(one.on_delay_ms * 1000, one.off_delay_ms * 1000) for one in self.rules]
        self.worst = [float("nan")] * len(self.rules)
        self.looker = Looker(bound.conditions, channels, [one.parts for one in bound.rules])
        self.bound = bound.rules
        self._inputs = [bound.conditions[one.condition].inputs for one in bound.rules]
        self._rules_of: dict[int, list[int]] = {}
        for number, one in enumerate(bound.rules):
            for part in one.parts:
                self._rules_of.setdefault(part, []).append(number)

    @property
    def active(self) -> list[int]:
        """Numbers of the rules whose alarm is on."""
        return [number for number, life in enumerate(self.lives) if life.is_active]

    def inputs_of(self, number: int) -> list[str]:
        """The channels that a rule looks at, those of its guard last."""
        channels = [at for part in self.bound[number].parts for at in self.looker.conditions[part].inputs]
        return list(dict.fromkeys(self.looker.names[at] for at in channels))

    def take(self, t_us: NDArray[np.int64], columns: Columns) -> list[Change]:
        """Fold the next frames in (`t_us` i64[n]: their times); what happened, in order of time."""
        return self._take(make_batch(t_us, columns, self.now_us, is_end=False)) if len(t_us) else []

    def begin(self, t_us: int) -> None:
        """The first frame came at this time; else the first that is taken counts as that."""
        if self.looker.start_us == NO_TIME:
            self.looker.start_us = t_us

    def take_long(self, pieces: Sequence[Piece], heard: tuple[NDArray[np.int64], NDArray[np.int64]]) -> list[Change]:
        """As `take`, many frames at once as a store gives them; `pieces` or `heard` hold something. See LongBatch."""
        return self._take(LongBatch(pieces, self.now_us, heard, len(self.looker.last_us)))

    def advance(self, t_us: int) -> list[Change]:
        """No frame came until `t_us` (by another clock): the vehicle is silent. Other delays wait for frames."""
        changes: list[Change] = []
        for at, begins_us in self.looker.silent(t_us).items():
            self.now_us = max(self.now_us, begins_us)
            for number in self._rules_of[at]:
                bound = self.bound[number]
                if bound.guard == NO_GUARD or self.looker.memory.is_on[bound.guard]:
                    self._note(number, self.lives[number].turn(begins_us, is_true=True), self._last(number), changes)
        for number, rule in enumerate(self.rules):
            life = self.lives[number]
            is_of_vehicle = rule.kind == "no_data" and not rule.channel
            if is_of_vehicle and life.is_true and life.deadline_us <= t_us:
                self.now_us = max(self.now_us, life.deadline_us)
                self._note(number, life.fire(t_us), self._last(number), changes)
        return sorted(changes, key=_by_time)

    def finish(self, t_us: int) -> list[Change]:
        """All frames before `t_us` were given: delays that end by then do so. Alarms that are on stay on."""
        nothing = np.empty(0)
        starts = np.zeros(len(self.looker.last_us) + 1, np.int64)
        columns = Columns(starts, nothing, nothing.astype(np.int64))
        return self._take(make_batch(np.array([t_us]), columns, self.now_us, is_end=True))

    def close(self) -> list[Change]:
        """Nothing follows: the alarms that are on end at the newest time, and all memory goes."""
        changes: list[Change] = []
        for number in self.active:
            self._note(number, Turn(False, self.now_us), self._last(number), changes)
        for life in self.lives:
            life.forget()
        self.rebase()
        return changes

    def rebase(self) -> None:
        """Another time base begins (a new epoch): alarms that are on stay so until a sample says otherwise."""
        kept = {part for number in self.active for part in self.bound[number].parts}
        for life in self.lives:
            life.rebase()
        self.looker.rebase(kept)
        self.now_us = NO_TIME

    def _take(self, batch: Batch) -> list[Change]:
        found = self.looker.look(batch)
        due = {number for at in found for number in self._rules_of[at]}
        changes: list[Change] = []
        now_us = batch.now_us
        for number, life in enumerate(self.lives):
            if number in due or life.deadline_us <= now_us:
                self._walk(number, batch, found, changes)
            elif life.is_true:
                self._worsen(number, batch, -2, batch.end_key)
        self.looker.note(batch)
        self.now_us = now_us
        return sorted(changes, key=_by_time)

    def _walk(self, number: int, batch: Batch, found: dict[int, Steps], changes: list[Change]) -> None:
        """One rule through one batch."""
        life = self.lives[number]
        keys, times, becomes = self._combined(number, found)
        from_key = -2
        for key, t_us, is_true in zip(keys, times, becomes, strict=True):
            self._fire(number, t_us, batch, changes)
            if life.is_true:
                self._worsen(number, batch, from_key, key)
            if is_true and not life.is_active:
                self.worst[number] = float("nan")
            from_key = key
            turn = life.turn(t_us, is_true=is_true)
            if turn is not None:
                self._note(number, turn, self._value_at(number, batch, key), changes)
        if life.is_true:
            self._worsen(number, batch, from_key, batch.end_key)
        self._fire(number, batch.now_us, batch, changes)

    def _combined(self, number: int, found: dict[int, Steps]) -> tuple[list[int], list[int], list[bool]]:
        """Where condition and guard together become true and false: keys, times, what they become."""
        bound = self.bound[number]
        parts = [found.get(part) for part in bound.parts]
        stepping = [steps for steps in parts if steps is not None]
        if not stepping:
            return [], [], []
        if len(parts) == 1:
            keys, t_us, becomes = stepping[0]
            return keys.tolist(), t_us.tolist(), becomes.tolist()
        keys = stepping[0].keys
        t_us = stepping[0].t_us
        if len(stepping) > 1:
            keys, first = np.unique(np.concatenate([one.keys for one in stepping]), return_index=True)
            t_us = np.concatenate([one.t_us for one in stepping])[first]
        both = np.ones(len(keys), np.bool_)
        for part, steps in zip(bound.parts, parts, strict=True):
            both &= self.looker.memory.is_on[part] if steps is None else _held(steps, keys)
        before = np.append(self.lives[number].is_true, both[:-1])
        at = both != before
        return keys[at].tolist(), t_us[at].tolist(), both[at].tolist()

    def _fire(self, number: int, t_us: int, batch: Batch, changes: list[Change]) -> None:
        turn = self.lives[number].fire(t_us)
        if turn is not None:
            key = batch.key_at(np.array([turn.t_us]), "left", self._inputs[number])
            self._note(number, turn, self._value_at(number, batch, int(key[0])), changes)

    def _note(self, number: int, turn: Turn | None, value: float, changes: list[Change]) -> None:
        if turn is None:
            return
        if turn.is_raised and isnan(self.worst[number]):
            self.worst[number] = value
        changes.append(Change(number, turn.is_raised, turn.t_us, value, self.worst[number]))

    def _value_at(self, number: int, batch: Batch, key: int) -> float:
        """The channel's value in force at a place in the batch; NaN for an expression."""
        if len(self._inputs[number]) != 1 or self.rules[number].kind == "expression":
            return float("nan")
        rows, _, values = batch.of(self._inputs[number][0])
        at = int(np.searchsorted(rows, key // 2, "right")) - 1
        return float(values[at]) if at >= 0 else self._last(number)

    def _last(self, number: int) -> float:
        inputs = self._inputs[number]
        if len(inputs) != 1 or self.rules[number].kind == "expression":
            return float("nan")
        return float(self.looker.last_value[inputs[0]])

    def _worsen(self, number: int, batch: Batch, from_key: int, to_key: int) -> None:
        """Take the samples of a stretch in which the rule is true into its worst value."""
        worse = _WORSE.get(self.rules[number].kind)
        if worse is None:
            return
        channel = self._inputs[number][0]
        if from_key < 0 and to_key >= batch.end_key:
            if not batch.counts[channel]:
                return
            extreme = float(batch.high[channel] if worse is np.fmax else batch.low[channel])
        else:
            rows, _, values = batch.of(channel)
            first, end = np.searchsorted(rows, ((from_key + 1) // 2, (to_key + 1) // 2), "left").tolist()
            if first >= end:
                return
            extreme = float(worse.reduce(values[first:end]))
        self.worst[number] = float(worse(self.worst[number], extreme))


def _held(steps: Steps, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """What the condition is after each of `keys`; before its first step it was the opposite of what that makes it."""
    at = np.searchsorted(steps.keys, keys, "right") - 1
    out: NDArray[np.bool_] = np.where(at >= 0, steps.becomes[np.maximum(at, 0)], ~steps.becomes[0])
    return out


def _by_time(change: Change) -> int:
    return change.t_us
