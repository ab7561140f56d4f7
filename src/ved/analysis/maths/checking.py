"""Syntax tree -> typed tree: channels found, units and conditions checked, units converted, constants computed."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final, NoReturn

import numpy as np

from ved.analysis.maths.functions import FUNCTIONS, RUNNING, Function, UnitRule
from ved.analysis.maths.syntax import Call, ExpressionError, Name, Number, Syntax
from ved.analysis.maths.units import Unit, described, parse_unit, product
from ved.analysis.naming import find_channels
from ved.errors import UserError
from ved.model.aliases import Aliases
from ved.model.channel import Channel, ChannelKind

LONGEST_WINDOW_US: Final = 600_000_000
_SECOND: Final = parse_unit("s")
_RADIAN: Final = parse_unit("rad")
_STEPS: Final = frozenset({"floor", "ceil", "round", "sign", "known", "not"})


@dataclass(frozen=True, slots=True)
class Const:
    """A number, known before any sample."""

    value: float
    unit: Unit | None = None
    kind: ChannelKind = "discrete"
    is_condition: bool = False


@dataclass(frozen=True, slots=True)
class Input:
    """The samples of a channel, by its full name."""

    channel: str
    unit: Unit | None
    kind: ChannelKind
    is_condition: bool = False


@dataclass(frozen=True, slots=True)
class Apply:
    """A function of FUNCTIONS, sample by sample."""

    function: str
    arguments: tuple["Typed", ...]
    unit: Unit | None
    kind: ChannelKind
    is_condition: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """A function of RUNNING over the samples of its argument."""

    function: str
    argument: "Typed"
    window_us: int
    unit: Unit | None
    kind: ChannelKind
    is_condition: bool = field(default=False, init=False)


Typed = Const | Input | Apply | Running


def check(tree: Syntax, channels: Sequence[Channel], aliases: Aliases) -> Typed:
    """The typed tree; units of values are those in `unit`. Raises ExpressionError."""
    typed = _Checker(channels, aliases).typed(tree)
    if isinstance(typed, Const):
        raise ExpressionError(tree.at, "expected a channel somewhere; a number alone has no samples")
    return typed


def converted(typed: Typed, unit: Unit | None) -> Typed:
    """The same in another unit of the same measure; None: as a pure number."""
    was = typed.unit
    from_factor, from_offset = (was.factor, was.offset) if was else (1.0, 0.0)
    to_factor, to_offset = (unit.factor, unit.offset) if unit else (1.0, 0.0)
    scale, shift = from_factor / to_factor, (from_offset - to_offset) / to_factor
    out = typed
    if scale != 1.0:
        out = _applied("*", (out, Const(scale)), unit)
    if shift != 0.0:
        out = _applied("+", (out, Const(shift)), unit)
    return out if unit == out.unit else replace(out, unit=unit)


def _applied(function: str, arguments: tuple[Typed, ...], unit: Unit | None, *, is_condition: bool = False) -> Typed:
    is_discrete = is_condition or function in _STEPS or all(one.kind == "discrete" for one in arguments)
    kind: ChannelKind = "discrete" if is_discrete else "continuous"
    if all(isinstance(one, Const) for one in arguments):
        numbers = [np.float64(one.value) for one in arguments if isinstance(one, Const)]
        with np.errstate(all="ignore"):
            return Const(float(FUNCTIONS[function].compute(*numbers)), unit)
    return Apply(function, arguments, unit, kind, is_condition)


class _Checker:
    def __init__(self, channels: Sequence[Channel], aliases: Aliases) -> None:
        self._channels, self._aliases = channels, aliases

    def typed(self, tree: Syntax) -> Typed:
        if isinstance(tree, Number):
            return Const(tree.value, None if tree.unit is None else parse_unit(tree.unit))
        if isinstance(tree, Name):
            return self._input(tree)
        if tree.function in RUNNING:
            return self._running(tree)
        function = FUNCTIONS.get(tree.function)
        if function is None:
            self._unknown_function(tree)
        _check_count(tree, function)
        arguments = tuple(self.typed(one) for one in tree.arguments)
        return self._elementwise(tree, function, arguments)

    def _input(self, name: Name) -> Input:
        if not name.text.strip("*"):
            raise ExpressionError(name.at, "expected the name of a channel")
        try:
            found = list(find_channels(self._channels, [name.text], self._aliases).values())
        except UserError as error:
            raise ExpressionError(name.at, str(error)) from None
        if len(found) != 1:
            raise ExpressionError(name.at, f"channel '{name.text}': stands for {len(found)} channels; name one")
        return Input(found[0].name, parse_unit(found[0].unit), found[0].kind)

    def _unknown_function(self, tree: Call) -> NoReturn:
        known = [
            name for name in (*FUNCTIONS, *RUNNING) if name.isidentifier() and name not in ("neg", "and", "or", "not")
        ]
        close = difflib.get_close_matches(tree.function.lower(), known, 1, 0.5)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}"
        raise ExpressionError(tree.at, f"function '{tree.function}': there is none; {hint}")

    def _elementwise(self, tree: Call, function: Function, arguments: tuple[Typed, ...]) -> Typed:
        match function.rule:
            case "logic":
                for one, written in zip(arguments, tree.arguments, strict=True):
                    _need_condition(one, written)
                return _applied(tree.function, arguments, None, is_condition=True)
            case "product":
                return self._product(tree.function, *arguments)
            case "power":
                return self._power(tree, *arguments)
            case "same" | "compare" | "if" | "turn":
                return self._of_one_measure(tree, function.rule, arguments)
            case rule:
                return self._of_one_value(tree, rule, arguments[0])

    def _of_one_measure(self, tree: Call, rule: UnitRule, arguments: tuple[Typed, ...]) -> Typed:
        if rule == "if":
            _need_condition(arguments[0], tree.arguments[0])
            same = self._unified(tree, arguments[1:])
            is_condition = all(one.is_condition for one in same)
            return _applied("if", (arguments[0], *same), same[0].unit, is_condition=is_condition)
        same = self._unified(tree, arguments)
        if rule == "compare":
            return _applied(tree.function, same, None, is_condition=True)
        unit = _RADIAN if rule == "turn" else same[0].unit
        if tree.function == "-" and unit is not None and unit.offset:
            unit = Unit("K" if unit.factor == 1 else "", unit.dimension, unit.factor)
        return _applied(tree.function, same, unit)

    def _of_one_value(self, tree: Call, rule: UnitRule, value: Typed) -> Typed:
        if rule == "keep":
            return _applied(tree.function, (value,), value.unit)
        if rule == "count":
            return _applied(tree.function, (value,), None)
        if rule == "root":
            value = _absolute(value)
            unit = product(None, value.unit, Fraction(1, 2)) if value.unit else None
            return _applied(tree.function, (value,), unit)
        number = self._number(value, tree.arguments[0])
        return _applied(tree.function, (number,), _RADIAN if rule == "angle" else None)

    def _unified(self, tree: Call, arguments: tuple[Typed, ...]) -> tuple[Typed, ...]:
        """All in the unit of the first that has one; what has none takes it as it is."""
        unit = next((one.unit for one in arguments if one.unit is not None), None)
        out = []
        for one in arguments:
            if one.unit is None or unit is None:
                out.append(replace(one, unit=unit))
            elif one.unit.dimension != unit.dimension:
                raise ExpressionError(
                    tree.at, f"'{tree.function}' of {described(unit)} and {described(one.unit)}: not the same measure"
                )
            else:
                out.append(converted(one, unit))
        return tuple(out)

    def _product(self, name: str, left: Typed, right: Typed) -> Typed:
        if right.unit is None:
            return _applied(name, (left, right), left.unit)
        if left.unit is None and name == "*":
            return _applied(name, (left, right), right.unit)
        left, right = _absolute(left), _absolute(right)
        unit = product(left.unit, right.unit, Fraction(1 if name == "*" else -1))
        made = _applied(name, (left, right), unit)
        return converted(made, None) if unit.is_number else made

    def _power(self, tree: Call, base: Typed, exponent: Typed) -> Typed:
        exponent = self._number(exponent, tree.arguments[1])
        if base.unit is None or not isinstance(exponent, Const):
            return _applied("**", (self._number(base, tree.arguments[0]), exponent), None)
        base = _absolute(base)
        unit = product(None, base.unit, Fraction(exponent.value).limit_denominator(12)) if base.unit else None
        return _applied("**", (base, exponent), unit)

    def _number(self, typed: Typed, written: Syntax) -> Typed:
        """A pure number or an angle in radians."""
        if typed.unit is not None and not typed.unit.is_number:
            raise ExpressionError(written.at, f"expected a number or an angle, not {described(typed.unit)}")
        return converted(typed, None)

    def _running(self, tree: Call) -> Typed:
        about = RUNNING[tree.function]
        if len(tree.arguments) != (2 if about.has_window else 1):
            takes = "a value and a time, like (Speed, 0.5 [s])" if about.has_window else "one argument"
            raise ExpressionError(tree.at, f"{tree.function} takes {takes}, not {len(tree.arguments)} arguments")
        argument = self.typed(tree.arguments[0])
        if isinstance(argument, Const):
            raise ExpressionError(tree.arguments[0].at, f"{tree.function} needs a channel; this is a number alone")
        window_us = self._window_us(tree.arguments[1]) if about.has_window else 0
        # What begins anew with each lap jumps there: no value in between may be made up when it is resampled.
        kind: ChannelKind = "discrete" if about.needs_laps else "continuous"
        if tree.function == "lag":
            kind = argument.kind
        if about.unit != "keep":
            unit = _SECOND if about.unit == "seconds" else None
            return Running(tree.function, argument, window_us, unit, kind)
        if not about.times_s:
            return Running(tree.function, argument, window_us, argument.unit, kind)
        argument = _absolute(argument)
        unit = product(argument.unit, _SECOND, Fraction(about.times_s))
        made = Running(tree.function, argument, window_us, unit, kind)
        return converted(made, _RADIAN) if unit.is_number else made

    def _window_us(self, written: Syntax) -> int:
        window = self.typed(written)
        if not isinstance(window, Const):
            raise ExpressionError(written.at, "expected a time that does not change, like 0.5 [s]")
        if window.unit is not None and (_SECOND is None or window.unit.dimension != _SECOND.dimension):
            raise ExpressionError(written.at, f"expected a time, like 0.5 [s], not {described(window.unit)}")
        seconds = window.value * (window.unit.factor if window.unit else 1.0)
        if not 0 < seconds * 1e6 <= LONGEST_WINDOW_US:
            raise ExpressionError(written.at, f"expected a time above 0 and at most {LONGEST_WINDOW_US // 10**6} s")
        return max(1, round(seconds * 1e6))


def _absolute(typed: Typed) -> Typed:
    """For a product: %, degrees and the like as pure numbers, temperatures in kelvin."""
    unit = typed.unit
    if unit is None:
        return typed
    if unit.is_number:
        return converted(typed, None)
    return converted(typed, Unit("", unit.dimension, unit.factor)) if unit.offset else typed


def _need_condition(typed: Typed, written: Syntax) -> None:
    if not typed.is_condition and typed.kind != "discrete":
        raise ExpressionError(written.at, "expected a condition, like Speed > 5 [km/h], or a discrete channel")


def _check_count(tree: Call, function: Function) -> None:
    count = len(tree.arguments)
    if count < function.least or (function.most is not None and count > function.most):
        many = str(function.least) if function.most == function.least else f"at least {function.least}"
        raise ExpressionError(tree.at, f"{tree.function} takes {many} argument(s), not {count}")
