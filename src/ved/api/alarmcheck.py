"""Would it have fired? Alarm rules over stored frames, by the state machine that runs live."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.analysis.alarms.engine import Engine
from ved.analysis.alarms.life import Change
from ved.analysis.alarms.look import Columns
from ved.analysis.alarms.saving import engine_state, restore
from ved.api.framekeys import frame_key
from ved.api.history import all_of
from ved.api.parts import Part
from ved.lake.lake import Lake
from ved.lake.reading import FrameKey, Where
from ved.model.alarmrule import Rule

_WINDOW_US: Final = 600_000_000


@dataclass(frozen=True, slots=True)
class CheckedAlarm:
    """An alarm that the rule would have raised; `utc_cleared_us` None: it held until the end."""

    rule: Rule
    epoch: bytes
    t_raised_us: int
    utc_raised_us: int
    utc_cleared_us: int | None
    value: float
    worst: float


@dataclass(frozen=True, slots=True)
class AlarmCheck:
    """The alarms by begin, why rules did not look (id -> one line), and how many frames were read."""

    alarms: tuple[CheckedAlarm, ...]
    idle: dict[str, str]
    frames: int


def check_parts(lake: Lake, parts: Sequence[Part], rules: Sequence[Rule]) -> AlarmCheck:
    """The rules over the frames of a session's parts. Rules over samples that never were frames do not look."""
    checking = _Checking(lake)
    whole = {rule.id: "silence of the whole car is told live alone" for rule in rules if _is_of_whole_car(rule)}
    frames = 0
    for part in parts:
        if not part.samples:
            frames += checking.run(part, [rule for rule in rules if rule.id not in whole])
    idle = {} if checking.engine is None else checking.engine.idle
    return AlarmCheck(tuple(sorted(checking.found(), key=lambda one: one.utc_raised_us)), whole | idle, frames)


def _is_of_whole_car(rule: Rule) -> bool:
    return rule.kind == "no_data" and not rule.channel and rule.is_enabled


class _Checking:
    def __init__(self, lake: Lake) -> None:
        self.engine: Engine | None = None
        self._lake = lake
        self._part: Part | None = None
        self._held: dict[str, CheckedAlarm] = {}
        self._over: list[CheckedAlarm] = []

    def found(self) -> list[CheckedAlarm]:
        return [*self._over, *self._held.values()]

    def run(self, part: Part, rules: Sequence[Rule]) -> int:
        """One part; an alarm that is on goes on over the border."""
        engine = self._engine(part, rules)
        keys, wanted = _wanted(engine, part)
        frames = 0
        if keys is None or keys:
            for at_us in range(part.t_from_us, part.t_to_us + 1, _WINDOW_US):
                to_us = min(at_us + _WINDOW_US, part.t_to_us + 1)
                rows = self._lake.rows(part.vehicle, part.epoch, Where(keys=keys, t_from_us=at_us, t_to_us=to_us))
                if len(rows):
                    frames += len(rows)
                    decoded = part.decoder.decode(rows.frames, wanted)
                    columns = Columns(decoded.starts, decoded.values, decoded.rows)
                    self._note(part, engine.take(rows.frames.t_us, columns))
        self._note(part, engine.finish(part.t_to_us + 1))
        return frames

    def _engine(self, part: Part, rules: Sequence[Rule]) -> Engine:
        before = self.engine
        if before is not None and self._part is not None and before.looker.names == _names(part):
            if part.epoch != self._part.epoch:
                before.rebase()
        else:
            self.engine = Engine(rules, part.decoder.channels, part.aliases)
            if before is not None and self._part is not None:
                restore(self.engine, engine_state(before))
                if part.epoch != self._part.epoch:
                    self.engine.rebase()
        self._part = part
        assert self.engine is not None
        return self.engine

    def _note(self, part: Part, changes: Sequence[Change]) -> None:
        assert self.engine is not None
        for change in changes:
            rule = self.engine.rules[change.rule]
            utc_us = change.t_us + part.clock.offset_us
            if change.is_raised:
                self._held[rule.id] = CheckedAlarm(
                    rule, part.epoch, change.t_us, utc_us, None, change.value, change.worst
                )
            elif rule.id in self._held:
                known = self._held.pop(rule.id)
                self._over.append(
                    CheckedAlarm(
                        rule, known.epoch, known.t_raised_us, known.utc_raised_us, utc_us, known.value, change.worst
                    )
                )


def _names(part: Part) -> list[str]:
    return [channel.name for channel in part.decoder.channels]


def _wanted(
    engine: Engine, part: Part
) -> "tuple[tuple[FrameKey, ...] | None, np.ndarray[tuple[int], np.dtype[np.bool_]]]":
    """What to read, and which channels to decode."""
    wanted = np.zeros(len(part.decoder.channels), np.bool_)
    wanted[sorted(engine.looker.used)] = True
    keys = {frame_key(part.decoder, number) for number in engine.looker.used}
    return all_of(keys), wanted
