"""Checks of DBC files: each is one function from a file's definitions to findings. Pure; `ved dbc lint` prints them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ved.dbc.definitions import MessageDef, Problem, SignalDef
from ved.dbc.findings import Finding, Severity, in_file_order
from ved.dbc.lint_units import wrong_units
from ved.dbc.load import DbcSource, nothing_in
from ved.dbc.parse import parse_dbc
from ved.errors import UserError

FD_LENGTHS: Final = frozenset({*range(9), 12, 16, 20, 24, 32, 48, 64})
_PROBLEM_ADVICE: Final = {
    "faulty-line": "Correct the statement, or delete it; until then the program works without it.",
    "duplicate-id": "Give one of the two its real id, or delete the one that is wrong.",
    "duplicate-name": "Rename one of the two signals.",
    "multiplexer": "Mark one signal of the message with M (or name it in SG_MUL_VAL_) and the others with m<number>.",
    "unknown-name": "Correct the name or the id, or delete the line.",
    "out-of-frame": "Correct the start bit, the byte order or the message's length.",
}


@dataclass(frozen=True, slots=True)
class LintedFile:
    """One file's definitions, problems and lines, as the checks take them."""

    name: str
    messages: tuple[MessageDef, ...]
    problems: tuple[Problem, ...]
    lines: tuple[str, ...]
    losses: tuple[str, ...] = ()

    @staticmethod
    def read(source: DbcSource) -> "LintedFile":
        """Parse a source; UserError when it has no message at all."""
        parsed = parse_dbc(source.name, source.text)
        if not parsed.messages:
            raise UserError(nothing_in(source.name, parsed.problems))
        messages = tuple(replace(message, file=source.name, bus=source.bus) for message in parsed.messages)
        return LintedFile(source.name, messages, tuple(parsed.problems), tuple(source.text.split("\n")))

    def finding(self, code: str, severity: Severity, at: "At", what: str, advice: str) -> Finding:
        """A finding at a message or signal of this file."""
        text = self.lines[at.line - 1].strip() if 0 < at.line <= len(self.lines) else ""
        return Finding(code, severity, self.name, at.line, text[:200], at.subject, what, advice)


@dataclass(frozen=True, slots=True)
class At:
    """Where a finding is: a message, or one of its signals."""

    line: int
    subject: str

    @staticmethod
    def of(message: MessageDef, signal: SignalDef | None = None) -> "At":
        """The definition's own line."""
        return At(message.line, message.name) if signal is None else At(signal.line, f"{message.name}.{signal.name}")


Check = Callable[[LintedFile], Iterator[Finding]]
Selectors = dict[int, tuple[tuple[int, int], ...]]
NEVER: Final = ((-1, -1),)


def lint(files: Sequence[LintedFile]) -> list[Finding]:
    """All findings of all files, in file order."""
    findings = [finding for file in files for check in CHECKS for finding in check(file)]
    return in_file_order([*findings, *shared_ids(files)])


def faulty_lines(file: LintedFile) -> Iterator[Finding]:
    """Lines that were set aside when the file was read."""
    for problem in file.problems:
        is_doubt = problem.code == "out-of-frame"
        severity: Severity = "warning" if problem.code == "unknown-name" else "error"
        what = f"this line {problem.why}" if is_doubt else f"this line {problem.why}; it is left out"
        at = At(problem.line, problem.text.split(":")[0].strip()[:80])
        yield file.finding(problem.code, severity, at, what, _PROBLEM_ADVICE[problem.code])


def not_taken(file: LintedFile) -> Iterator[Finding]:
    """What another format says and we have no place for."""
    for loss in file.losses:
        advice = "The rest of the file is used; nothing to do if this part is not needed."
        yield file.finding("not-taken", "warning", At(0, loss.split(" ")[0]), loss, advice)


def overlaps(file: LintedFile) -> Iterator[Finding]:
    """Signals of one message that share bits and can be in one frame together."""
    for message in file.messages:
        masks = [bit_mask(signal) for signal in message.signals]
        union = 0
        for mask in masks:
            union |= mask
        if union.bit_count() == sum(signal.length_bits for signal in message.signals):
            continue
        selectors = [_selectors(message, signal) for signal in message.signals]
        for number, signal in enumerate(message.signals):
            for other in range(number):
                shared = masks[number] & masks[other]
                if shared and _can_be_together(selectors[number], selectors[other]):
                    yield _overlap(file, message, (message.signals[other], signal), shared)
                    break


