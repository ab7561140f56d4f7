"""The car's program under test, as a process: the real agent over the source that keeps the truth.

`car_process.py STATE TRUTH LIFE RATE JOURNAL_BYTES BATCH_FRAMES`: writes its progress as JSON lines to
TRUTH/LIFE.progress.
"""

import asyncio
import ctypes
import dataclasses
import json
import logging
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.faults.torture.oracle import TruthSource

from ved.agent.agent import AgentProgress, AgentSettings, run_agent
from ved.model.records import BusDescription, Description

_PR_SET_PDEATHSIG = 1


async def drive(state: Path, truth: Path, numbers: list[int]) -> None:
    life, rate, journal_bytes, batch_frames = numbers
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    fd = os.open(truth / f"{life}.progress", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(progress: AgentProgress) -> None:
        said = dataclasses.asdict(progress) | {"epoch": progress.epoch.hex()}
        os.write(fd, (json.dumps(said) + "\n").encode())

    buses = tuple(BusDescription(index, f"bus{index}", ()) for index in range(3))
    settings = AgentSettings(state, "fs", journal_bytes=journal_bytes, max_batch_frames=batch_frames)
    description = Description("fs", bytes(16), 0, "torture", buses)
    await run_agent(settings, TruthSource(truth, life, rate), description, stop, tell)


def die_with_parent() -> None:
    """A test run that is killed itself leaves no car behind (Linux; elsewhere the test's own end has to do)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    die_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(drive(Path(sys.argv[1]), Path(sys.argv[2]), [int(number) for number in sys.argv[3:]]))
