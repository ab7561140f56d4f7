"""Lines into the database: again and again until it takes them, and what it never takes is counted and told once."""

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from ved.influx.client import InfluxAwayError, InfluxClient, Refusal
from ved.influx.lines import Field, Lines
from ved.metrics import LINES_TOTAL, REFUSED_TOTAL, Counters

MOST_BODY_BYTES: Final = 4 << 20
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
MOST_TRIALS: Final = 64
"""How many requests are spent on finding the lines of one body that the database refuses."""
_MOST_CONFLICTS: Final = 256
_log = logging.getLogger(__name__)


class Sender:
    """Sends lines in bodies of a bounded size, one after the other.

    `patience_s`: after so long without an answer that takes lines, InfluxAwayError is raised.
    """

    def __init__(
        self, client: InfluxClient, counters: Counters, stop: asyncio.Event, patience_s: float = math.inf
    ) -> None:
        self._client = client
        self._counters = counters
        self._stop = stop
        self._told: set[str] = set()
        self._patience_s = patience_s
        self._away_since_s: float | None = None
        self._trials = 0

    @property
    def is_stopping(self) -> bool:
        """True once nothing is waited for any more."""
        return self._stop.is_set()

    async def send(self, make: Callable[[], Lines], refused: set[Field]) -> bool:
        """Write what `make` makes until it is taken or refused for good; False when told to stop before that.

        A field that has another type in the database is added to `refused`, and `make` is asked anew.
        """
        for _ in range(_MOST_CONFLICTS):
            lines = await asyncio.to_thread(make)
            known, lost = len(refused), self._counters[REFUSED_TOTAL]
            for body in bodies(lines.parts):
                self._trials = 0
                if not await self._deliver(body, refused):
                    return False
                if len(refused) != known:
                    break  # written again without the field: points that are there already stay as they are
            else:
                self._counters.add(LINES_TOTAL, max(0, lines.count - (self._counters[REFUSED_TOTAL] - lost)))
                self._counters.add(REFUSED_TOTAL, lines.left_out)
                return True
        return True

    async def patiently(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do something else with the database, as often as it takes; False when told to stop.

        InfluxRefusedError at once: waiting would not help.
        """
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            try:
                await work()
            except InfluxAwayError as error:
                pause_s = await self._wait(error, pause_s)
                continue
            self._is_back()
            return True
        return False

    async def _deliver(self, body: bytes, refused: set[Field]) -> bool:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                refusal = await self._client.write(body)
            except InfluxAwayError as error:
                pause_s = await self._wait(error, pause_s)
                if self._stop.is_set():
                    return False
                continue
            self._is_back()
            return refusal is None or await self._refused(body, refusal, refused)

    async def _refused(self, body: bytes, refusal: Refusal, refused: set[Field]) -> bool:
        """Part by part, until what is wrong stands alone; True unless told to stop."""
        if refusal.conflict is not None and refusal.conflict not in refused:
            measurement, field = refusal.conflict
            self._tell(
                f"field {field}",
                f"field '{field}' of measurement '{measurement}' has another type there and is left out from now on; "
                f"drop that measurement, or choose another influx_database",
            )
            refused.add(refusal.conflict)
            return True
        count = body.count(b"\n")
        if refusal.dropped >= 0:
            self._count_refused(refusal.dropped, refusal.why)
            return True
        self._trials += 1
        if count <= 1 or (self._trials > MOST_TRIALS and not refusal.is_too_large):
            self._count_refused(count, refusal.why)
            return True
        return all([await self._deliver(half, refused) for half in _halves(body)])

    def _count_refused(self, count: int, why: str) -> None:
        self._counters.add(REFUSED_TOTAL, count)
        self._tell(_kind_of(why), f"{count} lines are refused for good: {why}")

    def _tell(self, kind: str, text: str) -> None:
        if kind not in self._told and len(self._told) < _MOST_CONFLICTS:
            self._told.add(kind)
            _log.warning("%s: %s", self._client.shown, text)

    async def _wait(self, error: InfluxAwayError, pause_s: float) -> float:
        """Wait before the next try; how long to wait after that."""
        if self._away_since_s is None:
            _log.warning("%s %s; tried again until it takes the lines", self._client.shown, error)
            self._away_since_s = time.monotonic()
        elif time.monotonic() - self._away_since_s > self._patience_s:
            raise error
        pause_s = max(pause_s, error.pause_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), pause_s * random.uniform(0.5, 1.0))
        return min(2 * pause_s, LONGEST_PAUSE_S)

    def _is_back(self) -> None:
        if self._away_since_s is not None:
            _log.warning("%s takes lines again", self._client.shown)
        self._away_since_s = None


def bodies(parts: Sequence[bytes], most_bytes: int = MOST_BODY_BYTES) -> Iterator[bytes]:
    """The parts in bodies of whole lines of at most `most_bytes` (a longer line stands alone)."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        for piece in _pieces(part, most_bytes):
            if size and size + len(piece) > most_bytes:
                yield b"".join(waiting)
                waiting, size = [], 0
            waiting.append(piece)
            size += len(piece)
    if size:
        yield b"".join(waiting)


def _pieces(part: bytes, most_bytes: int) -> Iterator[bytes]:
    at = 0
    while len(part) - at > most_bytes:
        end = part.rfind(b"\n", at, at + most_bytes) + 1 or part.find(b"\n", at) + 1
        yield part[at:end]
        at = end
    if at < len(part):
        yield part[at:]


def _halves(body: bytes) -> tuple[bytes, bytes]:
    """Two parts of whole lines; the body has two lines at least."""
    middle = len(body) // 2
    end = body.find(b"\n", middle, len(body) - 1) + 1 or body.rfind(b"\n", 0, middle) + 1
    return body[:end], body[end:]


def _kind_of(why: str) -> str:
    """The reason without what differs from line to line."""
    return why.split(":", maxsplit=1)[0] if ":" in why else why
