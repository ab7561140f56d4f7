"""Figures as text for Prometheus: format 0.0.4, and OpenMetrics 1.0 for those who ask for it.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ and RFC draft OpenMetrics 1.0.0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family: its name (a counter's without `_total`), what it is, and (labels, value) of each member."""

    name: str
    kind: Literal["gauge", "counter"]
    comment: str
    values: Sequence[tuple[Mapping[str, str], float]]


def wants_open_metrics(accept: str) -> bool:
    """True when the header `Accept` names OpenMetrics."""
    return any(part.split(";")[0].strip() == "application/openmetrics-text" for part in accept.split(","))


def exposition(metrics: Iterable[Metric], *, is_open: bool) -> str:
    """The text of all families, in the order given."""
    lines: list[str] = []
    for metric in metrics:
        sample = metric.name + ("_total" if metric.kind == "counter" else "")
        family = metric.name if is_open else sample
        comment = metric.comment.replace("\\", r"\\").replace("\n", r"\n")
        lines.append(f"# HELP {family} {_quoted(comment) if is_open else comment}")
        lines.append(f"# TYPE {family} {metric.kind}")
        for labels, value in metric.values:
            inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            lines.append(f"{sample}{{{inside}}} {_number(value)}" if inside else f"{sample} {_number(value)}")
    if is_open:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return _quoted(text.replace("\\", r"\\").replace("\n", r"\n"))


def _quoted(text: str) -> str:
    return text.replace('"', r"\"")


def _number(value: float) -> str:
    if value != value:  # noqa: PLR0124 - NaN alone
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value)).removesuffix(".0")
