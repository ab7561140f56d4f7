"""Definition files of every kind to definitions, told apart by their ending; all but DBC and CSV by libraries."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Final

from ved.dbc.assemble import FrameFormats, MessageDraft, SignalDraft, assemble
from ved.dbc.definitions import MessageDef, Problem, ProblemCode
from ved.dbc.parse import parse_dbc
from ved.dbc.sheet import read_sheet, write_sheet
from ved.dbc.workbook import read_workbook
from ved.dbc.write import Written, write_dbc
from ved.errors import UserError

_BY_CANTOOLS: Final = {".kcd": "kcd", ".sym": "sym", ".arxml": "arxml"}
READABLE: Final = (".dbc", ".csv", ".xlsx", *_BY_CANTOOLS)


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a file says (messages carry their bus names), the lines set aside, and what could not be taken over."""

    messages: tuple[MessageDef, ...]
    problems: tuple[Problem, ...]
    losses: tuple[str, ...] = ()


def read_definitions(data: bytes, name: str) -> Definitions:
    """Read a file of any known kind; `name` (with its ending) stands in problems.

    Raises UserError when the kind is unknown, nothing usable is inside, or the extra `formats` is missing.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in _BY_CANTOOLS:
        return _require(name, _read_by_cantools(data, name, suffix))
    if suffix not in READABLE:
        raise UserError(f"{name}: unknown kind {suffix or '(no ending)'!r}; known are {', '.join(READABLE)}")
    if suffix == ".xlsx":
        parsed = read_workbook(name, data)
    else:
        parsed = (parse_dbc if suffix == ".dbc" else read_sheet)(name, decode_text(data))
    return _require(name, Definitions(tuple(parsed.messages), tuple(parsed.problems)))


def to_dbc_text(data: bytes, suffix: str, name: str = "") -> str:
    """A definition file's bytes as DBC text: of a DBC the text itself, of other kinds (`.csv`, `.kcd` …) a translation.

    Raises UserError as `read_definitions` does.
    """
    if suffix.lower() == ".dbc":
        return decode_text(data)
    return write_dbc(read_definitions(data, name or f"definitions{suffix}").messages).text


def write_definitions(messages: Sequence[MessageDef], suffix: str) -> Written:
    """The text of a `.dbc` or `.csv` file; UserError for other kinds."""
    if suffix.lower() == ".dbc":
        return write_dbc(messages)
    if suffix.lower() == ".csv":
        return Written(*write_sheet(messages))
    raise UserError(f"cannot write {suffix or '(no ending)'!r} files; name the output .dbc or .csv")


def decode_text(data: bytes) -> str:
    """UTF-8 if it is that, else Windows-1252, which most tools write; without zero bytes, which no record carries."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    return text.replace("\0", "\ufffd")


def _require(name: str, found: Definitions) -> Definitions:
    if found.messages:
        return found
    if found.problems:
        first = found.problems[0]
        raise UserError(f"{name}: no usable CAN message in it; line {first.line} {first.why} ({first.text[:60]!r})")
    raise UserError(f"{name}: no usable CAN message in it" + (f"; {found.losses[0]}" if found.losses else ""))


def _read_by_cantools(data: bytes, name: str, suffix: str) -> Definitions:
    try:
        import cantools
    except ImportError:
        raise UserError(f"{name}: {suffix} files need an extra; install it with: pip install 'ved[formats]'") from None
    logging.getLogger("cantools").setLevel(logging.ERROR)  # what it warns of is a loss here, or makes no difference
    text = decode_text(data) if suffix != ".sym" else data.decode("cp1252", errors="replace").removeprefix("ï»¿")
    try:
        database = cantools.database.load_string(text, _BY_CANTOOLS[suffix], strict=False)
    except (cantools.Error, SyntaxError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{name}: cannot be read as {suffix[1:].upper()}: {why}") from None
    taken = _Taken(name)
    for message in getattr(database, "messages", ()):  # a diagnostics database has none
        taken.message(message)
    messages = assemble(taken.drafts, FrameFormats(), taken)
    placed = [replace(message, bus_name=bus) for message, bus in zip(messages, taken.buses, strict=True)]
    return Definitions(tuple(placed), (), tuple(taken.losses))


class _Taken:
    """cantools' messages as drafts; what we have no place for becomes a loss."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.drafts: list[MessageDraft] = []
        self.buses: list[str] = []
        self.losses: list[str] = []
        self._names: dict[int, str] = {}

    def line_of(self, position: int) -> int:
        """Unknown: cantools does not say lines."""
        del position
        return 0

    def problem(self, position: int, why: str, code: ProblemCode = "faulty-line") -> None:
        """What does not fit together; `position` numbers the signals."""
        del code
        self.losses.append(f"{self._names.get(position, 'a signal')} {why}")

    def message(self, message: Any) -> None:
        """Take one message over."""
        if not message.name:
            self.losses.append("a message without a name: left out")
            return
        if message.length > 64 or getattr(message, "is_container", False):
            kind = "is longer than a frame" if message.length > 64 else "is a container of others"
            self.losses.append(f"{message.name} {kind}: left out")
            return
        draft = MessageDraft(0, message.name, message.frame_id, message.is_extended_frame, message.length)
        draft.comment = message.comment or ""
        draft.frame_format = "CAN_FD" if message.is_fd else "J1939PG" if message.protocol == "j1939" else ""
        for signal in message.signals:
            self._signal(draft, signal)
        self.drafts.append(draft)
        self.buses.append(message.bus_name or "")

    def _signal(self, draft: MessageDraft, signal: Any) -> None:
        if not signal.name:
            self.losses.append(f"a signal of {draft.name} without a name: left out")
            return
        position = len(self._names) + 1
        name = self._names[position] = f"{draft.name}.{signal.name}"
        parent = signal.multiplexer_signal
        limits = (signal.minimum, signal.maximum)
        taken = SignalDraft(
            position=position,
            name=signal.name,
            mark=("m" if parent else "") + ("M" if signal.is_multiplexer else ""),
            start_bit=signal.start,
            length_bits=signal.length,
            is_little_endian=signal.byte_order == "little_endian",
            is_signed=signal.is_signed,
            scale=float(signal.scale),
            offset=float(signal.offset),
            limits=(0.0, 0.0),
            unit=signal.unit or "",
            is_float=signal.is_float,
            type_position=position,
            choices=[(int(raw), str(text)) for raw, text in (signal.choices or {}).items()],
            comment=signal.comment or "",
            multiplexer_name=parent or "",
            selectors=_ranges(signal.multiplexer_ids or ()),
            selector_position=position,
        )
        if limits != (None, None):
            least, most = _reach(taken)
            taken.limits = (
                float(least if limits[0] is None else limits[0]),
                float(most if limits[1] is None else limits[1]),
            )
        why = taken.fault()
        if why or signal.name in draft.signals:
            self.losses.append(f"{name} {why or 'is there twice'}: left out")
        else:
            draft.signals[signal.name] = taken


def _reach(signal: SignalDraft) -> tuple[float, float]:
    """Where the bits end, for a limit that is not given."""
    half = 1 << (signal.length_bits - 1)
    raws = (-half, half - 1) if signal.is_signed else (0, 2 * half - 1)
    least, most = sorted(raw * signal.scale + signal.offset for raw in raws)
    return least, most


def _ranges(values: Sequence[int]) -> list[tuple[int, int]]:
    """1, 2, 3, 7 -> (1, 3), (7, 7)."""
    ranges: list[tuple[int, int]] = []
    for value in sorted(values):
        if ranges and value == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], value)
        else:
            ranges.append((value, value))
    return ranges
