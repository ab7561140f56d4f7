"""The functions and operators of expressions that work sample by sample, on columns. NaN is "not known"."""

from collections.abc import Callable
from functools import reduce
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
UnitRule = Literal[
    "same", "compare", "logic", "if", "product", "power", "keep", "count", "root", "number", "angle", "turn"
]


class Function(NamedTuple):
    """What is computed; how many arguments it takes (`most` None: as many as you like); how units go through it."""

    compute: Callable[..., Any]
    least: int
    most: int | None
    rule: UnitRule


def _known(result: Any, *inputs: Column) -> Column:
    """`result` as 0 and 1, NaN where an input is."""
    unknown = reduce(np.logical_or, [np.isnan(one) for one in inputs])
    return np.where(unknown, np.nan, np.asarray(result, np.float64))


def _and(left: Column, right: Column) -> Column:
    """False wins over not known."""
    return np.where((left == 0) | (right == 0), 0.0, _known(True, left, right))


def _or(left: Column, right: Column) -> Column:
    """True wins over not known."""
    is_true = ((left != 0) & ~np.isnan(left)) | ((right != 0) & ~np.isnan(right))
    return np.where(is_true, 1.0, _known(False, left, right))


def _if(condition: Column, then: Column, otherwise: Column) -> Column:
    return np.where(np.isnan(condition), np.nan, np.where(condition != 0, then, otherwise))


def _least(*values: Column) -> Column:
    out: Column = np.minimum.reduce(np.broadcast_arrays(*values))
    return out


def _most(*values: Column) -> Column:
    out: Column = np.maximum.reduce(np.broadcast_arrays(*values))
    return out


FUNCTIONS: Final[dict[str, Function]] = {
    "+": Function(np.add, 2, 2, "same"),
    "-": Function(np.subtract, 2, 2, "same"),
    "*": Function(np.multiply, 2, 2, "product"),
    "/": Function(np.divide, 2, 2, "product"),
    "%": Function(np.mod, 2, 2, "same"),
    "**": Function(np.power, 2, 2, "power"),
    "neg": Function(np.negative, 1, 1, "keep"),
    "<": Function(lambda a, b: _known(a < b, a, b), 2, 2, "compare"),
    "<=": Function(lambda a, b: _known(a <= b, a, b), 2, 2, "compare"),
    ">": Function(lambda a, b: _known(a > b, a, b), 2, 2, "compare"),
    ">=": Function(lambda a, b: _known(a >= b, a, b), 2, 2, "compare"),
    "==": Function(lambda a, b: _known(a == b, a, b), 2, 2, "compare"),
    "!=": Function(lambda a, b: _known(a != b, a, b), 2, 2, "compare"),
    "and": Function(_and, 2, 2, "logic"),
    "or": Function(_or, 2, 2, "logic"),
    "not": Function(lambda a: _known(a == 0, a), 1, 1, "logic"),
    "if": Function(_if, 3, 3, "if"),
    "known": Function(lambda a: np.where(np.isnan(a), 0.0, 1.0), 1, 1, "count"),
    "fallback": Function(lambda a, b: np.where(np.isnan(a), b, a), 2, 2, "same"),
    "min": Function(_least, 2, None, "same"),
    "max": Function(_most, 2, None, "same"),
    "clamp": Function(lambda x, low, high: np.minimum(np.maximum(x, low), high), 3, 3, "same"),
    "hypot": Function(np.hypot, 2, 2, "same"),
    "abs": Function(np.abs, 1, 1, "keep"),
    "round": Function(np.round, 1, 1, "keep"),
    "floor": Function(np.floor, 1, 1, "keep"),
    "ceil": Function(np.ceil, 1, 1, "keep"),
    "sign": Function(np.sign, 1, 1, "count"),
    "sqrt": Function(np.sqrt, 1, 1, "root"),
    "exp": Function(np.exp, 1, 1, "number"),
    "ln": Function(np.log, 1, 1, "number"),
    "log10": Function(np.log10, 1, 1, "number"),
    "sin": Function(np.sin, 1, 1, "number"),
    "cos": Function(np.cos, 1, 1, "number"),
    "tan": Function(np.tan, 1, 1, "number"),
    "asin": Function(np.arcsin, 1, 1, "angle"),
    "acos": Function(np.arccos, 1, 1, "angle"),
    "atan": Function(np.arctan, 1, 1, "angle"),
    "atan2": Function(np.arctan2, 2, 2, "turn"),
}


class RunningFunction(NamedTuple):
    """A function with a memory: whether it takes a time as second argument, and what it does to the unit.

    `times_s`: the power of seconds that the result's unit gains.
    """

    has_window: bool = False
    needs_laps: bool = False
    times_s: int = 0
    unit: Literal["keep", "seconds", "none"] = "keep"
    forgets: bool = True
    """False: the result depends on all samples since the start of the session."""


RUNNING: Final[dict[str, RunningFunction]] = {
    "derivative": RunningFunction(times_s=-1),
    "integral": RunningFunction(times_s=1, forgets=False),
    "average": RunningFunction(has_window=True),
    "lag": RunningFunction(has_window=True),
    "lap_integral": RunningFunction(needs_laps=True, times_s=1, forgets=False),
    "lap_min": RunningFunction(needs_laps=True, forgets=False),
    "lap_max": RunningFunction(needs_laps=True, forgets=False),
    "lap_mean": RunningFunction(needs_laps=True, forgets=False),
    "last_lap": RunningFunction(needs_laps=True, forgets=False),
    "lap_time": RunningFunction(needs_laps=True, unit="seconds", forgets=False),
    "lap_number": RunningFunction(needs_laps=True, unit="none", forgets=False),
}
