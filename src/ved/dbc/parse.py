"""DBC text to messages, statement by statement: a faulty one is set aside and named, the rest loads.

The grammar is that of the "DBC File Format Documentation" (Vector), read as leniently as the files in the wild demand.
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ved.dbc.assemble import FrameFormats, MessageDraft, SignalDraft, assemble
from ved.dbc.definitions import MAX_FRAME_BYTES, MessageDef, Problem, ProblemCode

_NUM: Final = r"([-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?)"
_STR: Final = r'"((?:\\"|[^"\r\n])*+)"'
_TEXT: Final = r'"((?:\\"|[^"])*+)"'

_KEYWORD: Final = re.compile(r"([A-Z]+(?:_[A-Z]+)*_?)(?![A-Za-z0-9])")
_MESSAGE: Final = re.compile(r"BO_\s+(\d{1,10})\s+([^\s:]+)\s*:\s*(\d{1,5})\b[^\r\n]*")
_SIGNAL: Final = re.compile(
    r"SG_\s+([^\s:]+)(?:[ \t]+(M|m\d{1,20}M?))?\s*:\s*(\d{1,5})\s*\|\s*(\d{1,5})\s*@\s*([01])\s*([-+])"
    rf"\s*\(\s*{_NUM}\s*,\s*{_NUM}\s*\)\s*\[\s*{_NUM}\s*\|\s*{_NUM}\s*\]\s*{_STR}"
    r"(?:[ \t]*\w+)*+(?:\s*,\s*\w+)*+[^\r\n]*"
)
_CHOICES: Final = re.compile(
    rf"VAL_\s+(?:(\d{{1,10}})\s+)?(\S+)((?:\s+[-+]?\d{{1,20}}(?:\.0*)?\s*{_STR.replace('(', '(?:', 1)})*+)\s*;"
)
_CHOICE: Final = re.compile(rf"([-+]?\d{{1,20}})(?:\.0*)?\s*{_STR}")
_VALUE_TYPE: Final = re.compile(r"SIG_VALTYPE_\s+(\d{1,10})\s+(\S+?)(?:\s*:\s*|\s+)([0-3])\s*;")
_SELECTORS: Final = re.compile(
    r"SG_MUL_VAL_\s+(\d{1,10})\s+(\S+)\s+(\S+)\s+(\d{1,20}\s*-\s*\d{1,20}(?:[\s,]+\d{1,20}\s*-\s*\d{1,20})*)\s*;"
)
_SELECTOR: Final = re.compile(r"(\d+)\s*-\s*(\d+)")
_COMMENT: Final = re.compile(
    rf"CM_\s+(?:(?:(BO_)\s+(\d{{1,10}})|(SG_)\s+(\d{{1,10}})\s+(\S+)|(?:BU_|EV_)\s+\S+)\s+)?{_TEXT}\s*;"
)
_ATTRIBUTE: Final = re.compile(
    rf"BA_\s+{_STR}(?:\s+(?:(BO_)\s+(\d{{1,10}})|(SG_)\s+(\d{{1,10}})\s+(\S+)|(?:BU_|EV_)\s+\S+))?\s+(?:{_NUM}|{_STR})\s*;"
)
_ENUM: Final = re.compile(rf'BA_DEF_\s+BO_\s+"VFrameFormat"\s+ENUM\s+((?:{_STR}[\s,]*)*+);')
_DEFAULT_FORMAT: Final = re.compile(rf'BA_DEF_DEF_\s+"VFrameFormat"\s+(?:{_NUM}|{_STR})\s*;')
_TO_SEMICOLON: Final = re.compile(r'[^";]*+(?:"(?:\\"|[^"])*+"[^";]*+)*+;')
_TEXT_START: Final = re.compile(r"\S")
_BARE_LINE: Final = re.compile(r"[\w \t\r]*$", re.MULTILINE)

_LINE_KEYWORDS: Final = frozenset({"VERSION", "NS_", "BS_", "BU_"})
_OTHER_KEYWORDS: Final = frozenset(
    {
        *("BA_DEF_DEF_REL_", "BA_DEF_REL_", "BA_DEF_SGTYPE_", "BA_REL_", "BA_SGTYPE_", "BO_TX_BU_"),
        *("BU_BO_REL_", "BU_EV_REL_", "BU_SG_REL_", "CAT_", "CAT_DEF_", "ENVVAR_DATA_", "EV_", "EV_DATA_", "FILTER"),
        *("NS_DESC_", "SGTYPE_", "SGTYPE_VAL_", "SIG_GROUP_", "SIG_TYPE_REF_", "SIGTYPE_VALTYPE_", "VAL_TABLE_"),
    }
)
_STATEMENT_START: Final = re.compile(
    r"^[ \t]*(?:BO_[ \t]+\d|SG_[ \t]+\S[^\n]*:"
    rf"|(?:VAL_|SIG_VALTYPE_|SG_MUL_VAL_|CM_|BA_|BA_DEF_|BA_DEF_DEF_|{'|'.join(sorted(_OTHER_KEYWORDS))})\b)",
    re.MULTILINE,
)
_UNASSIGNED: Final = "VECTOR__INDEPENDENT_SIG_MSG"
_MALFORMED: Final = "is not a well-formed {} statement"


@dataclass(slots=True)
class ParsedFile:
    """The messages of one file, without their bus, and its problems in line order."""

    messages: list[MessageDef] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def parse_dbc(file: str, text: str) -> ParsedFile:
    """Read one DBC text; never raises on content. `file` is the name that stands in messages and problems."""
    parser = _Parser(file, text.removeprefix("\ufeff"))
    parser.run()
    messages = assemble(parser.drafts, parser.frame_formats, parser)
    return ParsedFile(messages, sorted(parser.problems, key=lambda problem: problem.line))


class _Parser:
    """One pass over the text; every handler takes the match of its statement."""

    def __init__(self, file: str, text: str) -> None:
        self._file, self._text = file, text
        self._line_starts = [0, *(found.end() for found in re.finditer(r"\n", text))]
        self._statement_starts = [*(found.start() for found in _STATEMENT_START.finditer(text)), len(text)]
        self._current: MessageDraft | None = None
        self._is_unassigned = False
        self._unassigned_ids: set[int] = set()
        self._by_dbc_id: dict[int, MessageDraft] = {}
        self.drafts: list[MessageDraft] = []
        self.frame_formats = FrameFormats()
        self.problems: list[Problem] = []
        self._handlers: dict[str, tuple[re.Pattern[str], Callable[[re.Match[str]], None]]] = {
            "BO_": (_MESSAGE, self._message),
            "SG_": (_SIGNAL, self._signal),
            "VAL_": (_CHOICES, self._choices),
            "SIG_VALTYPE_": (_VALUE_TYPE, self._value_type),
            "SG_MUL_VAL_": (_SELECTORS, self._selectors),
            "CM_": (_COMMENT, self._comment),
            "BA_": (_ATTRIBUTE, self._attribute),
            "BA_DEF_": (_TO_SEMICOLON, self._definition),
            "BA_DEF_DEF_": (_TO_SEMICOLON, self._default),
        }

    def line_of(self, position: int) -> int:
        """The line, counted from 1."""
        return bisect_right(self._line_starts, position)

    def problem(self, position: int, why: str, code: ProblemCode = "faulty-line") -> None:
        """Note the line at `position` of the text."""
        line = self.line_of(position)
        text = self._text[self._line_starts[line - 1] : self._line_end(position)].strip()
        self.problems.append(Problem(self._file, line, text[:200], why, code))

    def run(self) -> None:
        """Walk over all statements."""
        position, after_list = self._next(0), False
        while position < len(self._text):
            found = _KEYWORD.match(self._text, position)
            keyword = found.group(1) if found else ""
            if keyword in _LINE_KEYWORDS:
                after_list = True
                position = self._line_end(position)
            elif (after_list and self._is_bare(position)) or self._text.startswith("//", position):
                position = self._line_end(position)  # a name of the NS_ or BU_ list, or a remark
            elif keyword in self._handlers or keyword in _OTHER_KEYWORDS:
                after_list = False
                position = self._statement(keyword, position)
            else:
                self.problem(position, "is no DBC statement")
                position = self._line_end(position)
            position = self._next(position)

    def _statement(self, keyword: str, position: int) -> int:
        pattern, handle = self._handlers.get(keyword, (_TO_SEMICOLON, None))
        limit = self._statement_starts[
            bisect_right(self._statement_starts, position, hi=len(self._statement_starts) - 1)
        ]
        found = pattern.match(self._text, position, limit)  # a missing quote or semicolon costs no other statement
        if keyword not in {"BO_", "SG_"} or (keyword == "BO_" and found is None):
            self._current = None
        if found is None:
            self.problem(position, _MALFORMED.format(keyword))
            return self._line_end(position)
        if handle is not None:
            handle(found)
        return found.end()

    def _next(self, position: int) -> int:
        """Where the next text stands."""
        found = _TEXT_START.search(self._text, position)
        return found.start() if found else len(self._text)

    def _line_end(self, position: int) -> int:
        end = self._text.find("\n", position)
        return len(self._text) if end < 0 else end

    def _is_bare(self, position: int) -> bool:
        """True for a line of names alone, as in the lists after NS_ and BU_."""
        return _BARE_LINE.match(self._text, position) is not None

    def _message(self, found: re.Match[str]) -> None:
        dbc_id, name, length = int(found[1]), found[2], int(found[3])
        self._current, self._is_unassigned = None, False
        if name == _UNASSIGNED:
            self._is_unassigned = True  # its signals lie in no frame
            self._unassigned_ids.add(dbc_id)
            return
        is_extended, arbitration_id = bool(dbc_id & 0x80000000), dbc_id & 0x7FFFFFFF
        draft = MessageDraft(found.start(), name, arbitration_id, is_extended, length)
        self._current = draft
        if dbc_id > 0xFFFFFFFF or arbitration_id > (0x1FFFFFFF if is_extended else 0x7FF):
            self.problem(
                found.start(), "has an id of more than 29 bits" if is_extended else "has an id of more than 11 bits"
            )
        elif length > MAX_FRAME_BYTES:
            self.problem(found.start(), f"is longer than a frame ({length} bytes): it and its signals are set aside")
        elif dbc_id in self._by_dbc_id:
            why = f"has the id of {self._by_dbc_id[dbc_id].name}, which stands first"
            self.problem(found.start(), why, "duplicate-id")
        else:
            self._by_dbc_id[dbc_id] = draft
            self.drafts.append(draft)

    def _signal(self, found: re.Match[str]) -> None:
        if self._current is None:
            if not self._is_unassigned:
                self.problem(found.start(), "belongs to no message")
            return
        name = found[1]
        if name in self._current.signals:
            self.problem(found.start(), f"defines {name} a second time", "duplicate-name")
            return
        signal = SignalDraft(
            position=found.start(),
            name=name,
            mark=found[2] or "",
            start_bit=int(found[3]),
            length_bits=int(found[4]),
            is_little_endian=found[5] == "1",
            is_signed=found[6] == "-",
            scale=float(found[7]),
            offset=float(found[8]),
            limits=(float(found[9]), float(found[10])),
            unit=_unquote(found[11]),
        )
        why = signal.fault()
        if why:
            self.problem(found.start(), why)
        else:
            self._current.signals[name] = signal

    def _find(self, found: re.Match[str], dbc_id: str, name: str) -> SignalDraft | None:
        message = self._find_message(found, dbc_id)
        signal = message.signals.get(name) if message else None
        if message and signal is None:
            self.problem(found.start(), f"names a signal that {message.name} does not have ({name})", "unknown-name")
        return signal

    def _find_message(self, found: re.Match[str], dbc_id: str) -> MessageDraft | None:
        number = int(dbc_id)
        message = self._by_dbc_id.get(number)
        if message is None and number not in self._unassigned_ids:
            self.problem(found.start(), f"names a message that is not there (id {number})", "unknown-name")
        return message

    def _choices(self, found: re.Match[str]) -> None:
        signal = self._find(found, found[1], found[2]) if found[1] else None  # without an id: an environment variable's
        if signal:
            signal.choices = [(int(pair[1]), _unquote(pair[2])) for pair in _CHOICE.finditer(found[3])]

    def _value_type(self, found: re.Match[str]) -> None:
        signal = self._find(found, found[1], found[2])
        if signal and found[3] in "12":
            signal.is_float, signal.type_position = True, found.start()

    def _selectors(self, found: re.Match[str]) -> None:
        signal = self._find(found, found[1], found[2])
        if signal:
            pairs = [(int(pair[1]), int(pair[2])) for pair in _SELECTOR.finditer(found[4])]
            signal.selectors.extend(pairs)
            signal.multiplexer_name, signal.selector_position = found[3], found.start()

    def _comment(self, found: re.Match[str]) -> None:
        if found[1]:
            message = self._find_message(found, found[2])
            if message:
                message.comment = _unquote(found[6])
        elif found[3]:
            signal = self._find(found, found[4], found[5])
            if signal:
                signal.comment = _unquote(found[6])

    def _attribute(self, found: re.Match[str]) -> None:
        name, number, text = found[1], found[7], found[8]
        if found[2] and name in {"VFrameFormat", "SystemMessageLongSymbol"}:
            message = self._find_message(found, found[3])
            if message and name == "VFrameFormat":
                message.frame_format = number or text
            elif message and text:
                message.long_name = _unquote(text)
        elif found[4] and name == "SystemSignalLongSymbol":
            signal = self._find(found, found[5], found[6])
            if signal and text:
                signal.long_name = _unquote(text)

    def _definition(self, found: re.Match[str]) -> None:
        enum = _ENUM.match(found.group())
        if enum:
            self.frame_formats.names = re.findall(_STR, enum[1])

    def _default(self, found: re.Match[str]) -> None:
        value = _DEFAULT_FORMAT.match(found.group())
        if value:
            self.frame_formats.default = value[1] or value[2]


def _unquote(text: str) -> str:
    return text.replace('\\"', '"')
