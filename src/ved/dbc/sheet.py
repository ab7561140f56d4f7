"""A plain table of signals (CSV or Excel, one row a signal) to definitions and back, for teams without a DBC tool."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from ved.dbc.assemble import FrameFormats, MessageDraft, SignalDraft, assemble
from ved.dbc.definitions import MAX_FRAME_BYTES, MessageDef, Problem, ProblemCode, RawType, SignalDef
from ved.dbc.parse import ParsedFile
from ved.errors import UserError

COLUMNS: Final = (
    "bus", "id", "message", "bytes", "signal", "start", "length", "order", "sign", "scale", "offset", "minimum",
    "maximum", "unit", "multiplexer", "comment", "values",
)  # fmt: skip
NEEDED: Final = ("id", "message", "signal", "start", "length")
_ORDERS: Final = {
    **dict.fromkeys(("", "intel", "little", "1", "le"), True),
    **dict.fromkeys(("motorola", "big", "0", "be"), False),
}
_SIGNS: Final[dict[str, RawType]] = {
    **dict.fromkeys(("", "unsigned", "u", "+", "no"), "unsigned"),
    **dict.fromkeys(("signed", "s", "-", "yes"), "signed"),
    **dict.fromkeys(("float", "f"), "float"),
}
_ID: Final = re.compile(r"(?:0x([0-9a-f]+)|(\d+))(x?)", re.IGNORECASE)
_RANGE: Final = re.compile(r"\s*(\d{1,20})(?:\s*-\s*(\d{1,20}))?\s*")


class _FaultyRowError(ValueError):
    """Why a row cannot be used."""


def read_sheet(file: str, text: str) -> ParsedFile:
    """The definitions of a table; a row that is wrong is set aside as a problem with its line.

    Separated by commas, semicolons (then numbers may have decimal commas) or tabs. UserError when columns are missing.
    """
    text = text.removeprefix("\ufeff")
    lines = io.StringIO(text, newline="").readlines()  # cut where csv counts lines: also at a lone carriage return
    delimiter = max(",;\t", key="".join(lines[:1]).count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)

    def rows() -> Iterator[Row]:
        first = 1
        try:
            for cells in reader:
                yield Row(first, cells, lines[first - 1].strip())
                first = reader.line_num + 1
        except csv.Error as error:
            raise UserError(f"{file}: line {reader.line_num}: is no CSV table: {error}") from None

    return read_rows(file, rows(), has_decimal_comma=delimiter == ";")


class Row(NamedTuple):
    """One row of a table: its line (from 1), its cells, and how it looks."""

    line: int
    cells: list[str]
    text: str


def read_rows(file: str, rows: Iterable[Row], *, has_decimal_comma: bool = False) -> ParsedFile:
    """The definitions of a table's rows, the first of which names the columns. Errors as in `read_sheet`."""
    sheet = _Sheet(file, has_decimal_comma=has_decimal_comma)
    sheet.run(rows)
    messages = assemble(list(sheet.drafts.values()), FrameFormats(), sheet)
    buses = [draft_bus for draft_bus, _, _ in sheet.drafts]
    placed = [replace(message, bus_name=bus) for message, bus in zip(messages, buses, strict=True)]
    return ParsedFile(placed, sorted(sheet.problems, key=lambda problem: problem.line))


