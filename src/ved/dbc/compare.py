"""Two sets of definitions side by side: what was added, removed and changed, and what that does to channels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final, Literal

from ved.dbc.definitions import MessageDef, SignalDef
from ved.dbc.lint import id_text
from ved.dbc.names import channels_of

ChangeKind = Literal["added", "removed", "changed"]

_SAME_VALUES: Final = frozenset({"minimum", "maximum", "unit", "choices", "comment", "is_multiplexer", "line", "name"})


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `details` are (field, before, after); `effect` says what happens to channels."""

    kind: ChangeKind
    subject: str
    details: tuple[tuple[str, str, str], ...]
    effect: str


def compare(before: Sequence[MessageDef], after: Sequence[MessageDef]) -> list[Change]:
    """All differences from `before` to `after`; messages are matched by id, signals by name, else by their bits."""
    has_buses = all(any(message.bus_name for message in messages) for messages in (before, after))
    old = {_key(message, has_buses=has_buses): message for message in before}
    new = {_key(message, has_buses=has_buses): message for message in after}
    old_names, new_names = _names(before), _names(after)
    changes: list[Change] = []
    for key in [*old, *(key for key in new if key not in old)]:
        first, second = old.get(key), new.get(key)
        if first is None and second is not None:
            effect = f"{len(second.signals)} new channels" if second.signals else "no channels"
            changes.append(Change("added", f"{second.name} ({id_text(second)})", (), effect))
        elif second is None and first is not None:
            changes.append(Change("removed", f"{first.name} ({id_text(first)})", (), _lost(first)))
        elif first is not None and second is not None:
            changes += _message_changes(first, second, old_names[id(first)], new_names[id(second)])
    return changes


def _lost(message: MessageDef) -> str:
    return f"{len(message.signals)} channels end; the frames stay stored" if message.signals else "no channels"


def _key(message: MessageDef, *, has_buses: bool) -> tuple[str, int, bool]:
    return message.bus_name if has_buses else "", message.arbitration_id, message.is_extended


def _names(messages: Sequence[MessageDef]) -> dict[int, dict[str, str]]:
    """Message (by identity) -> signal -> channel name."""
    channels = iter(channels_of(messages))
    return {id(message): {signal.name: next(channels).name for signal in message.signals} for message in messages}


def _message_changes(
    first: MessageDef, second: MessageDef, old_names: dict[str, str], new_names: dict[str, str]
) -> Iterator[Change]:
    details = tuple(
        (name, _shown(getattr(first, name)), _shown(getattr(second, name)))
        for name in ("name", "length", "is_fd", "is_j1939", "comment")
        if getattr(first, name) != getattr(second, name)
    )
    subject = f"{first.name} ({id_text(first)})"
    if details:
        is_renamed = first.name != second.name
        yield Change("changed", subject, details, "its channels get new names" if is_renamed else "values stay")
    old = {signal.name: signal for signal in first.signals}
    new = {signal.name: signal for signal in second.signals}
    added = {name: signal for name, signal in new.items() if name not in old}
    for name, signal in old.items():
        if name in new:
            yield from _signal_change(first, second, signal, new[name], old_names[name])
            continue
        renamed = next((other for other, one in added.items() if _bits(one) == _bits(signal)), None)
        if renamed is None:
            yield Change("removed", f"{first.name}.{name}", (), f"channel {old_names[name]} ends")
        else:
            effect = f"channel {old_names[name]} is now {new_names[renamed]}"
            yield Change("changed", f"{first.name}.{name}", (("name", name, renamed),), effect)
            yield from _signal_change(first, second, signal, added.pop(renamed), old_names[name])
    for name in added:
        yield Change("added", f"{second.name}.{name}", (), f"new channel {new_names[name]}")


def _signal_change(
    first: MessageDef, second: MessageDef, old: SignalDef, new: SignalDef, channel: str
) -> Iterator[Change]:
    details = []
    for field in fields(SignalDef):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name == "multiplexer":
            before = None if before is None else first.signals[before].name
            after = None if after is None else second.signals[after].name
        if before != after and field.name not in {"line", "name"}:
            details.append((field.name, _shown(before), _shown(after)))
    if details:
        is_other = any(name not in _SAME_VALUES for name, _, _ in details)
        effect = f"channel {channel} has other values, in all of history" if is_other else "values stay"
        yield Change("changed", f"{first.name}.{old.name}", tuple(details), effect)


def _bits(signal: SignalDef) -> tuple[int, int, bool, tuple[tuple[int, int], ...]]:
    return signal.start_bit, signal.length_bits, signal.is_little_endian, signal.selectors


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, tuple):
        return ", ".join(" ".join(map(str, pair)) for pair in value) or "none"
    return "none" if value is None else repr(value) if isinstance(value, str) else str(value)
