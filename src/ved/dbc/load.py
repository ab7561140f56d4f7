"""A set of DBC files as one thing: all messages, all channels, all problems."""

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ved.dbc.definitions import MessageDef, Problem, SignalDef
from ved.dbc.names import channels_of
from ved.dbc.parse import parse_dbc
from ved.errors import UserError
from ved.model.channel import Channel

__all__ = ["DbcSet", "DbcSource", "MessageDef", "Problem", "SignalDef", "load_set"]

MAX_BUS: Final = 255


@dataclass(frozen=True, slots=True)
class DbcSource:
    """A DBC text and the bus that it describes (None: any bus that has no definition of its own for an id)."""

    bus: int | None
    bus_name: str
    name: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class DbcSet:
    """The messages in force. Channel numbers index `channels`; those of message i start at `first_channels[i]`."""

    messages: tuple[MessageDef, ...]
    channels: tuple[Channel, ...]
    first_channels: tuple[int, ...]
    problems: tuple[Problem, ...]
    digest: str
    numbers: dict[str, int]

    def channel_index(self, name: str) -> int | None:
        """The number of the channel with that name."""
        return self.numbers.get(name)

    def message_of(self, channel: int) -> MessageDef:
        """The message that the channel of this number belongs to."""
        return self.messages[bisect_right(self.first_channels, channel) - 1]


def load_set(sources: Sequence[DbcSource]) -> DbcSet:
    """Read all sources; no source at all is a set without channels.

    Faulty lines are set aside in `problems`. Where two sources of one bus define one id, the first one holds.
    Raises UserError when a text yields no message at all, or a bus is not 0 to 255.
    """
    messages: dict[tuple[int | None, int, bool], MessageDef] = {}
    problems: list[Problem] = []
    digest = hashlib.sha256()
    for source in sources:
        for part in (str(source.bus), source.bus_name, source.name, source.text):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little") + data)
        if source.bus is not None and not 0 <= source.bus <= MAX_BUS:
            raise UserError(f"{source.name}: bus {source.bus} does not exist; buses are numbered 0 to {MAX_BUS}")
        parsed = parse_dbc(source.name, source.text)
        problems += parsed.problems
        if not parsed.messages:
            raise UserError(nothing_in(source.name, parsed.problems))
        for message in parsed.messages:
            placed = replace(message, bus=source.bus, bus_name=source.bus_name, file=source.name)
            first = messages.setdefault((source.bus, placed.arbitration_id, placed.is_extended), placed)
            if first is not placed and first.signals != placed.signals:
                why = f"id {placed.arbitration_id:X} is already {first.name} of {first.file}, which stands first"
                problems.append(Problem(source.name, placed.line, placed.name, why, "duplicate-id"))
    ordered = tuple(messages.values())
    channels = channels_of(ordered)
    first_channels, number = [], 0
    for message in ordered:
        first_channels.append(number)
        number += len(message.signals)
    numbers = {channel.name: index for index, channel in enumerate(channels)}
    return DbcSet(ordered, channels, tuple(first_channels), tuple(problems), digest.hexdigest(), numbers)


def nothing_in(name: str, problems: Sequence[Problem]) -> str:
    """Why a text without a message is refused."""
    if not problems:
        return f"{name}: no CAN message in it; is it a DBC file?"
    first = problems[0]
    return f"{name}: no usable CAN message in it; line {first.line} {first.why} ({first.text[:60]!r})"