class _Sheet:
    """One pass over the rows; positions are line numbers. An empty message or id is that of the row above."""

    def __init__(self, file: str, *, has_decimal_comma: bool) -> None:
        self._file = file
        self._has_decimal_comma = has_decimal_comma
        self._texts: dict[int, str] = {}
        self.drafts: dict[tuple[str, int, bool], MessageDraft] = {}
        self.problems: list[Problem] = []

    def line_of(self, position: int) -> int:
        """Positions are lines already."""
        return position

    def problem(self, position: int, why: str, code: ProblemCode = "faulty-line") -> None:
        """Note the line."""
        self.problems.append(Problem(self._file, position, self._texts.get(position, ""), why, code))

    def run(self, rows: Iterable[Row]) -> None:
        """Walk over all rows."""
        head: list[str] | None = None
        above: dict[str, str] = {}
        for line, cells, text in rows:
            if head is None:
                head = self._head(cells)
                continue
            self._texts[line] = text[:200]
            row = dict.fromkeys(COLUMNS, "") | dict(zip(head, (cell.strip() for cell in cells), strict=False))
            if any(row.values()):
                for name in ("bus", "id", "message") if not row["id"] or not row["message"] else ():
                    row[name] = row[name] or above.get(name, "")
                above = row
                try:
                    self._row(row, line)
                except _FaultyRowError as error:
                    self.problem(line, str(error))
        if head is None:
            self._head([])

    def _head(self, cells: Sequence[str]) -> list[str]:
        head = [cell.strip().lower() for cell in cells]
        missing = [name for name in NEEDED if name not in head]
        if missing:
            raise UserError(
                f"{self._file}: the first line must name the columns; missing: {', '.join(missing)} "
                f"(all columns: {', '.join(COLUMNS)})"
            )
        return head

    def _row(self, row: Mapping[str, str], line: int) -> None:
        arbitration_id, is_extended = _parse_id(row["id"])
        key = row["bus"], arbitration_id, is_extended
        name = row["message"]
        if not name:
            raise _FaultyRowError("has no message name")
        first = self.drafts.get(key)
        if first and first.name != name:
            raise _FaultyRowError(f"has the id of {first.name}, which stands first")
        signal = self._signal(row, line) if row["signal"] else None
        draft = first or MessageDraft(line, name, arbitration_id, is_extended, self._bytes(row))
        if signal is not None and signal.name in draft.signals:
            raise _FaultyRowError(f"defines {signal.name} a second time")
        self.drafts[key] = draft
        if signal is None:
            draft.comment = row["comment"]
            return
        draft.signals[signal.name] = signal
        parent = draft.signals.get(signal.multiplexer_name)
        if parent is not None and not parent.is_multiplexer:
            parent.mark += "M"

    def _bytes(self, row: Mapping[str, str]) -> int:
        length = self._whole(row, "bytes") if row["bytes"] else 8
        if length > MAX_FRAME_BYTES:
            raise _FaultyRowError(f"has {length} bytes; a frame has at most {MAX_FRAME_BYTES}")
        return length

    def _signal(self, row: Mapping[str, str], line: int) -> SignalDraft:
        order, sign = row["order"].lower(), row["sign"].lower()
        if order not in _ORDERS:
            raise _FaultyRowError(f"has the order {row['order']!r}; write intel or motorola")
        if sign not in _SIGNS:
            raise _FaultyRowError(f"has the sign {row['sign']!r}; write unsigned, signed or float")
        is_limited = bool(row["minimum"] or row["maximum"])
        signal = SignalDraft(
            position=line,
            name=row["signal"],
            mark="",
            start_bit=self._whole(row, "start"),
            length_bits=self._whole(row, "length"),
            is_little_endian=_ORDERS[order],
            is_signed=_SIGNS[sign] == "signed",
            scale=self._number(row, "scale", 1.0),
            offset=self._number(row, "offset", 0.0),
            limits=(self._number(row, "minimum", 0.0), self._number(row, "maximum", 0.0)) if is_limited else (0.0, 0.0),
            unit=row["unit"],
            is_float=_SIGNS[sign] == "float",
            type_position=line,
            choices=list(_choices(row["values"])),
            comment=row["comment"],
        )
        if row["multiplexer"]:
            _multiplex(signal, row["multiplexer"])
        why = signal.fault()
        if why:
            raise _FaultyRowError(why)
        return signal

    def _whole(self, row: Mapping[str, str], name: str) -> int:
        if not re.fullmatch(r"\d{1,5}", row[name]):
            raise _FaultyRowError(f"has {row[name]!r} as {name}; write a whole number")
        return int(row[name])

    def _number(self, row: Mapping[str, str], name: str, default: float) -> float:
        text = row[name].replace(",", ".") if self._has_decimal_comma else row[name]
        try:
            return float(text) if text else default
        except ValueError:
            raise _FaultyRowError(f"has {row[name]!r} as {name}; write a number") from None


