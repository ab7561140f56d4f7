"""What a soak measures while it runs, and what it makes of it: memory, files, processor, ages; the rules of "flat"."""

import contextlib
import json
import re
import time
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from tests.soak.world import World

MIB: Final = 1 << 20
WARM_SHARE: Final = 0.3
"""The first part of a process's life is left out of the rule: caches fill, the first compaction comes."""
GROWTH_SHARE: Final = 0.10
GROWTH_MIB: Final = 16.0
GROWTH_FILES: Final = 4
LEAST_SAMPLES: Final = 12
LEAST_MINUTES: Final = 10.0
"""A process that was looked at for less is shown, but not judged."""
_METRIC: Final = re.compile(r'^health_role_(lag|queue|delay)\{role="(\w+)"\} (\S+)$', re.MULTILINE)


@dataclass
class Sample:
    """One process at one time. `mib` is what is its own (USS), `rss_mib` also what it shares."""

    at_s: float
    name: str
    pid: int
    mib: float
    rss_mib: float
    files: int
    cpu_s: float


class Sampler:
    """Looks at all processes; keeps the last processor time of each, also of those that are gone."""

    def __init__(self, world: World, begin_s: float) -> None:
        self._world, self._begin_s = world, begin_s
        self.samples: list[Sample] = []
        self.roles: list[dict[str, Any]] = []

    def sample(self) -> None:
        at_s = time.monotonic() - self._begin_s
        for name, pid in self._processes().items():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                process = psutil.Process(pid)
                with process.oneshot():
                    memory, cpu = process.memory_full_info(), process.cpu_times()
                    own, all_of_it = round(memory.uss / MIB, 2), round(memory.rss / MIB, 2)
                    cpu_s = round(cpu.user + cpu.system, 2)
                    files = process.num_fds()
                self.samples.append(Sample(round(at_s, 1), name, pid, own, all_of_it, files, cpu_s))
        self.roles.append({"at_s": round(at_s, 1), "cars": self._cars(), **self._metrics()})

    def _processes(self) -> dict[str, int]:
        world = self._world
        out = dict(world.role_pids())
        if world.server is not None and world.server.poll() is None:
            out["supervisor"] = world.server.pid
        for car in world.cars.values():
            if car.process is not None and car.process.poll() is None:
                out[f"agent {car.name}"] = car.process.pid
        if world.viewers is not None and world.viewers.poll() is None:
            out["viewers"] = world.viewers.pid
        out["harness"] = psutil.Process().pid
        return out

    def _cars(self) -> dict[str, Any]:
        out = {}
        for car in self._world.cars.values():
            if said := car.progress():
                waiting = said["frames"] - said["stored_frames"] - said["lost_frames"]
                out[car.name] = {"waiting": waiting, "rtt_us": said["rtt_us"], "lost": said["lost_frames"]}
        return out

    def _metrics(self) -> dict[str, Any]:
        """Lag, queue and delay of each role, as the role web tells them; nothing while it does not answer."""
        request = urllib.request.Request(
            f"{self._world.url}/metrics", headers={"Authorization": f"Bearer {self._world.metrics_token}"}
        )
        out: dict[str, dict[str, float]] = {}
        with contextlib.suppress(OSError):
            text = urllib.request.urlopen(request, timeout=5).read().decode()
            for what, role, value in _METRIC.findall(text):
                out.setdefault(role, {})[what] = float(value)
        return {"roles": out}


@dataclass
class Flatness:
    """One figure of the last life of a process. `growth` is the Theil–Sen slope times the time looked at."""

    name: str
    what: str
    samples: int
    minutes: float
    first: float
    last: float
    median: float
    slope_per_hour: float
    growth: float
    allowed: float

    @property
    def is_flat(self) -> bool:
        return self.growth <= self.allowed or self.minutes < LEAST_MINUTES


def theil_sen(x: Sequence[float], y: Sequence[float]) -> float:
    """The median of the slopes of all pairs: one spike, or a few, do not move it."""
    a, b = np.asarray(x), np.asarray(y)
    i, j = np.triu_indices(len(a), 1)
    return float(np.median((b[j] - b[i]) / (a[j] - a[i])))


def flatness(samples: Sequence[Sample], names: Iterable[str]) -> list[Flatness]:
    """Memory and files of the last life of each named process, less its first WARM_SHARE."""
    out = []
    for name in names:
        mine = [one for one in samples if one.name == name]
        last = [one for one in mine if one.pid == mine[-1].pid]
        warm = [one for one in last if one.at_s >= last[0].at_s + WARM_SHARE * (last[-1].at_s - last[0].at_s)]
        if len(warm) < LEAST_SAMPLES:
            continue
        for what in ("mib", "files"):
            x, y = [one.at_s for one in warm], [float(getattr(one, what)) for one in warm]
            slope, span_s, middle = theil_sen(x, y), x[-1] - x[0], float(np.median(y))
            allowed = max(GROWTH_MIB, GROWTH_SHARE * middle) if what == "mib" else float(GROWTH_FILES)
            out.append(
                Flatness(name, what, len(warm), span_s / 60, y[0], y[-1], middle, slope * 3600, slope * span_s, allowed)
            )
    return out


def cpu_percent(samples: Sequence[Sample], seconds: float) -> dict[str, float]:
    """Mean processor time of each name over its lives, in percent of one core; a life's last moments are not seen."""
    lives: dict[tuple[str, int], float] = {}
    for one in samples:
        lives[one.name, one.pid] = max(one.cpu_s, lives.get((one.name, one.pid), 0.0))
    out: dict[str, float] = {}
    for (name, _), cpu_s in lives.items():
        out[name] = out.get(name, 0.0) + 100 * cpu_s / seconds
    return {name: round(value, 1) for name, value in out.items()}


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def percentiles(values: Sequence[float]) -> dict[str, float]:
    if not len(values):
        return {"n": 0}
    p50, p90, p99 = np.percentile(values, (50, 90, 99))
    return {"n": len(values), "p50": round(float(p50), 1), "p90": round(float(p90), 1), "p99": round(float(p99), 1),
            "max": round(float(max(values)), 1)}  # fmt: skip
