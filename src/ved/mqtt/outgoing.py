"""What is to be published of one vehicle now: the latest values, changed or due, and how fresh all is. Pure."""

import fnmatch
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from ved.mqtt.settings import MqttRules
from ved.mqtt.topics import OBJECT, STATUS, number_text, topic_of

STALE_S: Final = 2.0
OFFLINE_S: Final = 30.0
MAX_CHANNELS: Final = 10_000
_STATUS_S: Final = 10.0

Status = Literal["online", "stale", "offline"]


class Publication(NamedTuple):
    """One message."""

    topic: str
    payload: str
    is_retained: bool


@dataclass(slots=True)
class _Value:
    text: str
    topic: str
    heard_s: float
    is_new: bool = True
    sent_text: str = ""
    sent_s: float = field(default=float("-inf"))


class Outgoing:
    """The latest of one vehicle. Times are the server's monotonic clock in seconds."""

    def __init__(self, vehicle: str, rules: MqttRules) -> None:
        self.vehicle = vehicle
        self.dropped = 0
        self._rules = rules
        self._values: dict[str, _Value] = {}
        self._heard_s = float("-inf")
        self._is_linked = True
        self._sent_status: Status | None = None
        self._status_s = float("-inf")

    def take(self, values: Mapping[str, float], now_s: float) -> None:
        """The latest value of each of some channels came; what is no number, or is not wanted, is left out."""
        for name, value in values.items():
            text = number_text(value)
            if text is None or not is_wanted(name, self._rules.channels):
                continue
            known = self._values.get(name)
            if known is not None:
                known.text, known.heard_s, known.is_new = text, now_s, True
            elif len(self._values) < MAX_CHANNELS:
                self._values[name] = _Value(text, topic_of(self._rules.prefix, self.vehicle, name), now_s)
            else:
                self.dropped += 1
        self._heard_s, self._is_linked = now_s, True

    def take_link(self, *, is_up: bool) -> None:
        """The car's connection came or went."""
        self._is_linked = is_up

    def status(self, now_s: float) -> Status:
        """Online while values come; offline when the car has gone or said nothing for long; stale between."""
        if now_s - self._heard_s < STALE_S:
            return "online"
        return "stale" if self._is_linked and now_s - self._heard_s < OFFLINE_S else "offline"

    def forget_sent(self) -> None:
        """The connection is a new one: nobody has anything."""
        self._sent_status = None
        for value in self._values.values():
            value.sent_s = float("-inf")

    def due(self, now_s: float) -> list[Publication]:
        """What is to be published now; it counts as sent. A value that did not come anew is never published again."""
        out = self._due_status(now_s)
        changed = False
        for value in self._values.values():
            if not value.is_new or now_s - value.heard_s >= STALE_S:
                continue
            value.is_new = False
            if value.text != value.sent_text or now_s - value.sent_s >= self._rules.every_s:
                value.sent_text, value.sent_s, changed = value.text, now_s, True
                out.append(Publication(value.topic, value.text, self._rules.is_retained))
        if changed and self._rules.has_object:
            out.append(self._object(now_s))
        return out

    def _due_status(self, now_s: float) -> list[Publication]:
        """Also now and then when nothing changed: a broker that has gone shows by it."""
        status = self.status(now_s)
        if status == self._sent_status and now_s - self._status_s < _STATUS_S:
            return []
        self._sent_status, self._status_s = status, now_s
        return [Publication(status_topic(self._rules.prefix, self.vehicle), status, is_retained=True)]

    def _object(self, now_s: float) -> Publication:
        """All fresh values as one JSON object."""
        fresh = {name: one.text for name, one in self._values.items() if now_s - one.heard_s < STALE_S}
        body = ",".join(f"{_json_text(name)}:{text}" for name, text in fresh.items())
        topic = f"{self._rules.prefix}/{self.vehicle}/{OBJECT}"
        return Publication(topic, f"{{{body}}}", self._rules.is_retained)


def status_topic(prefix: str, vehicle: str) -> str:
    """Where a vehicle's status is told."""
    return f"{prefix}/{vehicle}/{STATUS}"


@functools.lru_cache(maxsize=65_536)
def is_wanted(channel: str, patterns: tuple[str, ...]) -> bool:
    """True when any of the patterns names the channel."""
    return any(fnmatch.fnmatchcase(channel, pattern) for pattern in patterns)


@functools.lru_cache(maxsize=65_536)
def _json_text(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
