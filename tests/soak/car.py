"""A car of the soak as a process: the real agent on the simulator, thinned, with the truth written first.

`car.py VEHICLE_FOLDER STATE TRUTH LIFE SEED KEPT`: of the simulator's frames a share KEPT (0 to 1) is on the bus. Ten
times a second comes one more frame, `Soak`, that says when it was made (ms of this machine's monotonic clock). Every
frame stands in TRUTH/LIFE.truth before the agent gets it. The bus is silent while the file TRUTH/quiet exists.
"""

import asyncio
import dataclasses
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.torture.car_process import die_with_parent

from ved.agent.agent import AgentProgress, AgentSettings, run_agent
from ved.canbus.simulator import SimulatorSource
from ved.cli.describe import buses_of, describe
from ved.cli.memory import use_one_allocator
from ved.config.vehicle import load_vehicle
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns
from ved.model.records import ClockSource
from ved.model.vehicle import Vehicle

ROW: Final = np.dtype(
    [("t_us", "<i8"), ("id", "<u4"), ("bus", "u1"), ("flags", "u1"), ("length", "u1"), ("pad", "u1"),
     ("payload", "u1", 8)]
)  # fmt: skip
MARK_ID: Final = 0x7E0
MARK_CHANNEL: Final = "Soak.SentMs"
MARK_DBC: Final = f'VERSION ""\nBU_: X\nBO_ {MARK_ID} Soak: 8 X\n SG_ SentMs : 0|48@1+ (1,0) [0|0] "ms" X\n'
_MARK_MS: Final = 100
_TELL_S: Final = 1.0
_READ_S: Final = 0.05


def rows_of(frames: FrameColumns) -> NDArray[np.void]:
    """Classic frames as rows of the truth."""
    rows = np.zeros(len(frames), ROW)
    rows["t_us"], rows["id"], rows["bus"] = frames.t_us, frames.arbitration_id, frames.bus
    rows["flags"], rows["length"], rows["payload"] = frames.flags, frames.length, frames.payload[:, :8]
    return rows


class SoakSource:
    """The simulated car as a source that keeps the truth."""

    is_realtime = True

    def __init__(self, car: Vehicle, truth: Path, life: int, seed: int, kept: float) -> None:
        self._inner = SimulatorSource(car, seed=seed)
        self._random = np.random.default_rng([seed, life])
        self._kept = kept
        self._truth, self._life = truth, life
        self._fd = -1
        self._marked_ms = 0
        self._origin_ns = 0

    def open(self, origin_mono_ns: int) -> None:
        self._fd = os.open(self._truth / f"{self._life}.truth", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._origin_ns = origin_mono_ns
        self._inner.open(origin_mono_ns)

    def read(self, timeout_s: float) -> FrameColumns | None:
        time.sleep(min(timeout_s, _READ_S))
        frames = self._inner.read(timeout_s)
        if frames is None or not len(frames) or (self._truth / "quiet").exists():
            return FrameColumns.empty()
        last_us, last_bus = int(frames.t_us[-1]), frames.bus.dtype.type(0)
        frames = frames.take(self._random.random(len(frames)) < self._kept)
        now_ms = time.monotonic_ns() // 1_000_000
        if now_ms - self._marked_ms >= _MARK_MS:
            self._marked_ms = now_ms
            frames = FrameColumns.concatenate([frames, _mark(last_us, last_bus, now_ms)])
        data = rows_of(frames).tobytes()
        assert os.write(self._fd, data) == len(data)
        return frames

    def clock(self, now_mono_ns: int) -> ClockPair | None:
        """The wall clock as the car sees it, which may jump."""
        return ClockPair((now_mono_ns - self._origin_ns) // 1000, time.time_ns() // 1000, ClockSource.HOST)

    def close(self) -> None:
        self._inner.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _mark(t_us: int, bus: np.uint8, now_ms: int) -> FrameColumns:
    payload = np.frombuffer(now_ms.to_bytes(8, "little"), np.uint8).reshape(1, 8)
    return FrameColumns(
        np.array([t_us], np.int64), np.array([bus]), np.array([MARK_ID], np.uint32),
        np.zeros(1, np.uint8), np.full(1, 8, np.uint8), payload,
    )  # fmt: skip


async def drive(folder: Path, state: Path, truth: Path, life: int, seed: int, kept: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    fd = os.open(truth / f"{life}.progress", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    told_s = 0.0

    def tell(progress: AgentProgress) -> None:
        nonlocal told_s
        if time.monotonic() - told_s < _TELL_S and not progress.is_ended:
            return
        told_s = time.monotonic()
        said = dataclasses.asdict(progress) | {"epoch": progress.epoch.hex()}
        os.write(fd, (json.dumps(said) + "\n").encode())

    shipped = Path(__file__).resolve().parents[2] / "vehicles" / folder.name
    source = SoakSource(load_vehicle(shipped), truth, life, seed, kept)
    car = load_vehicle(folder)
    description = describe(car.name, car.title_en, buses_of(car))
    await run_agent(AgentSettings(state, car.name), source, description, stop, tell)


if __name__ == "__main__":
    die_with_parent()
    use_one_allocator()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given = sys.argv
    asyncio.run(drive(Path(given[1]), Path(given[2]), Path(given[3]), int(given[4]), int(given[5]), float(given[6])))
