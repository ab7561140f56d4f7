"""Which channel of one DBC set is which of another: by name, else by the bits that it lies in."""

from collections.abc import Iterator
from dataclasses import dataclass

from ved.dbc.definitions import MessageDef, SignalDef
from ved.dbc.load import DbcSet

_Place = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class ChannelMatch:
    """A channel's numbers before and after (None: it is not there), and whether its values may be others."""

    before: int | None
    after: int | None
    has_other_values: bool = False


def match_channels(before: DbcSet, after: DbcSet) -> list[ChannelMatch]:
    """All channels of both sets, each once, those of `before` first.

    A channel whose name is gone is the one with a new name on the same bus, id and bits, where there is one.
    """
    old, new = list(_signals(before)), list(_signals(after))
    arrived = {
        _place(*new[number]): number
        for number, channel in enumerate(after.channels)
        if before.channel_index(channel.name) is None
    }
    matches, taken = [], set()
    for number, channel in enumerate(before.channels):
        found = after.channel_index(channel.name)
        if found is None:
            found = arrived.pop(_place(*old[number]), None)
        if found is None:
            matches.append(ChannelMatch(number, None))
            continue
        taken.add(found)
        matches.append(ChannelMatch(number, found, _values(*old[number]) != _values(*new[found])))
    matches += [ChannelMatch(None, number) for number in range(len(new)) if number not in taken]
    return matches


def find_renames(before: DbcSet, after: DbcSet) -> list[tuple[str, str]]:
    """(former name, name) of the channels that lie where one lay whose name is gone."""
    return [
        (before.channels[one.before].name, after.channels[one.after].name)
        for one in match_channels(before, after)
        if one.before is not None
        and one.after is not None
        and before.channels[one.before].name != after.channels[one.after].name
    ]


def _signals(dbc_set: DbcSet) -> Iterator[tuple[MessageDef, SignalDef]]:
    for message in dbc_set.messages:
        for signal in message.signals:
            yield message, signal


def _place(message: MessageDef, signal: SignalDef) -> _Place:
    """Where the bits lie: equal for two definitions of the same field."""
    multiplexer = None if signal.multiplexer is None else _place(message, message.signals[signal.multiplexer])[3:]
    where = (signal.first_bit, signal.length_bits, signal.is_little_endian, signal.selectors, multiplexer)
    return message.bus, message.arbitration_id, message.is_extended, *where


def _values(message: MessageDef, signal: SignalDef) -> _Place:
    """All that decides which values come out."""
    return *_place(message, signal), signal.raw_type, signal.scale, signal.offset
