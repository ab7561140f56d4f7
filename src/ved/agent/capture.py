"""The reading thread: everything that touches the source happens here."""

import threading
import time
from collections.abc import Callable
from typing import Final

from ved.agent.framequeue import FrameQueue
from ved.canbus.source import LossySource, Source
from ved.model.clockmap import ClockPair
from ved.sensors.source import SampleSource

READ_S: Final = 0.05
CLOCK_S: Final = 10.0
JOIN_S: Final = 5.0


class Capture:
    """Reads `source` into `queue` until it ends or `stop` is called; closes both. `failure` is what it ended with."""

    def __init__(
        self, source: Source | SampleSource, queue: FrameQueue, origin_mono_ns: int, on_end: Callable[[], None]
    ) -> None:
        self._source = source
        self._lossy_source = source if isinstance(source, LossySource) else None
        self._queue = queue
        self._origin_mono_ns = origin_mono_ns
        self._on_end = on_end
        self._is_stopping = threading.Event()
        self._clock_s = 0.0
        self._last_pair: ClockPair | None = None
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self.frames = 0
        self.failure: Exception | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; returns at once."""
        self._is_stopping.set()

    def join(self) -> None:
        """Wait for the end; a source that does not come back from `read` is left behind."""
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        try:
            self._source.open(self._origin_mono_ns)
            self._read()
        except Exception as error:  # noqa: BLE001  # the thread's top: whoever joins raises it
            self.failure = error
        finally:
            self._source.close()
            self._note_losses()
            self._queue.close()
            self._on_end()

    def _read(self) -> None:
        put = self._queue.put if self._source.is_realtime else self._queue.put_patiently
        while not self._is_stopping.is_set():
            self._note_clock()
            frames = self._source.read(READ_S)
            if frames is None:
                return
            self.frames += len(frames)
            put(frames)
            self._note_losses()

    def _note_losses(self) -> None:
        if self._lossy_source is not None:
            for loss in self._lossy_source.losses():
                self._queue.put_note(loss)

    def _note_clock(self) -> None:
        """A clock pair at the start and every ten seconds, unless it says the same as the last one."""
        now_ns = time.monotonic_ns()
        now_s = now_ns / 1e9
        if self._last_pair is not None and now_s - self._clock_s < CLOCK_S:
            return
        pair = self._source.clock(now_ns)
        if pair is not None and pair != self._last_pair:
            self._last_pair = pair
            self._queue.put_note(pair)
        self._clock_s = now_s
