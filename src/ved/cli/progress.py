"""Progress of what takes more than two seconds."""

import time
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_QUIET_S: Final = 2.0


class LateProgress:
    """A progress bar on standard error that appears after two seconds, and only where a person looks."""

    def __init__(self, title: str, total: int | None) -> None:
        self._title, self._total = title, total
        self._began_s = time.monotonic()
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> "LateProgress":
        return self

    def update(self, done: int, title: str | None = None, total: int | None = None) -> None:
        """`done` of the total; a new title or total replaces the old one."""
        self._title = title or self._title
        self._total = total or self._total
        if self._progress is None:
            if time.monotonic() - self._began_s < _QUIET_S:
                return
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._progress.add_task(self._title, total=self._total)
            self._progress.start()
        self._progress.update(self._task, completed=done, description=self._title, total=self._total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
