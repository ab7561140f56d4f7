"""A maths channel as people define it."""

import re
from dataclasses import dataclass
from typing import Final

MATHS_MESSAGE: Final = "Maths"
"""Maths channels are named Maths.Name, beside Message.Signal."""

MATHS_NAME: Final = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class MathsDef:
    """`expression` as docs/spec/maths.md says; `unit` empty: as it comes out."""

    name: str
    expression: str
    unit: str = ""
    comment: str = ""

    @property
    def channel(self) -> str:
        """Full name of the channel."""
        return f"{MATHS_MESSAGE}.{self.name}"
