"""A compiled expression: runs over columns in any cuts, with the same result (docs/spec/maths.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.analysis.maths.checking import Apply, Const, Input, Running, Typed, check, converted
from ved.analysis.maths.functions import FUNCTIONS, RUNNING
from ved.analysis.maths.running import GAP_US, Runner, make_runner
from ved.analysis.maths.syntax import ExpressionError, parse
from ved.analysis.maths.units import described, parse_unit, readable
from ved.analysis.series import END_US, NEVER_US, Column, Inbox, Series, hold, last_of
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.channel import Channel, ChannelKind

HOLD_US: Final[dict[ChannelKind, int]] = {"continuous": GAP_US, "discrete": 60_000_000}
"""How long the last value of a channel counts beside the samples of others."""


@dataclass(slots=True)
class State:
    """The memory of one run of a program."""

    inbox: Inbox = field(default_factory=Inbox)
    laps: Inbox = field(default_factory=Inbox)
    held: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    runners: dict[int, Runner] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """`inputs`: full names of the channels that it reads. `unit` and `kind`: those of its values.

    `needs_laps`: its values depend on laps. `memory_us`: how far back samples count; None: to the start of the session.
    """

    text: str
    inputs: tuple[str, ...]
    unit: str
    kind: ChannelKind
    needs_laps: bool
    memory_us: int | None
    _root: "_Node"

    def start(self) -> State:
        """A new run, at the start of a session."""
        return State()

    def evaluate(
        self, columns: Mapping[str, Column], state: State, until_us: int | None = None, laps: Series | None = None
    ) -> Series:
        """The values before `until_us` that were not given yet: i64[n] µs, f64[n].

        `columns`: the next samples of `inputs` (t_us i64[n], values f64[n]), each given once. All samples (and `laps`:
        begins of laps and their numbers) before `until_us` must have been given; later ones wait in `state`. None:
        everything is given. A sample before an earlier `until_us` comes too late and is left out.
        """
        until = END_US if until_us is None else until_us
        ready = state.inbox.take(self.inputs, columns, until)
        new_laps = state.laps.take(("laps",), {} if laps is None else {"laps": laps}, until)["laps"]
        with np.errstate(all="ignore"):
            out = self._root.step(ready, new_laps, state)
        return Series(out.t_us, np.where(np.isfinite(out.values), out.values, np.nan))


def compile_expression(
    text: str, channels: Sequence[Channel], unit: str | None = None, aliases: Aliases = NO_ALIASES
) -> Program:
    """The program of an expression over `channels`; its values in `unit` (None: as they come out).

    Raises ExpressionError, which names the position and what was expected there.
    """
    tree = parse(text)
    typed = check(tree, channels, aliases)
    wanted = parse_unit(unit or "")
    if wanted is not None and typed.unit is not None and wanted.dimension != typed.unit.dimension:
        raise ExpressionError(tree.at, f"the result is in {described(typed.unit)}, which is no measure in {unit}")
    if wanted is not None:
        is_label = typed.unit is None and not wanted.is_number
        typed = replace(typed, unit=wanted) if is_label else converted(typed, wanted)
    elif typed.unit is not None:
        typed = converted(typed, readable(typed.unit))
    builder = _Builder()
    root = builder.node(typed)
    return Program(
        text,
        tuple(builder.inputs),
        typed.unit.text if typed.unit else unit or "",
        typed.kind,
        builder.needs_laps,
        root.memory_us,
        root,
    )


class _Source:
    """A channel's own samples."""

    def __init__(self, channel: str, kind: ChannelKind) -> None:
        self.channel, self.kind = channel, kind
        self.memory_us: int | None = 0

    def step(self, ready: Mapping[str, Series], laps: Series, state: State) -> Series:  # noqa: ARG002
        return ready[self.channel]


class _Formula:
    """Sample by sample over several series: a value whenever any of them has a sample, the others held."""

    def __init__(self, number: int, sources: Sequence["_Node"], root: Typed, leaves: Mapping[Typed, int]) -> None:
        self._number, self._sources, self._root, self._leaves = number, sources, root, leaves
        self.kind = root.kind
        memories = [source.memory_us for source in sources]
        hold_us = max(HOLD_US[source.kind] for source in sources) if len(sources) > 1 else 0
        is_long = any(memory is None for memory in memories)
        self.memory_us: int | None = None if is_long else hold_us + max(memory or 0 for memory in memories)

    def step(self, ready: Mapping[str, Series], laps: Series, state: State) -> Series:
        series = [source.step(ready, laps, state) for source in self._sources]
        t_us = _all_times([one.t_us for one in series])
        columns = [one.values for one in series]
        if len(series) > 1:
            held = state.held.setdefault(self._number, [(NEVER_US, np.nan)] * len(series))
            limits = [HOLD_US[source.kind] for source in self._sources]
            columns = [hold(one, last, t_us, limit) for one, last, limit in zip(series, held, limits, strict=True)]
            state.held[self._number] = [last_of(one, last) for one, last in zip(series, held, strict=True)]
        return Series(t_us, np.broadcast_to(self._compute(self._root, columns), t_us.shape))

    def _compute(self, typed: Typed, columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        if isinstance(typed, Const):
            return np.array(typed.value)
        leaf = self._leaves.get(typed)
        if leaf is not None:
            return columns[leaf]
        assert isinstance(typed, Apply)
        arguments = [self._compute(one, columns) for one in typed.arguments]
        out: NDArray[np.float64] = FUNCTIONS[typed.function].compute(*arguments)
        return out


class _Run:
    """A function with a memory over one series."""

    def __init__(self, number: int, typed: Running, source: "_Node") -> None:
        self._number, self._typed, self._source = number, typed, source
        self.kind = typed.kind
        own_us = typed.window_us + HOLD_US[source.kind]
        is_long = source.memory_us is None or not RUNNING[typed.function].forgets
        self.memory_us: int | None = None if is_long else own_us + (source.memory_us or 0)

    def step(self, ready: Mapping[str, Series], laps: Series, state: State) -> Series:
        runner = state.runners.get(self._number)
        if runner is None:
            hold_us = HOLD_US[self._source.kind]
            runner = make_runner(self._typed.function, self._source.kind, self._typed.window_us, hold_us)
            state.runners[self._number] = runner
        series = self._source.step(ready, laps, state)
        return Series(series.t_us, runner.step(series, laps))


_Node = _Source | _Formula | _Run


class _Builder:
    def __init__(self) -> None:
        self.inputs: dict[str, None] = {}
        self.needs_laps = False
        self._count = 0

    def node(self, typed: Typed) -> _Node:
        self._count += 1
        number = self._count
        if isinstance(typed, Input):
            self.inputs[typed.channel] = None
            return _Source(typed.channel, typed.kind)
        if isinstance(typed, Running):
            self.needs_laps |= RUNNING[typed.function].needs_laps
            return _Run(number, typed, self.node(typed.argument))
        leaves: dict[Typed, int] = {}
        _find_leaves(typed, leaves)
        return _Formula(number, [self.node(leaf) for leaf in leaves], typed, leaves)


def _find_leaves(typed: Typed, leaves: dict[Typed, int]) -> None:
    if isinstance(typed, Apply):
        for argument in typed.arguments:
            _find_leaves(argument, leaves)
    elif not isinstance(typed, Const):
        leaves.setdefault(typed, len(leaves))


def _all_times(times: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    first = times[0]
    if all(len(one) == len(first) and np.array_equal(one, first) for one in times[1:]):
        return first
    return np.unique(np.concatenate(times))
