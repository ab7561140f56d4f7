"""`ved dbc`: check, show and compare signal definitions."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from ved.config.vehicle import MAX_DBC_BYTES
from ved.dbc.compare import Change, compare
from ved.dbc.definitions import MessageDef, SignalDef
from ved.dbc.findings import Finding, count_severities
from ved.dbc.formats import Definitions, decode_text, read_definitions, write_definitions
from ved.dbc.guess import guess_messages
from ved.dbc.lint import LintedFile, id_text, lint
from ved.dbc.wire import Known, collect, lint_wire, tally
from ved.errors import UserError
from ved.logfiles.open_log import open_log

console = Console(highlight=False, soft_wrap=True, markup=False)
notes = Console(highlight=False, soft_wrap=True, markup=False, stderr=True)

SHOWN_OF_A_KIND: Final = 10
_COLOURS: Final = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}
_SIGNS: Final = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def print_lint(paths: Sequence[Path], log: Path | None, *, as_json: bool, show_all: bool) -> int:
    """Print all findings; the exit code is 1 when one is an error, else 0. UserError when a file cannot be read."""
    files = [_linted(path) for path in paths]
    findings = lint(files)
    if log is not None:
        recording = open_log(log)
        findings += lint_wire(files, str(log), tally(recording.chunks()))
        if recording.problem:
            notes.print(f"ved: {recording.problem}")
    counts = count_severities(findings)
    if as_json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings], "counts": counts}))
    else:
        _print_findings(findings, show_all=show_all)
        total_files = f"{len(paths)} file{'' if len(paths) == 1 else 's'}"
        total = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
        console.print(f"{total} in {total_files}" if findings else f"{total_files} checked: nothing to say")
    return 1 if counts["error"] else 0


def _linted(path: Path) -> LintedFile:
    data = read_bytes(path)
    found = read_definitions(data, str(path))
    messages = tuple(replace(message, file=str(path)) for message in found.messages)
    has_lines = any(message.line for message in messages)
    lines = tuple(decode_text(data).split("\n")) if has_lines else ()
    return LintedFile(str(path), messages, found.problems, lines, found.losses)


def read_bytes(path: Path) -> bytes:
    """A definition file's bytes; UserError when it cannot be read or is too large to be one."""
    try:
        if path.stat().st_size > MAX_DBC_BYTES:
            raise UserError(f"{path}: larger than {MAX_DBC_BYTES >> 20} MiB, so surely no definition file")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read this definition file: {error.strerror}") from None


def read_file(path: Path) -> Definitions:
    """One definition file of any kind."""
    return read_definitions(read_bytes(path), str(path))


def _print_findings(findings: Sequence[Finding], *, show_all: bool) -> None:
    shown: Counter[str] = Counter()
    hidden: Counter[str] = Counter()
    for finding in findings:
        if not show_all and finding.severity != "error" and shown[finding.code] >= SHOWN_OF_A_KIND:
            hidden[finding.code] += 1
            continue
        shown[finding.code] += 1
        head = Text(f"{finding.severity}[{finding.code}]", style=_COLOURS[finding.severity])
        console.print(head.append(f": {finding.what}", style="bold"))
        console.print(f"  --> {finding.file}:{finding.line}" if finding.line else f"  --> {finding.file}")
        if finding.text:
            console.print(f"   | {finding.text}")
        console.print(f"   = {finding.advice}\n")
    for code, count in hidden.items():
        console.print(f"… and {count} more of {code} (--all shows them)")


def print_messages(path: Path, name: str | None, *, as_json: bool) -> None:
    """Print all messages of a file, or one with its signals. UserError when there is no such message."""
    found = read_file(path)
    messages = [message for message in found.messages if name is None or _is_named(message, name)]
    if not messages:
        raise UserError(f"{path}: no message {name!r} in it; 'ved dbc show {path}' lists all")
    if as_json:
        print(json.dumps([asdict(message) for message in messages]))
    elif name is None:
        _print_overview(messages)
        if found.problems:
            console.print(f"{len(found.problems)} lines have problems; 'ved dbc lint {path}' explains them")
    else:
        for message in messages:
            _print_message(message)


def _is_named(message: MessageDef, name: str) -> bool:
    """By name, or by id in hex (with or without 0x)."""
    wanted = name.lower().removeprefix("0x")
    return message.name == name or wanted in {f"{message.arbitration_id:x}", id_text(message).lower()}


def _print_overview(messages: Sequence[MessageDef]) -> None:
    rows = [("id", "message", "bytes", "signals", "comment")]
    for message in sorted(messages, key=lambda one: (one.is_extended, one.arbitration_id)):
        comment = " ".join(message.comment.split())[:80]
        rows.append((id_text(message), message.name, str(message.length), str(len(message.signals)), comment))
    print_rows(rows)
    console.print(f"{len(messages)} messages, {sum(len(message.signals) for message in messages)} signals")


