"""Where the streams are: the one place that knows which broker is in use."""

from pathlib import Path

from ved.broker.base import StreamName
from ved.broker.journal import JournalStream


def open_stream(data: Path, name: StreamName) -> JournalStream:
    """The stream `name` below the data folder; nothing is touched until it is written or read."""
    return JournalStream(data / "streams" / name)