def _overlap(file: LintedFile, message: MessageDef, pair: tuple[SignalDef, SignalDef], shared: int) -> Finding:
    first, second = sorted(pair, key=lambda signal: signal.line)
    bits = [bit for bit in range(shared.bit_length()) if shared >> bit & 1]
    where = f"bit {bits[0]}" if len(bits) == 1 else f"{len(bits)} bits ({bits[0]} to {bits[-1]})"
    is_inside = shared in (bit_mask(first), bit_mask(second))
    is_raw = all(signal.raw_type == "unsigned" and (signal.scale, signal.offset) == (1, 0) for signal in pair)
    severity: Severity = "warning" if is_inside and is_raw else "error"
    what = f"{second.name} and {first.name} (line {first.line}) of {message.name} share {where}"
    if severity == "warning":
        advice = "Nothing to do if both names for the same bits are meant; else correct one start bit or length."
    elif first.is_little_endian != second.is_little_endian:
        advice = "The two have different byte orders (@1 Intel, @0 Motorola): one of them is probably wrong."
    else:
        advice = "Correct the start bit or length of one; if they take turns, make them multiplexed (m0, m1 …)."
    return file.finding("overlap", severity, At.of(message, second), what, advice)


def bit_mask(signal: SignalDef) -> int:
    """The payload bits of a signal as one number: bit 8 * byte + bit."""
    if signal.is_little_endian:
        return ((1 << signal.length_bits) - 1) << signal.start_bit
    mask = 0
    for bit in range(signal.first_bit, signal.first_bit + signal.length_bits):
        mask |= 1 << (8 * (bit // 8) + 7 - bit % 8)
    return mask


def _can_be_together(first: Selectors, second: Selectors) -> bool:
    """False when one multiplexer selects the two by values that have nothing in common."""
    for multiplexer, ranges in first.items():
        others = second.get(multiplexer, ranges)
        if others[0][0] > ranges[-1][1] or ranges[0][0] > others[-1][1]:
            return False
        if not any(low <= other[1] and other[0] <= high for low, high in ranges for other in others):
            return False
    return True


def _selectors(message: MessageDef, signal: SignalDef) -> Selectors:
    """Multiplexer -> ranges, in order, of which one must hold for the signal to be in a frame."""
    found = {}
    while signal.multiplexer is not None:
        found[signal.multiplexer] = signal.selectors or NEVER
        signal = message.signals[signal.multiplexer]
    return found


def multiplexers(file: LintedFile) -> Iterator[Finding]:
    """Multiplexers that select nothing, and signals that their multiplexer can never select."""
    for message in file.messages:
        used = {signal.multiplexer for signal in message.signals}
        for number, signal in enumerate(message.signals):
            if signal.is_multiplexer and number not in used:
                what = f"{signal.name} is marked as the multiplexer of {message.name}, but no signal depends on it"
                advice = "Remove the M, or mark the signals that it selects (m0, m1 …)."
                yield file.finding("unused-multiplexer", "warning", At.of(message, signal), what, advice)
            if signal.multiplexer is None:
                continue
            parent = message.signals[signal.multiplexer]
            greatest = (1 << parent.length_bits) - 1
            if all(low > greatest for low, _ in signal.selectors):
                values = ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in signal.selectors)
                what = f"{signal.name} is in the frame when {parent.name} is {values}, but that never is: it has "
                what += f"{parent.length_bits} bits (0 to {greatest})"
                advice = "Correct the number after m, or the multiplexer's length."
                yield file.finding("unreachable-page", "error", At.of(message, signal), what, advice)


def names(file: LintedFile) -> Iterator[Finding]:
    """One name for several messages, or for several signals of a message (by their long names)."""
    by_name: dict[str, list[MessageDef]] = defaultdict(list)
    for message in file.messages:
        by_name[message.name].append(message)
        seen: dict[str, SignalDef] = {}
        for signal in message.signals:
            first = seen.setdefault(signal.name, signal)
            if first is not signal:
                what = f"{signal.name} of {message.name} has the same long name as the signal in line {first.line}"
                advice = "Correct SystemSignalLongSymbol of one of the two; until then a #2 follows the second."
                yield file.finding("duplicate-name", "warning", At.of(message, signal), what, advice)
    for name, messages in by_name.items():
        for message in messages[1:]:
            first_id, own_id = id_text(messages[0]), id_text(message)
            what = f"the name {name} stands for id {own_id}, and in line {messages[0].line} for id {first_id}"
            advice = f"Rename one; until then their channels are {name}@{first_id}.… and {name}@{own_id}.…"
            yield file.finding("duplicate-name", "warning", At.of(message), what, advice)


def shared_ids(files: Sequence[LintedFile]) -> Iterator[Finding]:
    """Ids that two of the files define differently."""
    seen: dict[tuple[int, bool], MessageDef] = {}
    for file in files:
        for message in file.messages:
            first = seen.setdefault((message.arbitration_id, message.is_extended), message)
            if first.file == file.name or first.signals == message.signals:
                continue
            what = f"id {id_text(message)} is {message.name} here, and {first.name} in {first.file}:{first.line}"
            advice = "Right if the files describe different buses (name them: --dbc BUS=FILE); else delete one."
            yield file.finding("shared-id", "warning", At.of(message), what, advice)


def scaling(file: LintedFile) -> Iterator[Finding]:
    """Scales of zero, and limits that the bits cannot reach."""
    for message in file.messages:
        for signal in message.signals:
            at = At.of(message, signal)
            if signal.scale == 0:
                what = f"{signal.name} has scale 0: its value is always {signal.offset:g}"
                yield file.finding("scale-zero", "error", at, what, "Write the scale, in units per bit (often 1).")
            elif signal.minimum is not None and signal.maximum is not None:
                yield from _limits(file, message, signal, (signal.minimum, signal.maximum))


def _limits(file: LintedFile, message: MessageDef, signal: SignalDef, limits: tuple[float, float]) -> Iterator[Finding]:
    minimum, maximum = limits
    at, said = At.of(message, signal), f"[{minimum:.10g}|{maximum:.10g}]"
    if minimum > maximum:
        what = f"{signal.name} has its minimum above its maximum {said}"
        yield file.finding("limits", "error", at, what, "Swap the two; [0|0] says: no limits.")
        return
    if signal.raw_type == "float":
        return
    least, most = sorted(raw * signal.scale + signal.offset for raw in signal.raw_range)
    slack = abs(signal.scale) / 2 + 1e-9 * max(abs(least), abs(most))
    kind = f"{signal.length_bits} {signal.raw_type} bits × {signal.scale:.10g} + {signal.offset:.10g}"
    what = f"{signal.name} cannot reach its limits {said}: {kind} give {least:.10g} to {most:.10g}"
    if minimum > most + slack or maximum < least - slack:
        advice = "Nothing of the range is possible: the scale, the offset or the limits are wrong."
        yield file.finding("limits", "error", at, what, advice)
    elif signal.raw_type == "unsigned" and minimum < least - slack and -(most - least) / 2 < minimum < 0 <= least:
        advice = "The limits go below zero: is it a signed signal (@1- or @0-), or is an offset missing?"
        yield file.finding("limits", "warning", at, what, advice)
    elif maximum > most + slack or minimum < least - slack:
        advice = "Check the length, the scale and the sign; if they are right, correct the limits."
        yield file.finding("limits", "warning", at, what, advice)


def value_tables(file: LintedFile) -> Iterator[Finding]:
    """Value tables with raw numbers that the signal's bits cannot be."""
    for message in file.messages:
        for signal in message.signals:
            least, most = signal.raw_range
            outside = [raw for raw, _ in signal.choices if not least <= raw <= most]
            if outside and signal.raw_type != "float":
                shown = ", ".join(map(str, outside[:4])) + (" …" if len(outside) > 4 else "")
                what = f"the value table of {signal.name} names {shown}, but its raw numbers are {least} to {most}"
                advice = "Value tables name raw numbers (before scale and offset); correct VAL_ or the length."
                yield file.finding("value-table", "warning", At.of(message, signal), what, advice)


def frame_lengths(file: LintedFile) -> Iterator[Finding]:
    """Lengths that no frame can have, and messages without signals."""
    for message in file.messages:
        if message.length not in FD_LENGTHS:
            possible = min(length for length in FD_LENGTHS if length > message.length)
            what = f"{message.name} has {message.length} bytes; a CAN FD frame can have {possible}, not that"
            yield file.finding("length", "warning", At.of(message), what, f"Write {possible} if the rest is padding.")
        if not message.signals:
            what = f"{message.name} has no signal: its frames are stored, but give no channel"
            yield file.finding("no-signals", "note", At.of(message), what, "Add its signals when they are known.")


def units(file: LintedFile) -> Iterator[Finding]:
    """Units that look wrong, or are written in several ways."""
    for message, signal, code, what, advice in wrong_units(file.messages):
        yield file.finding(code, "warning", At.of(message, signal), what, advice)


CHECKS: Final[tuple[Check, ...]] = (
    faulty_lines,
    not_taken,
    overlaps,
    multiplexers,
    names,
    scaling,
    value_tables,
    frame_lengths,
    units,
)


def id_text(message: MessageDef) -> str:
    """The id in hex, an `x` behind a 29-bit one."""
    return f"{message.arbitration_id:X}{'x' if message.is_extended else ''}"
