"""What the simulated cars cost: processor time for a second of their day, against the budget of the largest, fs.

Measured: `SimulatorSource` at full speed, frames made and thrown away, on one core. There is no peer that drives a car;
the ratio is real time over processor time. Usage: bench_simulator.py [SECONDS=60] [RUNS=5]
"""

import statistics
import sys
import time
from pathlib import Path

from ved.canbus.simulator import SimulatorSource
from ved.config.vehicle import load_vehicle

VEHICLES = Path(__file__).resolve().parents[1] / "vehicles"


def one_run(name: str, seconds: float, seed: int) -> tuple[int, float, float]:
    source = SimulatorSource(load_vehicle(VEHICLES / name), seed=seed, speed=0, duration_s=seconds)
    source.open(time.monotonic_ns())
    frames, cpu_s, wall_s = 0, time.process_time(), time.perf_counter()
    while (chunk := source.read(1.0)) is not None:
        frames += len(chunk)
    return frames, time.process_time() - cpu_s, time.perf_counter() - wall_s


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    print(f"median of {runs} runs of {seconds:.0f} s")
    columns = ("frames/s", "of one core", "x real time", "x, core alone")
    print(f"{'vehicle':10}" + "".join(f"{column:>16}" for column in columns))
    for name in ("fs", "pe", "ps"):
        rows = [one_run(name, seconds, seed) for seed in range(1, runs + 1)]
        frames, cpu_s, wall_s = (statistics.median(row[column] for row in rows) for column in range(3))
        print(f"{name:10}{frames / seconds:>16,.0f}{cpu_s / seconds:>16.1%}", end="")
        print(f"{seconds / wall_s:>16.1f}{seconds / cpu_s:>16.1f}")
    print(f"{'budget':10}{'':16}{'< 10 %':>16}{'> 20':>16}")


if __name__ == "__main__":
    main()
