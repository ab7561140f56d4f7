"""The agent process of bench_link.py: plays saved frames at their own pace, and prints what that cost.

`python benchmarks/link_agent.py STATE_DIR FRAMES.npz SECONDS`
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

BEGUN_S = time.monotonic()

import numpy as np  # noqa: E402  # the clock starts before the imports

from ved.agent.agent import AgentProgress, AgentSettings, run_agent  # noqa: E402
from ved.model.clockmap import ClockPair  # noqa: E402
from ved.model.frames import FrameColumns  # noqa: E402
from ved.model.records import ClockSource, Description  # noqa: E402

READ_US = 5_000


class LoadSource:
    """A live source: frames come when their time has come, in portions of 5 ms."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as saved:
            self._frames = FrameColumns(*(saved[name] for name in saved.files))
        self._at = 0
        self._origin_ns = 0

    @property
    def is_realtime(self) -> bool:
        return True

    def open(self, origin_mono_ns: int) -> None:
        self._origin_ns = origin_mono_ns

    def read(self, timeout_s: float) -> FrameColumns | None:
        time.sleep(min(timeout_s, READ_US / 1e6))
        now_us = (time.monotonic_ns() - self._origin_ns) // 1000
        end = int(np.searchsorted(self._frames.t_us, now_us))
        frames = self._frames.take(slice(self._at, end))
        self._at = end
        return frames

    def clock(self, now_mono_ns: int) -> ClockPair | None:
        t_us = (now_mono_ns - self._origin_ns) // 1000
        return ClockPair(t_us, time.time_ns() // 1000, ClockSource.HOST)

    def close(self) -> None:
        pass


def cpu_s() -> float:
    """Seconds of processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_bytes() -> int:
    """Most memory that this program had. Not `ru_maxrss`: that begins with what the parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


async def main() -> None:
    """Run for the given time; measure from the first frame that the server has stored."""
    stop = asyncio.Event()
    marks: list[tuple[float, float]] = []

    def note(progress: AgentProgress) -> None:
        if progress.stored_frames and not marks:
            marks.append((time.monotonic(), cpu_s()))

    asyncio.get_running_loop().call_later(float(sys.argv[3]), stop.set)
    description = Description("fs", bytes(16), 0, "bench", ())
    source = LoadSource(Path(sys.argv[2]))
    report = await run_agent(AgentSettings(Path(sys.argv[1]), "fs"), source, description, stop, note)
    first_s, first_cpu_s = marks[0]
    result = {
        "first_stored_s": first_s - BEGUN_S,
        "core": (cpu_s() - first_cpu_s) / (time.monotonic() - first_s),
        "frames": report.frames,
        "stored_frames": report.stored_frames,
        "rss_bytes": peak_bytes(),
    }
    print(json.dumps(result), flush=True)


asyncio.run(main())
