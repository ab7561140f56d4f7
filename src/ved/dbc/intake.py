"""A definition file that somebody hands in: held against limits, explained, made into the DBC text of one bus."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Final

from ved.dbc.definitions import MessageDef
from ved.dbc.findings import Finding
from ved.dbc.formats import Definitions, decode_text, read_definitions
from ved.dbc.lint import LintedFile, lint
from ved.dbc.write import write_dbc
from ved.errors import UserError

MAX_FILE_BYTES: Final = 8 << 20
MAX_TEXT_CHARS: Final = 16 << 20
MAX_MESSAGES: Final = 20_000
MAX_SIGNALS: Final = 50_000
MAX_NAME_CHARS: Final = 250
"""Of a message or a signal: `bus.Message.Signal` must fit the 512 characters of the live protocol."""
MAX_FINDINGS: Final = 300


@dataclass(frozen=True, slots=True)
class Intake:
    """What a file gives: its name (text), the DBC text for the bus, counts, findings, and what the text cannot say."""

    name: str
    text: str
    messages: int
    signals: int
    findings: tuple[Finding, ...]
    losses: tuple[str, ...]


def take_in(data: bytes, name: str, bus_name: str) -> Intake:
    """Read a file of any known kind for a bus. Of a file with several named buses the bus's own messages are taken.

    UserError when it is too large, binary, of no known kind, or yields no usable message.
    """
    name = plain_name(name)
    if len(data) > MAX_FILE_BYTES:
        raise UserError(f"{name}: larger than {MAX_FILE_BYTES >> 20} MiB, so surely no definition file")
    is_dbc = PurePath(name).suffix.lower() == ".dbc"
    if PurePath(name).suffix.lower() != ".xlsx" and b"\0" in data[: 1 << 20]:
        raise UserError(f"{name}: a binary file, or UTF-16 text; save it as UTF-8")
    found = read_definitions(data, name)
    messages = _of_bus(found.messages, bus_name)
    _check_limits(name, messages)
    if is_dbc:
        text, losses = decode_text(data), found.losses
    else:
        written = write_dbc(messages)
        text, losses = written.text, (*found.losses, *written.losses)
    if len(text) > MAX_TEXT_CHARS:
        raise UserError(f"{name}: its definitions are too long as a DBC")
    findings = lint([_linted(name, data, replace(found, messages=messages), is_dbc=is_dbc)])
    signals = sum(len(message.signals) for message in messages)
    return Intake(name, text, len(messages), signals, tuple(findings[:MAX_FINDINGS]), tuple(losses))


def plain_name(name: str) -> str:
    """A file's name without folders and control characters, at most 120 characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in last)
    return shown if len(shown) <= 120 else f"{shown[:80]}…{shown[-30:]}"


def _of_bus(messages: Sequence[MessageDef], bus_name: str) -> tuple[MessageDef, ...]:
    own = tuple(message for message in messages if message.bus_name == bus_name)
    return own or tuple(messages)


def _check_limits(name: str, messages: Sequence[MessageDef]) -> None:
    if len(messages) > MAX_MESSAGES:
        raise UserError(f"{name}: {len(messages):,} messages; at most {MAX_MESSAGES:,} are taken")
    signals = sum(len(message.signals) for message in messages)
    if signals > MAX_SIGNALS:
        raise UserError(f"{name}: {signals:,} signals; at most {MAX_SIGNALS:,} are taken")
    for message in messages:
        for one in (message.name, *(signal.name for signal in message.signals)):
            if len(one) > MAX_NAME_CHARS:
                raise UserError(
                    f"{name}: line {message.line}: a name of {len(one)} characters; at most {MAX_NAME_CHARS}"
                )


def _linted(name: str, data: bytes, found: Definitions, *, is_dbc: bool) -> LintedFile:
    messages = tuple(replace(message, file=name) for message in found.messages)
    lines = tuple(decode_text(data).split("\n")) if is_dbc or any(message.line for message in messages) else ()
    return LintedFile(name, messages, found.problems, lines, found.losses)
