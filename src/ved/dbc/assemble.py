"""From what single statements said to whole messages: multiplexers found, value types applied, long names taken."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from ved.dbc.definitions import MAX_FRAME_BYTES, MessageDef, ProblemCode, RawType, SignalDef

MAX_SIGNAL_BITS: Final = 64
_UNREACHABLE: Final = -1
FLOAT_BITS: Final = frozenset({16, 32, 64})


class Report(Protocol):
    """Where an assembled file's problems go, and which line a position of the text is in."""

    def problem(self, position: int, why: str, code: ProblemCode = "faulty-line") -> None:
        """Note the line at `position` of the text."""

    def line_of(self, position: int) -> int:
        """The line, counted from 1."""


@dataclass(slots=True)
class SignalDraft:
    """A signal while its file is read; positions are offsets in the text. `mark` is M, m<n>, m<n>M or empty."""

    position: int
    name: str
    mark: str
    start_bit: int
    length_bits: int
    is_little_endian: bool
    is_signed: bool
    scale: float
    offset: float
    limits: tuple[float, float]
    unit: str
    is_float: bool = False
    type_position: int = 0
    choices: list[tuple[int, str]] = field(default_factory=list)
    comment: str = ""
    long_name: str = ""
    multiplexer_name: str = ""
    selectors: list[tuple[int, int]] = field(default_factory=list)
    selector_position: int = 0

    @property
    def is_multiplexer(self) -> bool:
        """True when other signals depend on this one."""
        return self.mark.endswith("M")

    def fault(self) -> str:
        """Why these bits cannot be a signal of any frame, or nothing."""
        if not 1 <= self.length_bits <= MAX_SIGNAL_BITS:
            return f"has {self.length_bits} bits; a signal has 1 to {MAX_SIGNAL_BITS}"
        first = self.start_bit if self.is_little_endian else 8 * (self.start_bit // 8) + 7 - self.start_bit % 8
        if first + self.length_bits > 8 * MAX_FRAME_BYTES:
            return f"lies past the {MAX_FRAME_BYTES} bytes of the longest frame"
        if not all(abs(number) < float("inf") for number in (self.scale, self.offset, *self.limits)):
            return "has a number that is too large"
        return ""


@dataclass(slots=True)
class MessageDraft:
    """A message while its file is read; `signals` by their short names, in file order."""

    position: int
    name: str
    arbitration_id: int
    is_extended: bool
    length: int
    signals: dict[str, SignalDraft] = field(default_factory=dict)
    comment: str = ""
    long_name: str = ""
    frame_format: str = ""


@dataclass(slots=True)
class FrameFormats:
    """What the values of a file's VFrameFormat mean; `default` holds for messages that give none."""

    names: list[str] = field(default_factory=list)
    default: str = ""

    def name_of(self, given: str) -> str:
        """The name of a value, which may be a number, a name already, or nothing."""
        given = given or self.default
        is_number = given.isdecimal() and len(given) < 4 and int(given) < len(self.names)
        return self.names[int(given)] if is_number else given


def assemble(drafts: Sequence[MessageDraft], frame_formats: FrameFormats, report: Report) -> list[MessageDef]:
    """The finished messages (bus and file still empty); what does not fit together is reported by text position."""
    messages = []
    for draft in drafts:
        signals = _settle(draft, report)
        frame_format = frame_formats.name_of(draft.frame_format)
        messages.append(
            MessageDef(
                name=_printable(draft.long_name or draft.name),
                arbitration_id=draft.arbitration_id,
                is_extended=draft.is_extended,
                length=draft.length,
                is_fd=draft.length > 8 or frame_format.endswith("CAN_FD"),
                bus=None,
                bus_name="",
                file="",
                signals=signals,
                comment=draft.comment,
                is_j1939=draft.is_extended and frame_format == "J1939PG",
                line=report.line_of(draft.position),
            )
        )
    return messages


def _settle(draft: MessageDraft, report: Report) -> tuple[SignalDef, ...]:
    """The message's signals with every multiplexer before what it selects, else in file order."""
    parents = _parents(draft, report)
    depths: dict[str, int] = {"": 0}
    for name in parents:
        chain: dict[str, None] = {}
        at = name
        while at in parents and at not in depths and at not in chain:
            chain[at] = None
            at = parents[at]
        depth = depths.get(at, _UNREACHABLE)
        if depth == _UNREACHABLE and chain:
            why = "itself" if at in chain else f"{at}, which was set aside"
            for lost in chain:
                report.problem(draft.signals[lost].position, f"depends on {why}", "multiplexer")
        for back in reversed(chain):
            depth = depths[back] = _UNREACHABLE if depth == _UNREACHABLE else depth + 1
    order = sorted((name for name in parents if depths[name] != _UNREACHABLE), key=lambda name: depths[name])
    index = {name: number for number, name in enumerate(order)}
    return tuple(_finish(draft, draft.signals[name], index.get(parents[name]), report) for name in order)


def _parents(draft: MessageDraft, report: Report) -> dict[str, str]:
    """Short name of every usable signal -> that of its multiplexer, or empty."""
    roots = [signal.name for signal in draft.signals.values() if signal.mark == "M" and not signal.multiplexer_name]
    multiplexers = [signal.name for signal in draft.signals.values() if signal.is_multiplexer]
    parents: dict[str, str] = {}
    for name, signal in draft.signals.items():
        if signal.is_float and signal.length_bits not in FLOAT_BITS:
            report.problem(
                signal.type_position, f"makes a float of {signal.length_bits} bits; only 16, 32 and 64 exist"
            )
            continue
        if signal.mark == "" or (signal.mark == "M" and not signal.multiplexer_name):
            if signal.multiplexer_name:
                why = f"selects {name}, which is not marked as multiplexed"
                report.problem(signal.selector_position, why, "multiplexer")
            parents[name] = ""
            continue
        parent = signal.multiplexer_name or (roots[0] if len(roots) == 1 else "")
        if parent not in multiplexers:
            report.problem(signal.position, "is multiplexed, but its multiplexer is not there", "multiplexer")
            continue
        number = signal.mark.strip("mM")
        if number and (not signal.multiplexer_name or len(multiplexers) == 1):
            signal.selectors.append((int(number), int(number)))
        parents[name] = parent
    return parents


def _finish(draft: MessageDraft, signal: SignalDraft, multiplexer: int | None, report: Report) -> SignalDef:
    raw_type: RawType = "float" if signal.is_float else "signed" if signal.is_signed else "unsigned"
    minimum, maximum = signal.limits
    is_limited = minimum != 0 or maximum != 0
    finished = SignalDef(
        name=_printable(signal.long_name or signal.name),
        start_bit=signal.start_bit,
        length_bits=signal.length_bits,
        is_little_endian=signal.is_little_endian,
        raw_type=raw_type,
        scale=signal.scale,
        offset=signal.offset,
        minimum=minimum if is_limited else None,
        maximum=maximum if is_limited else None,
        unit=_printable(signal.unit),
        choices=tuple(dict(signal.choices).items()),
        comment=signal.comment,
        is_multiplexer=signal.is_multiplexer,
        multiplexer=multiplexer,
        selectors=_merged(signal.selectors) if multiplexer is not None else (),
        line=report.line_of(signal.position),
    )
    if finished.end_byte > draft.length:
        why = f"lies past the {draft.length} bytes of {draft.name}; only longer frames have it"
        report.problem(signal.position, why, "out-of-frame")
    return finished


def _merged(selectors: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """In order, without ranges that lie in others."""
    kept: list[tuple[int, int]] = []
    for low, high in sorted(set(selectors), key=lambda pair: (pair[0], -pair[1])):
        if not kept or high > kept[-1][1]:
            kept.append((low, high))
    return tuple(kept)


def _printable(text: str) -> str:
    """Control characters would act on terminals and break lines; nothing else is touched, so names may hold markup."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