def _print_message(message: MessageDef) -> None:
    kind = "CAN FD, " if message.is_fd else ""
    console.print(f"{message.name}: id {id_text(message)}, {kind}{message.length} bytes")
    if message.comment:
        console.print(f"  {' '.join(message.comment.split())}")
    rows = [("signal", "bits", "raw", "value", "unit", "range", "when", "comment and values")]
    print_rows([*rows, *(tuple(_signal_cells(message, signal)) for signal in message.signals)])


def print_rows(rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as they need to be: a terminal cuts what it cannot show, a pipe gets all."""
    if len(rows) < 2:
        return
    kept = [number for number in range(len(rows[0])) if any(row[number] for row in rows[1:])]
    widths = {number: max(len(row[number]) for row in rows) for number in kept}
    for row in rows:
        console.print("  " + "  ".join(row[number].ljust(widths[number]) for number in kept).rstrip())


def _signal_cells(message: MessageDef, signal: SignalDef) -> Iterator[str]:
    yield signal.name
    yield f"{signal.start_bit}|{signal.length_bits} {'Intel' if signal.is_little_endian else 'Motorola'}"
    yield signal.raw_type
    yield f"× {signal.scale:.10g}" + (f" {signal.offset:+.10g}" if signal.offset else "")
    yield signal.unit
    is_limited = signal.minimum is not None and signal.maximum is not None
    yield f"{signal.minimum:.6g} to {signal.maximum:.6g}" if is_limited else ""
    values = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in signal.selectors)
    yield "" if signal.multiplexer is None else f"{message.signals[signal.multiplexer].name} = {values}"
    choices = ", ".join(f"{raw} {text}" for raw, text in signal.choices)
    yield " ".join(f"{signal.comment} {choices}".split())[:120]


def print_diff(before: Path, after: Path, *, as_json: bool) -> int:
    """Print what changed; the exit code is 1 when something did, else 0 (as `diff` does)."""
    changes = compare(read_file(before).messages, read_file(after).messages)
    if as_json:
        print(json.dumps([asdict(change) for change in changes]))
        return 1 if changes else 0
    for change in changes:
        _print_change(change)
    kinds: Counter[str] = Counter(change.kind for change in changes)
    total = ", ".join(f"{kinds[kind]} {kind}" for kind in _SIGNS) if changes else "no difference"
    console.print(total)
    return 1 if changes else 0


def _print_change(change: Change) -> None:
    sign, colour = _SIGNS[change.kind]
    console.print(Text(f"{sign} {change.subject}", style=colour).append(f"  ({change.effect})", style="default"))
    for field, old, new in change.details:
        console.print(f"    {field}: {old} -> {new}")


def convert_file(source: Path, target: Path, bus: str | None, *, is_forced: bool) -> None:
    """Write `source` as the kind that the ending of `target` names, and say on standard error what is lost."""
    if target.exists() and not is_forced:
        raise UserError(f"{target}: exists already; --force writes over it")
    found = read_file(source)
    messages = [message for message in found.messages if bus is None or message.bus_name == bus]
    if not messages:
        known = ", ".join(sorted({message.bus_name for message in found.messages if message.bus_name})) or "no names"
        raise UserError(f"{source}: no message on bus {bus!r}; its buses have {known}")
    written = write_definitions(messages, target.suffix)
    for problem in found.problems:
        notes.print(f"{source}:{problem.line}: {problem.why}")
    for loss in (*found.losses, *written.losses):
        notes.print(f"lost: {loss}")
    _write(target, written.text)
    signals = sum(len(message.signals) for message in messages)
    console.print(f"{target}: {len(messages)} messages, {signals} signals")


def _write(target: Path, text: str) -> None:
    try:
        target.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror}") from None


def guess_definitions(log: Path, known: Sequence[Path], target: Path | None, *, is_forced: bool) -> None:
    """Print what the unknown ids of a recording may carry, and write it as a DBC to edit."""
    if target is not None and target.exists() and not is_forced:
        raise UserError(f"{target}: exists already; --force writes over it")
    if target is not None and target.suffix.lower() not in {".dbc", ".csv"}:
        raise UserError(f"{target}: name the output .dbc or .csv")
    ids = Known(one for path in known for one in read_file(path).messages)
    recording = open_log(log)
    payloads, seen = collect(recording.chunks(), ids)
    if recording.problem:
        notes.print(f"ved: {recording.problem}")
    messages = guess_messages(payloads, seen)
    if not messages:
        console.print(f"{log}: no unknown id in it")
        return
    for message in messages:
        console.print(f"{id_text(message)} on bus {message.bus}, {message.length} bytes: {message.comment}")
        print_rows([("signal", "bits", "raw", "guess")] + [_guess_cells(signal) for signal in message.signals])
    if target is not None:
        written = write_definitions(messages, target.suffix)
        for loss in written.losses:
            notes.print(f"lost: {loss}")
        _write(target, written.text)
        console.print(f"{target}: {len(messages)} messages to edit; names, scales and units are yours to find")


def _guess_cells(signal: SignalDef) -> tuple[str, ...]:
    order = "Intel" if signal.is_little_endian else "Motorola"
    return signal.name, f"{signal.start_bit}|{signal.length_bits} {order}", signal.raw_type, signal.comment
