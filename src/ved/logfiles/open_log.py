"""Open a recording by the ending of its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ved.errors import UserError
from ved.logfiles.candump import CandumpLog
from ved.logfiles.logfile import LogFile
from ved.logfiles.mf4 import Mf4Log
from ved.logfiles.pythoncan_log import PythonCanLog

_READERS: Final[dict[str, Callable[[Path], LogFile]]] = {
    ".mf4": Mf4Log,
    ".log": CandumpLog,
    ".blf": PythonCanLog,
    ".asc": PythonCanLog,
    ".trc": PythonCanLog,
}
LOG_ENDINGS: Final = tuple(sorted(_READERS))


def open_log(path: Path) -> LogFile:
    """The log at `path`; UserError when it is missing, unreadable, of an unknown kind or no such log inside."""
    try:
        if path.is_dir():
            raise UserError(f"log {path}: is a folder; name a file")
        if not path.exists():
            raise UserError(f"log {path}: no such file")
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            known = ", ".join(LOG_ENDINGS)
            raise UserError(f"log {path}: unknown kind {path.suffix or '(no ending)'!r}; known are {known}")
        return reader(path)
    except OSError as error:
        raise UserError(f"log {path}: cannot be read: {error.strerror or error}") from error
