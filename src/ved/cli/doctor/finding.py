"""What a check says: one line, and what to do where something is wrong."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is its subject (`ports`, `clock`), `text` what was found, `advice` what to do (empty: nothing)."""

    check: str
    state: State
    text: str
    advice: str = ""


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, advice: str) -> Finding:
    """It works, but not for long, or not in every case."""
    return Finding(check, "warning", text, advice)


def problem(check: str, text: str, advice: str) -> Finding:
    """It does not work, or data is in danger."""
    return Finding(check, "problem", text, advice)
