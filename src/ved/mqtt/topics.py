"""Names of channels as topics, and values as text that any device can read."""

import math
from typing import Final

STATUS: Final = "status"
OBJECT: Final = "values"
_OWN: Final = (STATUS, OBJECT)
_WILD: Final = "/+#%"


def topic_of(prefix: str, vehicle: str, channel: str) -> str:
    """`prefix/vehicle/channel`. What has a meaning in a topic, or may not stand in one, becomes %XX of its UTF-8 bytes.

    Distinct channels have distinct topics; none has the topic of the status or of the object with all values.
    """
    name = "".join(_safe(letter) for letter in channel)
    if name in _OWN:
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return f"{prefix}/{vehicle}/{name}"


def _safe(letter: str) -> str:
    code = ord(letter)
    is_fine = letter not in _WILD and letter.isprintable() and code & 0xFFFE != 0xFFFE
    return letter if is_fine else "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))


def number_text(value: float) -> str | None:
    """A number as JSON and every scanf read it, ten digits; None for what is no number."""
    if not math.isfinite(value):
        return None
    text = f"{value:.10g}"
    if not math.isfinite(float(text)):  # rounded past the largest number
        text = repr(value)
    return "0" if text == "-0" else text
