"""Logs on standard error: lines for people, or one JSON object a line for programs. Secrets never get into them."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final, Literal

LogFormat = Literal["text", "json"]
_HIDDEN: Final = "…"
_SECRETS: Final = (
    (re.compile(r"(token=)[^&\s\"']+"), rf"\1{_HIDDEN}"),
    (re.compile(r"(Bearer\s+)[^\s\"']+", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (re.compile(r"(://[^\s/:@\"']*:)[^\s/@\"']+@"), rf"\1{_HIDDEN}@"),
    (re.compile(r"\bVED1-[A-Z2-7 -]+", re.IGNORECASE), f"VED1-{_HIDDEN}"),
)
"""Sign-in tokens in links, keys in headers, passwords in URLs, enrolment codes."""


def set_up_logging(who: str, log_format: LogFormat) -> None:
    """Log what ved says from INFO on, and warnings of libraries, as `who` (a role)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(who) if log_format == "json" else TextFormatter(who))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("ved").setLevel(logging.INFO)


def redacted(text: str) -> str:
    """The text without the secrets that may stand in it."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class TextFormatter(logging.Formatter):
    """A line with time, role and level; a traceback below it."""

    def __init__(self, who: str) -> None:
        super().__init__(f"%(asctime)s {who}: %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        return redacted(super().format(record))


class JsonFormatter(logging.Formatter):
    """One object a line: time (UTC, ISO 8601), role, level, logger, message; error (a traceback) where there is one."""

    def __init__(self, who: str) -> None:
        super().__init__()
        self._who = who

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said = {
            "time": when.replace("+00:00", "Z"),
            "role": self._who,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            said["error"] = redacted(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=False)
