"""What a check of DBC files found: one type for all checks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or doubtful: where, what, and what to do.

    `line` counts from 1 (0: the finding is not about one line) and `text` is that line. `code` is the check's name.
    `subject` is the message or signal, as `Message` or `Message.Signal`.
    """

    code: str
    severity: Severity
    file: str
    line: int
    text: str
    subject: str
    what: str
    advice: str


def count_severities(findings: Sequence[Finding]) -> dict[Severity, int]:
    """How many errors, warnings and notes."""
    counts = Counter(finding.severity for finding in findings)
    return {"error": counts["error"], "warning": counts["warning"], "note": counts["note"]}


def in_file_order(findings: Sequence[Finding]) -> list[Finding]:
    """By file (in order of first mention), then line, then code; what is about no line comes last."""
    files = {file: number for number, file in enumerate(dict.fromkeys(finding.file for finding in findings))}
    return sorted(findings, key=lambda one: (files[one.file], one.line == 0, one.line, one.code))
