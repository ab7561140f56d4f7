"""Processors and memory: of the server's roles, of the generator, and of whatever else runs on the machine."""

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import psutil

from ved.loadtest.plan import Usage

LOOK_S: Final = 0.5
ROLE_MODULE: Final = "ved.cli.role"


def roles_of(server_pid: int) -> dict[str, int]:
    """The role processes of a running server: name -> process id. Empty where they cannot be seen."""
    found: dict[str, int] = {}
    try:
        for child in psutil.Process(server_pid).children():
            words = child.cmdline()
            if ROLE_MODULE in words[:-1]:
                found[words[words.index(ROLE_MODULE) + 1]] = child.pid
    except psutil.Error:
        return {}
    return found


class Meter:
    """Looks at processes by name, from its making to `end`. One that ends meanwhile counts as far as it was seen."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes: dict[str, psutil.Process] = {}
        self._began: dict[str, float] = {}
        self._cpu_s: dict[str, float] = {}
        self._rss: defaultdict[str, int] = defaultdict(int)
        self._began_s = time.monotonic()
        self._busy_s = _busy_s()
        for name, pid in pids.items():
            try:
                self._processes[name] = psutil.Process(pid)
                self._began[name] = self._cpu_s[name] = _cpu_s(self._processes[name])
            except psutil.Error:
                self._processes.pop(name, None)
        self.look()

    def look(self) -> None:
        """Take note of where things stand."""
        for name, process in self._processes.items():
            try:
                self._cpu_s[name] = _cpu_s(process)
                self._rss[name] = max(self._rss[name], process.memory_info().rss)
            except psutil.Error:
                continue

    def end(self) -> tuple[dict[str, Usage], float]:
        """What each used, and how many cores everything on the machine that is not among them did."""
        self.look()
        took_s = time.monotonic() - self._began_s
        used = {name: self._cpu_s[name] - began for name, began in self._began.items()}
        others = max(0.0, _busy_s() - self._busy_s - sum(used.values())) / took_s
        return {name: Usage(name, used[name] / took_s, self._rss[name] / 1e6) for name in used}, others


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _busy_s() -> float:
    """Seconds of processor that the machine spent on anything."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    return float(sum(times[:7]) - idle) if len(times) >= 7 else float(sum(times) - idle)
