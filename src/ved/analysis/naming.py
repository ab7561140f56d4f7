"""Which channel a person means: a full name or a unique end of one."""

import difflib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from ved.errors import UserError
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.channel import Channel
from ved.model.maths import MATHS_MESSAGE


def find_channels(
    channels: Sequence[Channel], asked: Sequence[str], aliases: Aliases = NO_ALIASES
) -> dict[str, Channel]:
    """What each of `asked` stands for, in that order.

    A name is the full one (`VehicleMotion.Speed`), one that the channel had before (`aliases`), or an end of it that
    only one channel has (`Speed`, without regard to case), and is the key as it was asked for. A pattern with `*`
    (`GpsPosition.*`) stands for all channels that fit, under their full names. UserError names the nearest, or those
    that the name could mean.
    """
    by_name = {channel.name: channel for channel in channels}
    found: dict[str, Channel] = {}
    for name in asked:
        if "*" in name:
            matching = [one for one in channels if fnmatchcase(one.name.lower(), name.lower())]
            if not matching:
                raise UserError(f"channel '{name}': no channel fits this pattern; {_some(by_name)}")
            found.update((one.name, one) for one in matching)
        else:
            current = aliases.current(name, by_name)
            found[name] = _find_end(by_name, name) if current is None else by_name[current]
    return found


def _find_end(by_name: Mapping[str, Channel], name: str) -> Channel:
    wanted = name.lower()
    ends = [one for full, one in by_name.items() if f".{full}".lower().endswith(f".{wanted}")]
    if len(ends) > 1:  # a signal goes before maths channels, so that a new one takes no name away
        ends = [one for one in ends if one.message != MATHS_MESSAGE] or ends
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise UserError(f"channel '{name}': could be {_listed([one.name for one in ends])}; give the full name")
    raise UserError(f"channel '{name}': there is none; {_nearest(by_name, wanted)}")


def _nearest(by_name: Mapping[str, Channel], wanted: str) -> str:
    parts: dict[str, list[str]] = {}
    for full, channel in by_name.items():
        parts.setdefault(full.lower(), []).append(full)
        parts.setdefault(channel.signal.lower(), []).append(full)
    close = difflib.get_close_matches(wanted, parts, cutoff=0.75) or difflib.get_close_matches(wanted, parts)
    near = [full for text in close for full in parts[text]]
    near += [full for full in by_name if wanted in full.lower()]
    return f"did you mean {_listed(list(dict.fromkeys(near)))}?" if near else _some(by_name)


def _some(by_name: Mapping[str, Channel]) -> str:
    return f"known are {_listed(sorted(by_name))}" if by_name else "no channel is known, because no DBC is"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
