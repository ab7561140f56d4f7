"""What the simulated Formula Student car costs: processor time for a second of its day, against the budget.

Measured: `SimulatorSource` at full speed, frames made and thrown away, on one core. There is no peer that drives a car;
the ratio is real time over processor time. Usage: bench_simulator.py [SECONDS=60] [RUNS=5]
"""

import statistics
import sys
import time
from pathlib import Path

from ved.canbus.simulator import SimulatorSource
from ved.config.vehicle import load_vehicle

FS = Path(__file__).resolve().parents[1] / "vehicles" / "fs"


def one_run(seconds: float, seed: int) -> tuple[int, float, float]:
    source = SimulatorSource(load_vehicle(FS), seed=seed, speed=0, duration_s=seconds)
    source.open(time.monotonic_ns())
    frames, cpu_s, wall_s = 0, time.process_time(), time.perf_counter()
    while (chunk := source.read(1.0)) is not None:
        frames += len(chunk)
    return frames, time.process_time() - cpu_s, time.perf_counter() - wall_s


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    rows = [one_run(seconds, seed) for seed in range(1, runs + 1)]
    frames = statistics.median(row[0] for row in rows)
    cpu_s, wall_s = (statistics.median(row[column] for row in rows) for column in (1, 2))
    print(f"median of {runs} runs of {seconds:.0f} s, {frames / seconds:,.0f} frames/s")
    print(f"{'':24}{'measured':>12}{'budget':>12}")
    print(f"{'share of one core':24}{cpu_s / seconds:>12.1%}{'< 10 %':>12}")
    print(f"{'x real time':24}{seconds / wall_s:>12.1f}{'> 20':>12}")
    print(f"{'x real time, core alone':24}{seconds / cpu_s:>12.1f}{'':>12}")


if __name__ == "__main__":
    main()
