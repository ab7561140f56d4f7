"""Rules bound to the channels of a vehicle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ved.analysis.alarms.conditions import Condition, Kind, condition_of, guard_of
from ved.analysis.maths.program import compile_expression
from ved.errors import UserError
from ved.model.alarmrule import Rule
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.channel import Channel

NO_GUARD: Final = -1


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule with the numbers of its condition and of its guard's (NO_GUARD: none)."""

    rule: Rule
    condition: int
    guard: int = NO_GUARD

    @property
    def parts(self) -> tuple[int, ...]:
        """Numbers of its conditions."""
        return (self.condition,) if self.guard == NO_GUARD else (self.condition, self.guard)


@dataclass(frozen=True, slots=True)
class Bound:
    """The rules that look, all their conditions, and why other rules do not look (id -> one line)."""

    rules: tuple[BoundRule, ...]
    conditions: tuple[Condition, ...]
    idle: dict[str, str]


def bind(
    rules: Sequence[Rule], channels: Sequence[Channel], aliases: Aliases = NO_ALIASES, *, with_silence: bool = True
) -> Bound:
    """Find every rule's channels, also by former names. Without `with_silence`, rules of kind no_data stay idle."""
    numbers = aliases.extend({channel.name: number for number, channel in enumerate(channels)})
    bound: list[BoundRule] = []
    conditions: list[Condition] = []
    idle: dict[str, str] = {}
    for rule in rules:
        if not rule.is_enabled:
            idle[rule.id] = "switched off"
            continue
        if rule.kind == "no_data" and not with_silence:
            idle[rule.id] = "silence cannot be told here"
            continue
        try:
            condition, guard = _conditions(rule, channels, numbers, aliases)
        except UserError as error:
            idle[rule.id] = str(error)
            continue
        conditions.append(condition)
        at = len(conditions) - 1
        if guard is not None:
            conditions.append(guard)
        bound.append(BoundRule(rule, at, NO_GUARD if guard is None else at + 1))
    return Bound(tuple(bound), tuple(conditions), idle)


def _conditions(
    rule: Rule, channels: Sequence[Channel], numbers: dict[str, int], aliases: Aliases
) -> tuple[Condition, Condition | None]:
    if rule.kind == "expression":
        condition = _expression(rule, channels, numbers, aliases)
    else:
        found = condition_of(rule, channels, numbers)
        if found is None:
            raise UserError(f"no DBC has the channel {rule.channel}")
        condition = found
    if rule.guard is None:
        return condition, None
    guard = guard_of(rule.guard, numbers)
    if guard is None:
        raise UserError(f"no DBC has the channel {rule.guard.channel}")
    return condition, guard


def _expression(rule: Rule, channels: Sequence[Channel], numbers: dict[str, int], aliases: Aliases) -> Condition:
    program = compile_expression(rule.expression, channels, aliases=aliases)
    if program.needs_laps:
        raise UserError(f"{rule.expression}: functions of laps cannot be used in an alarm")
    return Condition(Kind.EXPRESSION, tuple(numbers[name] for name in program.inputs), program=program)
