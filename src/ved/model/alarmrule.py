"""An alarm rule: what people write, checked. docs/spec/alarms.md says what each field means."""

import re
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import Any, Final, Literal, get_args

from ved.errors import UserError

RuleKind = Literal["above", "below", "outside", "rate", "equals", "bits", "no_data", "not_plausible", "expression"]
ID_PATTERN: Final = re.compile(r"[a-z][a-z0-9-]{0,47}")
MAX_DELAY_MS: Final = 3_600_000
MAX_VALUES: Final = 32
MAX_NUMBER: Final = 1e300
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "above": ("channel", "limit"),
    "below": ("channel", "limit"),
    "outside": ("channel", "low", "high"),
    "rate": ("channel", "limit"),
    "equals": ("channel", "values"),
    "bits": ("channel", "mask"),
    "no_data": ("for_ms",),
    "not_plausible": ("channel",),
    "expression": ("expression",),
}
_MAY: Final[dict[str, tuple[str, ...]]] = {
    "above": ("hysteresis",),
    "below": ("hysteresis",),
    "outside": ("hysteresis",),
    "rate": ("hysteresis", "over_ms"),
    "no_data": ("channel",),
    "not_plausible": ("frozen_ms",),
}
_ONLY_SOME: Final = ("channel", "limit", "low", "high", "values", "mask", "for_ms", "frozen_ms", "over_ms")
_ONLY_SOME_TOO: Final = ("hysteresis", "expression")


class Severity(IntEnum):
    """How bad it is."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


SEVERITIES: Final = {"info": Severity.INFO, "warning": Severity.WARNING, "critical": Severity.CRITICAL}


@dataclass(frozen=True, slots=True)
class Guard:
    """The rule looks only while this channel is above, below or equal to a value (exactly one of the three)."""

    channel: str
    above: float | None = None
    below: float | None = None
    equals: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one vehicle. Fields that the kind does not use keep their defaults."""

    id: str
    kind: RuleKind
    title_en: str
    title_fr: str
    severity: str = "warning"
    channel: str = ""
    limit: float | None = None
    low: float | None = None
    high: float | None = None
    hysteresis: float = 0.0
    values: tuple[float, ...] = ()
    mask: int = 0
    over_ms: int = 0
    for_ms: int = 0
    frozen_ms: int = 0
    expression: str = ""
    guard: Guard | None = None
    on_delay_ms: int = 0
    off_delay_ms: int = 500
    latch: bool = False
    is_enabled: bool = True
    source: str = ""

    @property
    def level(self) -> Severity:
        """The severity as a number."""
        return SEVERITIES[self.severity]


def rule_from(values: dict[str, Any]) -> Rule:
    """The rule that a JSON object or TOML table describes. UserError names the key and what is allowed there."""
    known = {field.name for field in fields(Rule)}
    for key in values:
        if key not in known:
            raise UserError(f"alarm rule: unknown key '{key}'; known are {', '.join(sorted(known))}")
    given = dict(values)
    for key in ("id", "kind", "title_en", "title_fr"):
        if not isinstance(given.get(key), str) or not 1 <= len(given[key]) <= 100:
            raise UserError(f"alarm rule: key '{key}' must be a text of 1 to 100 characters")
    where = f"alarm '{given['id']}'"
    if given.get("guard") is not None:
        given["guard"] = _guard(where, given["guard"])
    if "values" in given:
        given["values"] = _numbers(where, given["values"])
    rule = Rule(**given)
    _check_types(where, rule)
    _check_numbers(where, rule)
    _check_fields(where, rule)
    return rule


def rule_values(rule: Rule) -> dict[str, Any]:
    """The JSON object of a rule: what differs from the defaults."""
    defaults = Rule(rule.id, rule.kind, "", "")
    out = {
        key: value
        for key, value in asdict(rule).items()
        if key in ("id", "kind", "title_en", "title_fr", "severity") or value != getattr(defaults, key)
    }
    if rule.guard is not None:
        out["guard"] = {key: value for key, value in asdict(rule.guard).items() if value is not None}
    if rule.values:
        out["values"] = list(rule.values)
    return out


