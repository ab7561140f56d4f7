"""Memory that the C library holds free while the lake takes commit after commit and merges files at the same time.

Twice the same work, each in a process of its own: with glibc's and Arrow's own settings, and as roles have it
(`ved.cli.memory`); both give back what is free after every hundred commits, then say what is used, what is free, and
what is resident.

    python benchmarks/bench_record_memory.py [--commits 1500]
"""

import argparse
import asyncio
import contextlib
import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

VEHICLES, FRAMES_EACH, IDS = 3, 1600, 60


class MallInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "blocks", "bins", "maps", "mapped", "never", "fast", "used", "free", "top")
    ]  # fmt: skip


def tell(commits: int) -> None:
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = MallInfo
    found = mallinfo2()
    figures = (found.used + found.mapped, found.free, psutil.Process().memory_full_info().uss)
    print(
        "  {:5} commits: used {:4.0f}, free {:4.0f}, resident {:4.0f} MB".format(commits, *(x / 1e6 for x in figures))
    )
    sys.stdout.flush()


async def work(folder: Path, commits: int) -> None:
    import numpy as np

    from ved.cli.memory import give_back_memory
    from ved.lake.lake import Lake
    from ved.model.frames import FrameBatch, FrameColumns

    rng = np.random.default_rng(1)
    lake = Lake.for_writing(str(folder / "lake"))

    def batch(vehicle: int, commit: int) -> FrameBatch:
        first = commit * FRAMES_EACH + 1
        frames = FrameColumns(
            t_us=(first + np.arange(FRAMES_EACH, dtype=np.int64)) * 170,
            bus=np.zeros(FRAMES_EACH, np.uint8),
            arbitration_id=rng.integers(0, IDS, FRAMES_EACH).astype(np.uint32),
            flags=np.zeros(FRAMES_EACH, np.uint8),
            length=np.full(FRAMES_EACH, 8, np.uint8),
            payload=rng.integers(0, 256, (FRAMES_EACH, 8)).astype(np.uint8),
        )
        return FrameBatch(f"car{vehicle}", bytes([vehicle]) * 16, first, frames)

    async def chores() -> None:
        while True:
            async with standing:
                await asyncio.to_thread(lake.compact, is_final=lambda _: False)
            await asyncio.sleep(0.05)

    standing = asyncio.Lock()
    beside = asyncio.create_task(chores())
    for commit in range(commits + 1):
        await asyncio.to_thread(lake.append, [batch(vehicle, commit) for vehicle in range(VEHICLES)])
        if commit % 100 == 0:
            async with standing:  # nothing is merged while it is measured
                await asyncio.to_thread(give_back_memory)
                if commit % 300 == 0:
                    tell(commit)
    beside.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=1500)
    parser.add_argument("--as", dest="kind", choices=["usual", "roles"], help="one of the two, in this process")
    given = parser.parse_args()
    if given.kind is None:
        for kind in ("usual", "roles"):
            print(kind, flush=True)
            command = [sys.executable, __file__, "--commits", str(given.commits), "--as", kind]
            subprocess.run(command, check=True)
        return
    if given.kind == "roles":
        from ved.cli.memory import use_one_allocator

        use_one_allocator()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(work(Path(folder), given.commits))


if __name__ == "__main__":
    main()