def _parse_id(text: str) -> tuple[int, bool]:
    """`0x1F0`, `496`; an x behind it, or more than 11 bits: a 29-bit id."""
    found = _ID.fullmatch(text)
    if not found:
        raise _FaultyRowError(f"has {text!r} as id; write it in hex as 0x1F0 (29 bits: 0x1F0x), or as 496")
    number = int(found[1], 16) if found[1] else int(found[2])
    if number > 0x1FFFFFFF:
        raise _FaultyRowError("has an id of more than 29 bits")
    return number, bool(found[3]) or number > 0x7FF


def _multiplex(signal: SignalDraft, text: str) -> None:
    """`Mode=0` or `Mode=1,4-7`: in the frame when Mode has one of these raw values."""
    name, _, values = text.rpartition("=")
    ranges = [_RANGE.fullmatch(part) for part in values.split(",")]
    if not name or not all(ranges):
        raise _FaultyRowError(f"has {text!r} as multiplexer; write Signal=1 or Signal=1,4-7")
    signal.mark, signal.multiplexer_name = "m", name.strip()
    signal.selectors = [(int(one[1]), int(one[2] or one[1])) for one in ranges if one]


def _choices(text: str) -> Iterator[tuple[int, str]]:
    """`0=Off; 1=On`; a semicolon inside a text is written `\\;`."""
    for part in re.split(r"(?<!\\);|\n", text):
        if part.strip():
            found = re.fullmatch(r"\s*([-+]?\d{1,20})\s*=(.*)", part)
            if not found:
                raise _FaultyRowError(f"has {part.strip()!r} among its values; write 0=Off; 1=On")
            yield int(found[1]), found[2].replace("\\;", ";").strip()


def write_sheet(messages: Sequence[MessageDef]) -> tuple[str, tuple[str, ...]]:
    """The table, and what it cannot say."""
    losses: list[str] = []
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for message in messages:
        number = f"0x{message.arbitration_id:X}{'x' if message.is_extended else ''}"
        bus = message.bus_name or ("" if message.bus is None else f"bus{message.bus}")
        head = {"bus": bus, "id": number, "message": message.name, "bytes": message.length}
        if message.comment or not message.signals:
            writer.writerow(head | {"comment": message.comment.strip()})
        if message.is_fd and message.length <= 8:
            losses.append(f"{message.name} is a CAN FD message of at most 8 bytes; the table does not say FD")
        if message.is_j1939:
            losses.append(f"{message.name} stands for its whole J1939 group; the table says only its own id")
        for signal in message.signals:
            writer.writerow(head | _signal_cells(message, signal))
            losses += _signal_losses(message, signal)
    return out.getvalue(), tuple(losses)


def _signal_cells(message: MessageDef, signal: SignalDef) -> dict[str, object]:
    parent = None if signal.multiplexer is None else message.signals[signal.multiplexer].name
    ranges = ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in signal.selectors)
    return {
        "signal": signal.name,
        "start": signal.start_bit,
        "length": signal.length_bits,
        "order": "intel" if signal.is_little_endian else "motorola",
        "sign": signal.raw_type,
        "scale": repr(float(signal.scale)),
        "offset": repr(float(signal.offset)),
        "minimum": "" if signal.minimum is None else repr(float(signal.minimum)),
        "maximum": "" if signal.maximum is None else repr(float(signal.maximum)),
        "unit": signal.unit,
        "multiplexer": "" if parent is None else f"{parent}={ranges}",
        "comment": signal.comment,
        "values": "; ".join(f"{raw}={text.replace(';', chr(92) + ';')}" for raw, text in signal.choices),
    }


def _signal_losses(message: MessageDef, signal: SignalDef) -> Iterator[str]:
    index = message.signals.index(signal)
    name = f"{message.name}.{signal.name}"
    if signal.is_multiplexer and not any(other.multiplexer == index for other in message.signals):
        yield f"{name} is a multiplexer that selects nothing; in the table it is a plain signal"
    texts = [signal.unit, signal.comment, *(text for _, text in signal.choices)]
    if any(text != text.strip() for text in texts) or any("\n" in text or "\\" in text for _, text in signal.choices):
        yield f"{name}: spaces around texts, and line breaks or backslashes in its values, are lost"
