"""One value an MQTT message, named by its topic: `21.5`, `true`, or `{"value": 21.5, "t": 1690000000.25, "unit": "V"}`.

A pattern like `sensors/{board}/{name}` says which topics are read, and with a template like `{board}.{name}` what a
value's channel is called.
"""

import json
import re
from typing import Final

from ved.errors import CorruptDataError, UserError
from ved.model.channel import ChannelKind
from ved.sensors.values import NO_TIME, ValueList, channel_of, finite

MAX_PAYLOAD: Final = 4096
_MAX_SECONDS: Final = 1e11
_PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")
_KEYS: Final = {"value", "t", "unit"}


def add_json_value(payload: bytes, name: str, found: ValueList) -> None:
    """Add the value of a payload under this channel name. CorruptDataError when it is none."""
    if len(payload) > MAX_PAYLOAD:
        raise CorruptDataError(f"larger than {MAX_PAYLOAD} bytes")
    try:
        content = json.loads(payload, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise CorruptDataError(f"no JSON: {error}") from None
    table = content if isinstance(content, dict) else {"value": content}
    if not table.keys() <= _KEYS:
        raise CorruptDataError("a key that is not value, t or unit")
    value, seconds, unit = table.get("value"), table.get("t"), table.get("unit", "")
    if not isinstance(value, int | float) or not isinstance(unit, str):
        raise CorruptDataError("value is no number and no boolean, or unit no text")
    kind: ChannelKind = "discrete" if isinstance(value, bool) else "continuous"
    try:
        found.add(channel_of(name, unit, kind), finite(float(value)), _utc_us(seconds))
    except (ValueError, OverflowError) as error:
        raise CorruptDataError(str(error)) from None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _utc_us(seconds: object) -> int:
    """UTC in µs of `t`, seconds since 1970."""
    if seconds is None:
        return NO_TIME
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < _MAX_SECONDS:
        return round(seconds * 1e6)
    raise ValueError("t is no time in seconds since 1970")


class TopicPattern:
    """Which topics are read, and the channel of each. UserError when pattern or template are wrong."""

    def __init__(self, pattern: str, template: str = "") -> None:
        self._parts = pattern.split("/")
        names = [self._placeholder(part) for part in self._parts]
        self._names = [name for name in names if name]
        self.filter = "/".join("+" if name else part for name, part in zip(names, self._parts, strict=True))
        unknown = set(_PLACEHOLDER.findall(template)) - set(self._names)
        if unknown or "{" in _PLACEHOLDER.sub("", template) or len(set(self._names)) != len(self._names):
            raise UserError(
                f"channel={template}: it may hold {', '.join(f'{{{one}}}' for one in self._names) or 'text'}"
            )
        self._template = template

    def channel(self, topic: str) -> str:
        """The channel's name; without a template the last two parts of the topic, `board.name`."""
        parts = topic.split("/")
        if not self._template:
            return ".".join(parts[-2:]) if len(parts) > 1 else f"mqtt.{topic}"
        told = {
            part[1:-1]: text for part, text in zip(self._parts, parts, strict=False) if _PLACEHOLDER.fullmatch(part)
        }
        return _PLACEHOLDER.sub(lambda match: told.get(match[1], ""), self._template)

    @staticmethod
    def _placeholder(part: str) -> str:
        match = _PLACEHOLDER.fullmatch(part)
        if match is not None:
            return match[1]
        if not part or any(letter in part for letter in "{}+#"):
            raise UserError(f"topic part {part!r}: write a text, or {{name}} for any, as in sensors/{{board}}/{{name}}")
        return ""
