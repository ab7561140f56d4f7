"""What it costs to take frames off three buses: the reader alone, python-can's own, and the whole agent.

The synthetic load (about 6,000 frames/s on three buses; at four times the pace 24,000, more than three buses of
1 Mbit/s can carry) is sent by a process of its own as real `struct can_frame` datagrams over UDP on loopback, which
stands in for SocketCAN: same reader, same system calls, same kernel stamps and drop counter. The kernel's part of the
work is UDP's and not SocketCAN's, which is less. The peer is python-can's SocketCAN receive function on the same
sockets, making its `Message` objects. The agent is the real one: capture, batches, journal with fsync, TLS to a real
ingest process. Printed: share of one core (median of the runs), frames, and frames that the kernel dropped.

`python benchmarks/bench_capture.py [seconds a run] [runs]`
"""

import asyncio
import json
import resource
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ved.agent.agent import AgentProgress, AgentSettings, run_agent
from ved.canbus.merged import MergedSource
from ved.canbus.recvmmsg import prepare
from ved.canbus.socketcan import BUFFER_BYTES, SocketCanReader
from ved.model.records import Description

BUSES = 3
TICK_S = 0.002
SO_TIMESTAMPNS_OLD = 35
BUDGET = 15


def open_bus() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    prepare(sock, BUFFER_BYTES)
    sock.bind(("127.0.0.1", 0))
    return sock


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """The most memory this process has held; ru_maxrss would count its parent's too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def open_buses() -> list[socket.socket]:
    """Sockets of all buses; their ports are told."""
    buses = [open_bus() for _ in range(BUSES)]
    tell(ports=[bus.getsockname()[1] for bus in buses])
    return buses


def send(pace: float, ports: list[int]) -> None:
    """The car: for ever."""
    from synthetic_load import synthetic_load

    seconds = 10
    frames = synthetic_load(seconds).frames
    due_s = frames.t_us / 1e6 / pace
    structs = [
        struct.pack("=IB3x8s", int(frames.arbitration_id[row]), int(frames.length[row]), frames.payload[row].tobytes())
        for row in range(len(frames))
    ]
    outs = []
    for port in ports:
        outs.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        outs[-1].connect(("127.0.0.1", port))
    ways = [outs[bus % BUSES].send for bus in frames.bus.tolist()]
    begin_s, at = time.monotonic(), 0
    while True:
        time.sleep(TICK_S)
        until = int(np.searchsorted(due_s, time.monotonic() - begin_s))
        for row in range(at, until):
            try:
                ways[row](structs[row])
            except ConnectionRefusedError:  # the other side has ended
                return
        at = until
        if at == len(structs):
            begin_s, at = begin_s + seconds / pace, 0


def capture(seconds: float) -> None:
    """The reader alone, called as the agent does."""
    buses = open_buses()
    source = MergedSource([SocketCanReader(bus, f"udp{bus}", lambda sock=sock: sock) for bus, sock in enumerate(buses)])
    source.open(time.monotonic_ns())
    while not len(source.read(0.05)):
        pass
    begin_s, begin_cpu_s, frames = time.monotonic(), cpu_s(), 0
    while time.monotonic() - begin_s < seconds:
        frames += len(source.read(0.05))
        source.losses()
    core = (cpu_s() - begin_cpu_s) / (time.monotonic() - begin_s)
    tell(core=core, frames=frames / seconds, lost=sum(state.lost_frames for state in source.bus_states()))


def peer(seconds: float) -> None:
    """python-can's receive function, as its SocketCAN bus calls it: wait for one socket, take one message."""
    from can.interfaces.socketcan.socketcan import capture_message

    buses = open_buses()
    for bus in buses:
        bus.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS_OLD, 1)
    select.select(buses, [], [])
    begin_s, begin_cpu_s, frames = time.monotonic(), cpu_s(), 0
    while time.monotonic() - begin_s < seconds:
        for bus in select.select(buses, [], [], 0.05)[0]:
            capture_message(bus)
            frames += 1
    core = (cpu_s() - begin_cpu_s) / (time.monotonic() - begin_s)
    tell(core=core, frames=frames / seconds, lost="?")


async def agent(seconds: float, state_dir: Path) -> None:
    """The whole agent, from the first frame that the server has stored."""
    buses = open_buses()
    source = MergedSource([SocketCanReader(bus, f"udp{bus}", lambda sock=sock: sock) for bus, sock in enumerate(buses)])
    stop = asyncio.Event()
    marks: list[tuple[float, float, int]] = []

    def note(progress: AgentProgress) -> None:
        if progress.stored_frames and not marks:
            marks.append((time.monotonic(), cpu_s(), progress.frames))
            asyncio.get_running_loop().call_later(seconds, stop.set)
        if marks and not stop.is_set():
            marks[1:] = [(time.monotonic(), cpu_s(), progress.frames)]

    report = await run_agent(
        AgentSettings(state_dir, "fs"), source, Description("fs", bytes(16), 0, "bench", ()), stop, note
    )
    (begin_s, begin_cpu_s, before), (end_s, end_cpu_s, after) = marks
    core, rate = (end_cpu_s - begin_cpu_s) / (end_s - begin_s), (after - before) / (end_s - begin_s)
    tell(core=core, frames=rate, lost=report.lost_frames, rss=peak_mb())


def measure(what: str, pace: float, *arguments: str) -> dict[str, Any]:
    """One run of a child on the receiving side, with the car beside it."""
    script = [sys.executable, __file__]
    with subprocess.Popen([*script, what, *arguments], stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        ports = json.loads(receiver.stdout.readline())["ports"]
        with subprocess.Popen([*script, "send", str(pace), json.dumps(ports)]) as car:
            line = receiver.stdout.readline()
            car.send_signal(signal.SIGTERM)
    result: dict[str, Any] = json.loads(line)
    return result


def show(title: str, results: list[dict[str, Any]], rest: str = "") -> float:
    core = statistics.median(result["core"] for result in results) * 100
    rate = statistics.median(result["frames"] for result in results)
    lost = "/".join(str(result["lost"]) for result in results)
    print(f"{title:<34}{rate:>10,.0f}{core:>9.1f} %{lost:>10}  {rest}", flush=True)
    return core


def main(seconds: float, runs: int) -> None:
    from bench_link import Bench

    from ved.link.credentials import save_credentials

    print(f"{'':<34}{'frames/s':>10}{'one core':>11}{'dropped':>10}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        with bench.serving():
            for pace in (1, 4):
                ours = show("this reader", [measure("capture", pace, str(seconds)) for _ in range(runs)])
                theirs = show(
                    "python-can's SocketCAN receive", [measure("peer", pace, str(seconds)) for _ in range(runs)]
                )
                print(f"{'':<34}{'ratio':>10}{theirs / ours:>9.1f}")
                state = Path(folder) / f"car{pace}"
                save_credentials(state, bench.credentials("fs", bench.port))
                whole = measure("agent", pace, str(seconds * 2), str(state))
                budget = f"budget {BUDGET} %; " if pace == 1 else ""
                show("the whole agent", [whole], f"{budget}{whole['rss']:.0f} MB at most")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["send", pace, ports]:
            send(float(pace), json.loads(ports))
        case ["capture", seconds]:
            capture(float(seconds))
        case ["peer", seconds]:
            peer(float(seconds))
        case ["agent", seconds, folder]:
            asyncio.run(agent(float(seconds), Path(folder)))
        case [*numbers]:
            main(float(numbers[0]) if numbers else 4.0, int(numbers[1]) if len(numbers) > 1 else 3)
