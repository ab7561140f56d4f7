"""What a notification says: some alarms in words, and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final, Literal

from ved.model.alarm import Alarm

MAX_LISTED: Final = 20
MAX_TEXT_CHARS: Final = 1900
"""Discord takes 2,000 characters."""
SEVERITIES: Final = {1: "info", 2: "warning", 3: "critical"}
_MARKS: Final = {1: "ℹ", 2: "⚠", 3: "🛑"}

Step = Literal["raised", "cleared"]


@dataclass(frozen=True, slots=True)
class News:
    """An alarm that was raised or cleared."""

    alarm: Alarm
    step: Step


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: a title of one line, a text of some lines, and the alarms for programs."""

    title: str
    text: str
    alarms: tuple[dict[str, Any], ...] = ()

    def payload(self) -> dict[str, Any]:
        """The JSON of a webhook. Mattermost and Slack show `text`, Discord shows `content`."""
        whole = f"{self.title}\n{self.text}"[:MAX_TEXT_CHARS]
        return {"version": 1, "title": self.title, "text": whole, "content": whole, "alarms": list(self.alarms)}


def message_of(news: Sequence[News]) -> Message:
    """One message for all of it, the gravest first."""
    ordered = sorted(news, key=lambda one: (-one.alarm.severity, one.step != "raised", one.alarm.utc_raised_us))
    lines = [_line(one) for one in ordered[:MAX_LISTED]]
    if len(ordered) > MAX_LISTED:
        lines.append(f"… + {len(ordered) - MAX_LISTED}")
    raised = [one for one in ordered if one.step == "raised"]
    vehicles = ", ".join(sorted({one.alarm.vehicle for one in news}))
    if len(ordered) == 1:
        title = f"{vehicles}: {_names(ordered[0].alarm)}" + ("" if raised else " (cleared / terminée)")
    else:
        title = f"{vehicles}: {len(raised)} raised / déclenchées, {len(news) - len(raised)} cleared / terminées"
    return Message(title, "\n".join(lines), tuple(_values(one) for one in ordered))


def trial_message(who: str) -> Message:
    """What the test button sends."""
    return Message("Test", f"Test notification, asked for by {who}. / Notification d'essai, demandée par {who}.")


def _line(news: News) -> str:
    alarm = news.alarm
    value = f" {alarm.channel} = {alarm.value:g} {alarm.unit}".rstrip() if isfinite(alarm.value) else ""
    at_us = alarm.utc_raised_us if news.step == "raised" else alarm.utc_cleared_us
    when = datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%H:%M:%S")
    mark = _MARKS.get(alarm.severity, "") if news.step == "raised" else "✔"
    return f"{mark} {alarm.vehicle}: {_names(alarm)}{value} ({when} UTC)"


def _names(alarm: Alarm) -> str:
    return alarm.title_en if alarm.title_en == alarm.title_fr else f"{alarm.title_en} / {alarm.title_fr}"


def _values(news: News) -> dict[str, Any]:
    """All of the alarm that JSON can say; the severity as a word."""
    values = {key: value for key, value in asdict(news.alarm).items() if key not in ("epoch", "t_raised_us")}
    for key in ("value", "worst"):
        values[key] = values[key] if isfinite(values[key]) else None
    return {**values, "severity": SEVERITIES.get(news.alarm.severity, "info"), "step": news.step}
