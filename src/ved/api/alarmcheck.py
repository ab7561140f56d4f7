"""Would it have fired? Alarm rules over stored frames and samples, by the state machine that runs live."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ved.analysis.alarms.engine import Engine
from ved.analysis.alarms.life import Change
from ved.analysis.alarms.saving import engine_state, restore
from ved.analysis.sessions import GAP_US
from ved.api.alarmreading import Block, FrameBlocks, sample_blocks
from ved.api.parts import Part
from ved.api.samples import channel_of
from ved.lake.lake import Lake
from ved.model.alarmrule import Rule
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.channel import Channel


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
    """The alarms by begin, why rules did not look (id -> one line), and how many frames and samples were looked at."""

    alarms: tuple[CheckedAlarm, ...]
    idle: dict[str, str]
    frames: int


def check_parts(lake: Lake, parts: Sequence[Part], rules: Sequence[Rule]) -> AlarmCheck:
    """The rules over all frames and samples of a session's parts."""
    of_frames = [part for part in parts if not part.samples]
    checks = [_check_frames(lake, of_frames, rules)] if of_frames else []
    end_us = max((part.utc_to_us for part in parts), default=0)
    with_channel = [rule for rule in rules if not _is_of_whole_car(rule)]
    checks += [
        _check_samples(lake, part, with_channel, is_over=end_us - part.utc_to_us > GAP_US)
        for part in parts
        if part.samples
    ]
    alarms = sorted((one for check in checks for one in check.found()), key=lambda one: one.utc_raised_us)
    looking = {rule.id for check in checks for rule in check.rules}
    why = {rule: line for check in reversed(checks) for rule, line in check.idle.items() if rule not in looking}
    return AlarmCheck(tuple(alarms), why, sum(check.frames for check in checks))


def _check_frames(lake: Lake, parts: Sequence[Part], rules: Sequence[Rule]) -> "_Checking":
    """One part after the other; an alarm that is on goes on over the border."""
    checking = _Checking(rules)
    for part in parts:
        engine = checking.begin(part, part.decoder.channels, part.aliases)
        engine.begin(part.t_from_us)
        spans = [rule.for_ms * 1000 for rule in engine.rules if _is_of_whole_car(rule)]
        blocks = FrameBlocks(lake, part, frozenset(engine.looker.used), min(spans, default=0))
        checking.take(blocks)
    return checking


def _check_samples(lake: Lake, part: Part, rules: Sequence[Rule], *, is_over: bool) -> "_Checking":
    checking = _Checking(rules)
    channels = tuple(channel_of(one) for one in part.samples)
    engine = checking.begin(part, channels, NO_ALIASES)
    checking.take(sample_blocks(lake, part, channels, frozenset(engine.looker.used)))
    if is_over:
        checking.close()
    return checking


def _is_of_whole_car(rule: Rule) -> bool:
    return rule.kind == "no_data" and not rule.channel


def _read_ahead(blocks: Iterable[Block]) -> Iterator[Block]:
    """While the rules look at one block, the next is read and decoded."""
    rest = iter(blocks)
    with ThreadPoolExecutor(1, "alarm-reading") as reader:
        coming = reader.submit(next, rest, None)
        while (block := coming.result()) is not None:
            coming = reader.submit(next, rest, None)
            yield block


class _Checking:
    """One engine, and what it found."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.frames = 0
        self._asked = rules
        self._engine: Engine | None = None
        self._part: Part | None = None
        self._held: dict[str, CheckedAlarm] = {}
        self._over: list[CheckedAlarm] = []

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those that look."""
        return () if self._engine is None else self._engine.rules

    @property
    def idle(self) -> dict[str, str]:
        """Why the others do not."""
        return {} if self._engine is None else self._engine.idle

    def found(self) -> list[CheckedAlarm]:
        """All alarms so far."""
        return [*self._over, *self._held.values()]

    def begin(self, part: Part, channels: Sequence[Channel], aliases: Aliases) -> Engine:
        """Go on with this part."""
        before, last = self._engine, self._part
        if before is None or last is None:
            engine = Engine(self._asked, channels, aliases)
        else:
            if part.epoch != last.epoch:
                # The server's clock tells the silence between two lives of the agent.
                self._note(before.advance(part.utc_from_us - last.clock.offset_us))
            engine = before
            if [channel.name for channel in channels] != before.looker.names:
                engine = Engine(self._asked, channels, aliases)
                restore(engine, engine_state(before))
            if part.epoch != last.epoch:
                engine.rebase()
        self._engine, self._part = engine, part
        return engine

    def take(self, blocks: Iterable[Block]) -> None:
        """All of the part."""
        assert self._engine is not None
        assert self._part is not None
        for block in _read_ahead(blocks):
            self.frames += block.frames
            self._note(self._engine.take_long(block.pieces, block.heard))
        self._note(self._engine.finish(self._part.t_to_us + 1))

    def close(self) -> None:
        """Nothing follows."""
        assert self._engine is not None
        self._note(self._engine.close())

    def _note(self, changes: Sequence[Change]) -> None:
        assert self._engine is not None
        assert self._part is not None
        for change in changes:
            rule = self._engine.rules[change.rule]
            utc_us = change.t_us + self._part.clock.offset_us
            if change.is_raised:
                self._held[rule.id] = CheckedAlarm(
                    rule, self._part.epoch, change.t_us, utc_us, None, change.value, change.worst
                )
            elif rule.id in self._held:
                known = self._held.pop(rule.id)
                self._over.append(replace(known, utc_cleared_us=utc_us, worst=change.worst))
