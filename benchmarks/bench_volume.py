"""What a car costs on the SIM card, and its agent in processor and memory: a real agent, over TLS, into a real ingest.

Loads: synthetic (6,040 frames/s, the load of the budgets), full (four of it, 24,160 frames/s: what three buses at
1 Mbit/s can carry), and the simulated cars fs, pe, ps. Counted from the agent's start, what it learns first included:
bytes through the socket (TLS, WebSocket, acknowledgements), and with 52 bytes of IPv4 and TCP header for each segment,
in both directions. MB are 10^6 bytes.

`python benchmarks/bench_volume.py [LOAD=all] [SECONDS=40]`
"""

import asyncio
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_link import Bench, CountingRelay
from bench_wire import simulated
from synthetic_load import synthetic_load

from ved.link.credentials import save_credentials
from ved.model.frames import FrameColumns

HEADER_BYTES = 52
LOADS = ("synthetic", "full", "fs", "pe", "ps")
NAMES = ("t_us", "bus", "arbitration_id", "flags", "length", "payload")


def frames_of(load: str, seconds: float) -> FrameColumns:
    """A little more than `seconds` of frames."""
    if load == "synthetic":
        return synthetic_load(seconds + 5).frames
    if load != "full":
        return simulated(load, seconds + 5)
    parts = [synthetic_load(seconds + 5, seed).frames for seed in range(7, 11)]
    parts = [replace(part, bus=part.bus + np.uint8(3 * number)) for number, part in enumerate(parts)]
    frames = FrameColumns.concatenate(parts)
    return frames.take(np.argsort(frames.t_us, kind="stable"))


async def drive(bench: Bench, load: str, seconds: float) -> None:
    """One row of the table."""
    path = bench.folder / f"{load}.npz"
    frames = frames_of(load, seconds)
    np.savez(path, **{name: getattr(frames, name) for name in NAMES})
    relay = CountingRelay(bench.port)
    state = bench.folder / f"car-{load}"
    save_credentials(state, bench.credentials("fs", await relay.start()))
    command = [sys.executable, str(Path(__file__).with_name("link_agent.py")), str(state), str(path), str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    result = json.loads(out)
    count, per_hour = result["frames"], 3600 / seconds / 1e6
    both = relay.up_bytes + relay.down_bytes
    print(f"{load:12}{count / seconds:>9,.0f}{result['core']:>9.1%}{result['rss_bytes'] / 1e6:>8.0f}", end="")
    print(f"{relay.up_bytes / count:>9.2f}{relay.down_bytes / count:>8.2f}", end="")
    print(f"{both * per_hour:>10.1f}{(both + HEADER_BYTES * relay.segments) * per_hour:>12.1f}", flush=True)


def main() -> None:
    """One table."""
    chosen = sys.argv[1] if len(sys.argv) > 1 else "all"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 40.0
    columns = ("frames/s", "core", "MB RAM", "B up", "B down", "MB/hour", "MB/h + IP")
    print(
        f"{'load':12}{columns[0]:>9}{columns[1]:>9}{columns[2]:>8}{columns[3]:>9}{columns[4]:>8}{columns[5]:>10}",
        end="",
    )
    print(f"{columns[6]:>12}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        with bench.serving():
            for load in LOADS if chosen == "all" else (chosen,):
                asyncio.run(drive(bench, load, seconds))


if __name__ == "__main__":
    main()