def _guard(where: str, given: object) -> Guard:
    allowed = "a table with 'channel' and one of 'above', 'below', 'equals'"
    if not isinstance(given, dict) or not set(given) <= {"channel", "above", "below", "equals"}:
        raise UserError(f"{where}: key 'guard' must be {allowed}")
    numbers = [value for key, value in given.items() if key != "channel" and value is not None]
    if not isinstance(given.get("channel"), str) or len(numbers) != 1 or not all(_is_number(one) for one in numbers):
        raise UserError(f"{where}: key 'guard' must be {allowed}")
    return Guard(**given)


def _numbers(where: str, given: object) -> tuple[float, ...]:
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MAX_VALUES or not all(map(_is_number, given)):
        raise UserError(f"{where}: key 'values' must be a list of 1 to {MAX_VALUES} numbers")
    return tuple(float(value) for value in given)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _check_types(where: str, rule: Rule) -> None:
    if not ID_PATTERN.fullmatch(rule.id):
        raise UserError(f"{where}: key 'id' must be a-z first, then a-z, 0-9 or -, at most 48 characters")
    if rule.kind not in get_args(RuleKind):
        raise UserError(f"{where}: key 'kind' must be one of {', '.join(get_args(RuleKind))}")
    if str(rule.severity) not in SEVERITIES:
        raise UserError(f"{where}: key 'severity' must be info, warning or critical")
    for key, most in (("channel", 512), ("expression", 1000), ("source", 300)):
        if not isinstance(getattr(rule, key), str) or len(getattr(rule, key)) > most:
            raise UserError(f"{where}: key '{key}' must be a text of at most {most} characters")
    for key in ("latch", "is_enabled"):
        if not isinstance(getattr(rule, key), bool):
            raise UserError(f"{where}: key '{key}' must be true or false")


def _check_numbers(where: str, rule: Rule) -> None:
    for key in ("limit", "low", "high"):
        value = getattr(rule, key)
        if value is not None and not _is_number(value):
            raise UserError(f"{where}: key '{key}' must be a number")
    if not _is_number(rule.hysteresis) or rule.hysteresis < 0:
        raise UserError(f"{where}: key 'hysteresis' must be a number from 0 on")
    for key in ("over_ms", "for_ms", "frozen_ms", "on_delay_ms", "off_delay_ms"):
        if not _is_whole(getattr(rule, key), MAX_DELAY_MS):
            raise UserError(f"{where}: key '{key}' must be a whole number of milliseconds from 0 to {MAX_DELAY_MS}")
    if not _is_whole(rule.mask, (1 << 53) - 1):
        raise UserError(f"{where}: key 'mask' must be a whole number from 0 to 2^53 - 1")


def _check_fields(where: str, rule: Rule) -> None:
    """What the kind needs is there, what it does not use is not."""
    defaults = Rule(rule.id, rule.kind, "", "")
    needed = _NEEDS[rule.kind]
    for key in (*_ONLY_SOME, *_ONLY_SOME_TOO):
        is_given = getattr(rule, key) != getattr(defaults, key)
        if key in needed and not is_given:
            raise UserError(f"{where}: kind '{rule.kind}' needs the key '{key}'")
        if is_given and key not in needed and key not in _MAY.get(rule.kind, ()):
            raise UserError(f"{where}: kind '{rule.kind}' has no key '{key}'")
    if rule.kind == "outside":
        assert rule.low is not None
        assert rule.high is not None
        if rule.low + 2 * rule.hysteresis > rule.high:
            raise UserError(f"{where}: 'low' must lie below 'high', by twice the hysteresis at least")
    if rule.kind == "rate" and rule.limit == 0:
        raise UserError(f"{where}: 'limit' of a rate is per second: above 0 for rising, below 0 for falling")
