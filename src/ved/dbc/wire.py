"""What a recording carries, id by id, and where that disagrees with DBC files. Pure: frames come from outside."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ved.dbc.definitions import MessageDef, pgn
from ved.dbc.findings import Finding, Severity, in_file_order
from ved.dbc.lint import At, LintedFile, id_text
from ved.model.frames import FrameColumns, FrameFlag

_NO_DATA = np.uint8(FrameFlag.REMOTE | FrameFlag.ERROR)
_EXTENDED_BIT = 1 << 29
Key = tuple[int, bool]
"""An id and whether it has 29 bits."""


@dataclass(frozen=True, slots=True, order=True)
class WireId:
    """One id on one bus."""

    bus: int
    arbitration_id: int
    is_extended: bool

    def __str__(self) -> str:
        return f"{self.arbitration_id:X}{'x' if self.is_extended else ''}"


@dataclass(slots=True)
class Seen:
    """Data frames of one id: how many, from when to when (µs), and how many of each length."""

    frames: int = 0
    first_us: int = 0
    last_us: int = 0
    lengths: Counter[int] = field(default_factory=Counter)

    @property
    def rate_hz(self) -> float:
        """Mean rate; 0 for a single frame."""
        span_us = self.last_us - self.first_us
        return (self.frames - 1) * 1e6 / span_us if span_us > 0 else 0.0

    @property
    def rate_text(self) -> str:
        """For people: `10.0 Hz, 5,450 frames`."""
        count = f"{self.frames:,} frame{'' if self.frames == 1 else 's'}"
        return f"{self.rate_hz:.3g} Hz, {count}" if self.rate_hz else count


def tally(chunks: Iterable[FrameColumns], seen: dict[WireId, Seen] | None = None) -> dict[WireId, Seen]:
    """Count the data frames of all ids (into `seen`); remote and error frames carry no data and are left out."""
    seen = {} if seen is None else seen
    for chunk in chunks:
        frames = chunk.take((chunk.flags & _NO_DATA) == 0)
        keys = frames.bus.astype(np.int64) << 30 | frames.arbitration_id.astype(np.int64) & (_EXTENDED_BIT - 1)
        keys |= np.where(frames.is_extended, _EXTENDED_BIT, 0)
        order = np.argsort(keys, kind="stable")
        values, starts = np.unique(keys[order], return_index=True)
        for key, rows in zip(values.tolist(), np.split(order, starts[1:]), strict=True):
            number = key & (_EXTENDED_BIT - 1)
            one = seen.setdefault(WireId(key >> 30, number, bool(key & _EXTENDED_BIT)), Seen())
            if not one.frames:
                one.first_us = int(frames.t_us[rows[0]])
            one.frames += len(rows)
            one.last_us = int(frames.t_us[rows[-1]])
            one.lengths.update(frames.length[rows].tolist())
    return seen


def lint_wire(files: Sequence[LintedFile], log: str, seen: dict[WireId, Seen]) -> list[Finding]:
    """Findings of the files taken together against a recording named `log`."""
    defined = [(file, message) for file in files for message in file.messages]
    known = Known([message for _, message in defined])
    on_wire: dict[Key, list[WireId]] = {}
    for wire_id in sorted(seen):
        on_wire.setdefault(known.key_of(wire_id) or (-1, False), []).append(wire_id)
    findings: list[Finding] = []
    for file, message in defined:
        came = on_wire.get((message.arbitration_id, message.is_extended), [])
        findings += _message_on_wire(file, message, [(one, seen[one]) for one in came])
    groups = {pgn(message.arbitration_id): message.name for _, message in reversed(defined) if message.is_extended}
    findings += (_unknown(log, one, seen[one], groups) for one in sorted(seen) if known.key_of(one) is None)
    return in_file_order(findings)


class Known:
    """The ids that definitions know: each id itself, and of J1939 messages all ids of their parameter group."""

    def __init__(self, messages: Iterable[MessageDef]) -> None:
        self._ids: set[Key] = set()
        self._groups: dict[int, Key] = {}
        for message in messages:
            key = message.arbitration_id, message.is_extended
            self._ids.add(key)
            if message.group is not None:
                self._groups.setdefault(message.group, key)

    def key_of(self, wire_id: WireId) -> Key | None:
        """The id under which it is defined, or None."""
        key = wire_id.arbitration_id, wire_id.is_extended
        if key in self._ids:
            return key
        return self._groups.get(pgn(wire_id.arbitration_id)) if wire_id.is_extended else None


def _unknown(log: str, wire_id: WireId, seen: Seen, groups: Mapping[int, str]) -> Finding:
    lengths = " or ".join(map(str, sorted(seen.lengths)))
    what = f"id {wire_id} on bus {wire_id.bus} is in no DBC ({seen.rate_text}, {lengths} bytes)"
    advice = "Its frames are stored all the same; find its DBC, or start one with 'ved dbc guess'."
    relative = groups.get(pgn(wire_id.arbitration_id)) if wire_id.is_extended else None
    if relative:
        advice = f"If the bus is J1939, it is {relative} of another sender or priority: make its VFrameFormat J1939PG."
    return Finding("unknown-id", "warning", log, 0, "", str(wire_id), what, advice)


def _message_on_wire(file: LintedFile, message: MessageDef, seen: Sequence[tuple[WireId, Seen]]) -> Iterator[Finding]:
    at = At.of(message)
    if not seen:
        what = f"{message.name} (id {id_text(message)}) never comes in the recording"
        advice = "Is the sender off, the id wrong, or 11 and 29 bits mixed up?"
        yield file.finding("never-seen", "note", at, what, advice)
    needed = max((signal.end_byte for signal in message.signals), default=0)
    for wire_id, one in seen:
        short = sum(count for length, count in one.lengths.items() if length < needed)
        other = Counter({length: count for length, count in one.lengths.items() if length != message.length})
        came = ", ".join(f"{length} bytes ({count:,}×)" for length, count in sorted(other.items()))
        what = f"{message.name} has {message.length} bytes, but frames of id {wire_id} on bus {wire_id.bus} come with "
        if short:
            lost = [signal.name for signal in message.signals if signal.end_byte > min(one.lengths)]
            shown = ", ".join(lost[:4]) + (" …" if len(lost) > 4 else "")
            advice = f"Too short for {shown}: these give no samples then. Correct the DBC, or ask who sends this id."
            severity: Severity = "error" if short == one.frames else "warning"
            yield file.finding("wire-length", severity, at, what + came, advice)
        elif other:
            yield file.finding("wire-length", "note", at, what + came, "All signals fit; correct the length.")


def collect(
    chunks: Iterable[FrameColumns], known: Known, most: int = 20_000
) -> tuple[dict[WireId, NDArray[np.uint8]], dict[WireId, Seen]]:
    """Payloads u8[n, length] of the ids that are not `known`, at most `most` of each, all of the id's usual length."""
    parts: dict[WireId, list[NDArray[np.uint8]]] = {}
    lengths: dict[WireId, int] = {}
    seen: dict[WireId, Seen] = {}
    for chunk in chunks:
        tally([chunk], seen)
        frames = chunk.take((chunk.flags & _NO_DATA) == 0)
        for wire_id in {one for one in seen if known.key_of(one) is None}:
            chosen = (frames.arbitration_id == wire_id.arbitration_id) & (frames.bus == wire_id.bus)
            chosen &= frames.is_extended == wire_id.is_extended
            length = lengths.setdefault(wire_id, seen[wire_id].lengths.most_common(1)[0][0])
            rows = frames.payload[chosen & (frames.length == length)][:, :length]
            have = parts.setdefault(wire_id, [np.empty((0, length), np.uint8)])
            have.append(rows[: max(0, most - sum(map(len, have)))])
    return {wire_id: np.concatenate(have) for wire_id, have in parts.items()}, seen
