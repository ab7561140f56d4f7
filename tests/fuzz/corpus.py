"""The kept inputs: a text file a target, an input a line in base64. Together they reach what fuzzing has reached."""

import base64
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("corpus")
MAX_INPUTS: Final = 60
MAX_BYTES: Final = 1024


def file_of(target: str) -> Path:
    return FOLDER / f"{target.lower().replace(', ', '-').replace(' ', '-')}.txt"


def read(target: str) -> list[bytes]:
    path = file_of(target)
    return [base64.b64decode(line) for line in path.read_text().splitlines()] if path.exists() else []


def write(target: str, inputs: list[bytes]) -> None:
    """The smallest of them, in order."""
    kept = sorted({one for one in inputs if len(one) <= MAX_BYTES}, key=lambda one: (len(one), one))[:MAX_INPUTS]
    file_of(target).write_text("".join(base64.b64encode(one).decode() + "\n" for one in kept))
