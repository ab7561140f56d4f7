"""The [[alarm]] tables of a vehicle.toml."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ved.analysis.alarms.binding import bind
from ved.errors import UserError
from ved.model.alarmrule import Rule, rule_from
from ved.model.channel import Channel

HEALTH: Final = "health."


def read_rules(file: Path, tables: Sequence[Mapping[str, Any]], channels: Sequence[Channel]) -> tuple[Rule, ...]:
    """The rules. UserError, one line, for a wrong key, a second id, or a channel that no DBC file has."""
    rules: list[Rule] = []
    for number, table in enumerate(tables):
        try:
            rule = rule_from(dict(table))
        except UserError as error:
            raise UserError(f"{file}: 'alarm[{number}]': {error}") from None
        if rule.id in {one.id for one in rules}:
            raise UserError(f"{file}: 'alarm[{number}]': id {rule.id!r} a second time; each alarm has its own")
        rules.append(rule)
    if channels:
        for name, why in bind(rules, channels).idle.items():
            one = next(other for other in rules if other.id == name)
            if one.is_enabled and not one.channel.startswith(HEALTH):
                close = difflib.get_close_matches(one.channel, [channel.name for channel in channels], 1)
                hint = f"; did you mean {close[0]!r}?" if close and one.channel in why else ""
                raise UserError(f"{file}: alarm {name!r}: {why}{hint}")
    return tuple(rules)
