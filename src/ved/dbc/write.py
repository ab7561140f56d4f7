"""Definitions to DBC text; what a DBC cannot say is returned as losses. Our reader reads all of it back."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ved.dbc.definitions import MessageDef, SignalDef

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_FRAME_FORMATS: Final = (
    "StandardCAN",
    "ExtendedCAN",
    *["reserved"] * 11,
    "J1939PG",
    "StandardCAN_FD",
    "ExtendedCAN_FD",
)
_HEAD: Final = 'VERSION ""\n\nNS_ :\n\nBS_:\n\nBU_:\n\n'


class Written(NamedTuple):
    """The text, and one line for each thing that the format cannot say."""

    text: str
    losses: tuple[str, ...]


def write_dbc(messages: Sequence[MessageDef]) -> Written:
    """The messages as one DBC; of two on one id the first is written, and buses are left out: a DBC is one bus."""
    losses: list[str] = []
    kept: dict[tuple[int, bool], MessageDef] = {}
    for message in messages:
        first = kept.setdefault((message.arbitration_id, message.is_extended), message)
        if first is not message:
            losses.append(f"{message.name} is left out: {first.name} has its id, and a DBC describes one bus")
    buses = sorted({message.bus_name for message in messages if message.bus_name})
    if len(buses) > 1:
        losses.append(f"the buses ({', '.join(buses)}) are left out: a DBC describes one bus")
    writer = _Writer(losses)
    for message in kept.values():
        writer.message(message)
    return Written(writer.text(), tuple(losses))


class _Writer:
    def __init__(self, losses: list[str]) -> None:
        self._losses = losses
        self._body: list[str] = []
        self._multiplexing: list[str] = []
        self._comments: list[str] = []
        self._attributes: list[str] = []
        self._values: list[str] = []
        self._types: list[str] = []
        self._message_names: set[str] = set()

    def text(self) -> str:
        """All statements in the order that other tools expect."""
        definitions = []
        if any("VFrameFormat" in line for line in self._attributes):
            enum = ",".join(f'"{name}"' for name in _FRAME_FORMATS)
            definitions += [f'BA_DEF_ BO_ "VFrameFormat" ENUM {enum};', 'BA_DEF_DEF_ "VFrameFormat" "StandardCAN";']
        for kind, name in (("BO_", "SystemMessageLongSymbol"), ("SG_", "SystemSignalLongSymbol")):
            if any(name in line for line in self._attributes):
                definitions += [f'BA_DEF_ {kind} "{name}" STRING ;', f'BA_DEF_DEF_ "{name}" "";']
        lines = [*self._body, *self._comments, *definitions, *self._attributes]
        return _HEAD + "\n".join([*lines, *self._values, *self._types, *self._multiplexing, ""])

    def message(self, message: MessageDef) -> None:
        """One message with its signals."""
        number = message.arbitration_id | (0x80000000 if message.is_extended else 0)
        name = _short(message.name, self._message_names)
        self._body.append(f"BO_ {number} {name}: {message.length} Vector__XXX")
        if name != message.name:
            self._attributes.append(f'BA_ "SystemMessageLongSymbol" BO_ {number} {self._quoted(message.name)};')
        if message.is_j1939:
            self._attributes.append(f'BA_ "VFrameFormat" BO_ {number} {_FRAME_FORMATS.index("J1939PG")};')
        elif message.is_fd and message.length <= 8:
            self._attributes.append(f'BA_ "VFrameFormat" BO_ {number} {15 if message.is_extended else 14};')
        if message.comment:
            self._comments.append(f"CM_ BO_ {number} {self._quoted(message.comment)};")
        taken: set[str] = set()
        names = [_short(signal.name, taken) for signal in message.signals]
        is_simple = sum(signal.is_multiplexer for signal in message.signals) == 1
        for index, signal in enumerate(message.signals):
            if signal.multiplexer is not None and not signal.selectors:
                self._losses.append(f"{message.name}.{signal.name} is left out: nothing selects it")
                continue
            self._signal(number, names, index, signal)
            if signal.multiplexer is not None and not (is_simple and _is_one_value(signal)):
                ranges = ", ".join(f"{low}-{high}" for low, high in signal.selectors)
                self._multiplexing.append(f"SG_MUL_VAL_ {number} {names[index]} {names[signal.multiplexer]} {ranges};")
        self._body.append("")

    def _signal(self, number: int, names: Sequence[str], index: int, signal: SignalDef) -> None:
        mark = "" if signal.multiplexer is None else f"m{signal.selectors[0][0]}"
        mark += "M" if signal.is_multiplexer else ""
        order, sign = int(signal.is_little_endian), "-" if signal.raw_type != "unsigned" else "+"
        limits = _limits(signal)
        if not any(limits) and signal.minimum is not None:
            self._losses.append(
                f"the limits 0 to 0 of {signal.name} are left out: a DBC's [0|0] says that there are none"
            )
        name = names[index]
        self._body.append(
            f" SG_ {name}{' ' + mark if mark else ''} : {signal.start_bit}|{signal.length_bits}@{order}{sign}"
            f" ({_number(signal.scale)},{_number(signal.offset)}) [{_number(limits[0])}|{_number(limits[1])}]"
            f" {self._quoted(signal.unit, one_line=True)} Vector__XXX"
        )
        if name != signal.name:
            self._attributes.append(f'BA_ "SystemSignalLongSymbol" SG_ {number} {name} {self._quoted(signal.name)};')
        if signal.comment:
            self._comments.append(f"CM_ SG_ {number} {name} {self._quoted(signal.comment)};")
        if signal.choices:
            pairs = " ".join(f"{raw} {self._quoted(text, one_line=True)}" for raw, text in signal.choices)
            self._values.append(f"VAL_ {number} {name} {pairs} ;")
        if signal.raw_type == "float":
            self._types.append(f"SIG_VALTYPE_ {number} {name} : {2 if signal.length_bits == 64 else 1};")

    def _quoted(self, text: str, *, one_line: bool = False) -> str:
        safe = " ".join(text.splitlines()) if one_line else text
        safe = safe.rstrip("\\") if safe.endswith("\\") else safe
        if safe != text:
            self._losses.append(f"{text[:40]!r} loses line breaks or a backslash at its end")
        return '"' + safe.replace('"', '\\"').replace("\0", "\ufffd") + '"'  # a record carries no zero byte


def _limits(signal: SignalDef) -> tuple[float, float]:
    """Both limits; a missing one is where the bits end."""
    if signal.minimum is None and signal.maximum is None:
        return 0.0, 0.0
    least, most = sorted(raw * signal.scale + signal.offset for raw in signal.raw_range)
    return least if signal.minimum is None else signal.minimum, most if signal.maximum is None else signal.maximum


def _is_one_value(signal: SignalDef) -> bool:
    return len(signal.selectors) == 1 and signal.selectors[0][0] == signal.selectors[0][1]


def _number(value: float) -> str:
    """Shortest text that reads back as the same number."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _short(name: str, taken: set[str]) -> str:
    """The name, or an identifier of at most 32 letters in its place; unique."""
    short = name if _IDENTIFIER.fullmatch(name) else re.sub(r"[^A-Za-z0-9_]", "_", name)[:32]
    short = short if _IDENTIFIER.fullmatch(short) else f"_{short}"[:32]
    free, count = short, 1
    while free in taken:
        count += 1
        free = f"{short[: 31 - len(str(count))]}_{count}"
    taken.add(free)
    return free
