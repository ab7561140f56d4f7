"""The maths channels of a vehicle: compiled in the order in which they need each other, and run together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ved.analysis.maths.program import Program, State, compile_expression
from ved.analysis.maths.syntax import ExpressionError
from ved.analysis.series import Series
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.channel import Channel
from ved.model.maths import MATHS_MESSAGE, MathsDef

NO_FRAME = -1
"""What stands for an arbitration id: a maths channel comes in no frame."""


@dataclass(frozen=True, slots=True, eq=False)
class MathsSet:
    """Programs by full channel name, each after those that it needs; `errors`: why a definition gives no channel."""

    channels: tuple[Channel, ...]
    programs: Mapping[str, Program]
    errors: Mapping[str, ExpressionError]

    @staticmethod
    def build(
        definitions: Sequence[MathsDef], channels: Sequence[Channel], aliases: Aliases = NO_ALIASES
    ) -> "MathsSet":
        """Compile all over `channels` and over each other. What fails stands in `errors` and takes nothing with it."""
        taken = {one.name for one in channels}
        waiting = {one.channel: one for one in definitions if one.channel not in taken}
        errors = {
            one.name: ExpressionError(1, f"a DBC has a channel {one.channel} already; choose another name")
            for one in definitions
            if one.channel in taken
        }
        made: dict[str, Channel] = {}
        programs: dict[str, Program] = {}
        while waiting:
            late: dict[str, ExpressionError] = {}
            count = len(waiting)
            for full, one in list(waiting.items()):
                known = [*channels, *(channel for name, channel in made.items() if name != full)]
                try:
                    program = compile_expression(one.expression, known, one.unit or None, aliases)
                except ExpressionError as error:
                    late[full] = error
                    continue
                programs[full], made[full] = program, computed_channel(one.name, program, one.comment)
                del waiting[full]
            if len(waiting) == count:
                errors.update({waiting[full].name: error for full, error in late.items()})
                break
        return MathsSet(tuple(made.values()), programs, errors)

    def needs_laps(self, names: Iterable[str]) -> bool:
        """True when the values of any of `names` depend on laps."""
        return any(program.needs_laps for program in self.needed(names).values())

    def needed(self, names: Iterable[str]) -> dict[str, Program]:
        """The programs for `names` and all that they need, in order."""
        wanted = set(names)
        for full in reversed(list(self.programs)):
            if full in wanted:
                wanted.update(one for one in self.programs[full].inputs if one in self.programs)
        return {full: program for full, program in self.programs.items() if full in wanted}


class MathsRun:
    """One run of some maths channels over the data of a session, from its start (or `memory_us` before what counts)."""

    def __init__(self, maths: MathsSet, names: Iterable[str]) -> None:
        self._programs = maths.needed(names)
        self._states: dict[str, State] = {name: program.start() for name, program in self._programs.items()}
        inputs = dict.fromkeys(name for program in self._programs.values() for name in program.inputs)
        self.inputs = tuple(name for name in inputs if name not in self._programs)
        self.needs_laps = any(program.needs_laps for program in self._programs.values())
        self.memory_us = self._memory_us()

    def step(
        self, columns: Mapping[str, Series], until_us: int | None = None, laps: Series | None = None
    ) -> dict[str, Series]:
        """As `Program.evaluate`, for all; by full name."""
        out: dict[str, Series] = {}
        for name, program in self._programs.items():
            given = {
                one: out[one] if one in out else columns[one] for one in program.inputs if one in out or one in columns
            }
            out[name] = program.evaluate(given, self._states[name], until_us, laps)
        return out

    def _memory_us(self) -> int | None:
        reach: dict[str, int] = {}
        for name, program in self._programs.items():
            if program.memory_us is None:
                return None
            reach[name] = program.memory_us + max((reach.get(one, 0) for one in program.inputs), default=0)
        return max(reach.values(), default=0)


def computed_channel(name: str, program: Program, comment: str = "") -> Channel:
    """The channel that a program gives, under the full name `Maths.name`."""
    return Channel(
        name=f"{MATHS_MESSAGE}.{name}",
        unit=program.unit,
        kind=program.kind,
        bus=None,
        message=MATHS_MESSAGE,
        signal=name,
        arbitration_id=NO_FRAME,
        is_extended=False,
        comment=comment,
    )
