"""The soak: a server, three cars and thirty viewers under seeded faults, for hours; then the verdict.

python -m tests.soak.soak --minutes 480 --out ved-soak --seed 1
"""

import argparse
import heapq
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.soak.measure import Flatness, Sampler, cpu_percent, flatness, percentiles, read_lines
from tests.soak.plan import SERVER, FaultPlan, Phases, draw_faults
from tests.soak.verdict import Verdict, judge
from tests.soak.world import World

STILL_S: Final = 120.0
"""In the quiet phase, when nothing more was stored for so long, no more will come."""
RECOVER_S: Final = 10.0
"""An age counts as calm when no fault that touches its car was active in this time before it."""
PAUSED_S: Final = 20.0
"""Viewers that stopped reading for a while have caught up after it."""
HOUR_US: Final = 3_600_000_000
SLOW_BYTES_PER_S: Final = 20_000.0
_log: Final = logging.getLogger("soak")


@dataclass
class Done:
    """A fault that was done: from when to when (s since the start), and whether something was there to be hurt."""

    plan: FaultPlan
    from_s: float
    to_s: float
    hit: bool


@dataclass
class Result:
    """All that is known at the end; goes into a JSON file as it is."""

    minutes: float
    seed: int
    viewers: int
    problems: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    faults: list[Done] = field(default_factory=list)
    flat: list[Flatness] = field(default_factory=list)
    cpu_percent: dict[str, float] = field(default_factory=dict)
    ages_ms: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    has_clock_jumps: bool = False
    load_mean: float = 0.0
    begin_mono_s: float = 0.0


class Soak:
    """One run. Everything happens on one thread, in order of time."""

    def __init__(self, world: World, minutes: float, seed: int, fault_every_s: float) -> None:
        self.world, self.minutes = world, minutes
        self.phases = Phases.of(minutes)
        self.plans = draw_faults(seed, self.phases, fault_every_s)
        self.done: list[Done] = []
        self.begin_s = 0.0
        self._sample_s = min(60.0, max(2.0, minutes * 60 / 150))
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._loads: list[float] = []

    def run(self) -> Sampler:
        self.begin_s = time.monotonic()
        sampler = Sampler(self.world, self.begin_s)
        for plan in self.plans:
            self._at(plan.at_s, lambda plan=plan: self._hurt(plan))
        samples = int(self.phases.quiet_s / self._sample_s)
        for number in range(samples + 1):
            self._at(number * self._sample_s, sampler.sample)
        while self._queue:
            at_s, _, action = heapq.heappop(self._queue)
            self._sleep_until(at_s)
            action()
        self._sleep_until(self.phases.quiet_s)
        return sampler

    def _sleep_until(self, at_s: float) -> None:
        while (left_s := self.begin_s + at_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 1.0))
            self._loads.append(os.getloadavg()[0])
            self.world.check_alive()

    @property
    def load_mean(self) -> float:
        return sum(self._loads) / max(1, len(self._loads))

    def _at(self, at_s: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at_s, self._count, action))

    def _now_s(self) -> float:
        return time.monotonic() - self.begin_s

    # Faults.

    def _hurt(self, plan: FaultPlan) -> None:
        _log.info("%s: %s for %.1f s", plan.target, plan.kind, plan.seconds)
        if plan.target == SERVER:
            self._hurt_server(plan)
        elif plan.target in self.world.cars:
            self._hurt_car(plan)
        else:
            pid = self.world.role_pids().get(plan.target)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            self._note(plan, self._now_s(), hit=pid is not None)

    def _hurt_server(self, plan: FaultPlan) -> None:
        from_s = self._now_s()
        if plan.kind == "restart":
            code = self.world.stop_server()
            if code != 0:
                raise RuntimeError(f"ved serve stopped with {code}")
        else:
            self.world.kill_server()
        self.world.start_server()
        self._note(plan, from_s, hit=True)

    def _hurt_car(self, plan: FaultPlan) -> None:
        car, from_s = self.world.cars[plan.target], self._now_s()
        proxy, counts = car.proxy, car.proxy.counts
        before = (counts.stalled_bytes, counts.swallowed_bytes, counts.refused, counts.cut)

        def end() -> None:
            now = (counts.stalled_bytes, counts.swallowed_bytes, counts.refused, counts.cut)
            self._note(plan, from_s, hit=plan.kind in ("SIGKILL", "clock jump", "slow") or now != before)

        if plan.kind == "SIGKILL":
            car.kill()
            undo: Callable[[], None] = lambda: car.start(self.world.shim)  # noqa: E731
        elif plan.kind == "clock jump":
            hours = (-10, -1, 1, 10)[int(plan.at_s * 100) % 4]
            car.clock_file.write_text(str(hours * HOUR_US))
            undo = lambda: car.clock_file.write_text("0") and None  # noqa: E731
        else:
            undo = self._hurt_link(plan.kind, proxy)

        def finish() -> None:
            undo()
            end()

        self._at(plan.at_s + plan.seconds, finish)

    def _hurt_link(self, kind: str, proxy: Any) -> Callable[[], None]:
        if kind == "cut":
            proxy.cut()
            return lambda: None
        if kind == "refused":
            proxy.is_closed = True
            proxy.cut()
            return lambda: setattr(proxy, "is_closed", False)
        name, value, usual = {
            "dead zone": ("is_stalled", True, False),
            "way back dead": ("is_deaf", True, False),
            "slow": ("up_bytes_per_s", SLOW_BYTES_PER_S, 0.0),
        }[kind]
        setattr(proxy, name, value)
        return lambda: setattr(proxy, name, usual)

    def _note(self, plan: FaultPlan, from_s: float, *, hit: bool) -> None:
        self.done.append(Done(plan, round(from_s, 2), round(self._now_s(), 2), hit))


def drain(world: World) -> None:
    """The buses fall silent; wait until the store is the truth less what was declared, or nothing more comes."""
    world.fall_silent()
    most, since_s = -1, time.monotonic()
    while time.monotonic() - since_s < STILL_S:
        time.sleep(5)
        verdict = judge(world.data, world.db_url, world.out / "truth")
        if not verdict.problems and all(car.is_drained() for car in world.cars.values()):
            return
        if verdict.stored > most:
            most, since_s = verdict.stored, time.monotonic()


def wind_up(world: World, result: Result) -> None:
    """Stop everything in order and judge."""
    time.sleep(PAUSED_S)
    for name, code in {
        "viewers": world.stop_viewers(),
        **{f"agent {car.name}": car.stop() for car in world.cars.values()},
        "ved serve": world.stop_server(),
    }.items():
        if code != 0:
            result.problems.append(f"{name} ended with {code}")
    result.verdict = judge(world.data, world.db_url, world.out / "truth")
    result.problems += result.verdict.problems


def conclude(soak: Soak, sampler: Sampler, result: Result) -> None:
    """What the figures say."""
    world = soak.world
    result.faults = soak.done
    result.has_clock_jumps = world.shim is not None
    result.load_mean = round(soak.load_mean, 2)
    result.begin_mono_s = soak.begin_s
    names = sorted({one.name for one in sampler.samples} - {"harness", "viewers"})
    result.flat = flatness(sampler.samples, names)
    result.problems += [
        f"{one.name}: {one.what} grew by {one.growth:.1f} in {one.minutes:.0f} min ({one.allowed:.1f} allowed)"
        for one in result.flat
        if not one.is_flat
    ]
    for kind in sorted({one.plan.kind for one in soak.done}):
        hits = [one.hit for one in soak.done if one.plan.kind == kind]
        if not any(hits):
            result.problems.append(f"none of {len(hits)} faults '{kind}' hit anything")
    result.cpu_percent = cpu_percent(sampler.samples, soak.phases.quiet_s)
    lines = read_lines(world.out / "viewers.jsonl")
    result.ages_ms = ages(soak, [line for line in lines if "mono_s" in line])
    result.roles = role_figures(sampler, soak.phases)
    result.seen = viewers_saw(lines, result)


def ages(soak: Soak, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """From the frame's making to the viewer, early and late, in calm moments and in all."""
    out: dict[str, Any] = {}
    middle_s, end_s = soak.phases.quiet_s / 2, soak.phases.quiet_s
    for vehicle in soak.world.cars:
        parts: dict[str, list[float]] = {}
        for line in lines:
            to_s = line["mono_s"] - soak.begin_s
            if to_s > end_s:
                continue
            touching = (
                one for one in soak.done if one.plan.target not in soak.world.cars or one.plan.target == vehicle
            )
            is_calm = not any(one.from_s < to_s and one.to_s + RECOVER_S > to_s - 10 for one in touching)
            values = line["ages_ms"].get(vehicle, [])
            half = "early" if to_s < middle_s else "late"
            for key in (half, f"{half} calm") if is_calm else (half,):
                parts.setdefault(key, []).extend(values)
        out[vehicle] = {key: percentiles(parts.get(key, [])) for key in ("early calm", "late calm", "early", "late")}
    return out


def role_figures(sampler: Sampler, phases: Phases) -> dict[str, Any]:
    """Lag of each role and what waits in each car, early and late."""
    out: dict[str, Any] = {}
    for half, rows in {
        "early": [one for one in sampler.roles if one["at_s"] < phases.quiet_s / 2],
        "late": [one for one in sampler.roles if one["at_s"] >= phases.quiet_s / 2],
    }.items():
        for role in ("ingest", "record", "watch", "web"):
            lags = [one["roles"][role]["lag"] for one in rows if "lag" in one["roles"].get(role, {})]
            out.setdefault(f"{role} lag", {})[half] = percentiles(lags)
        for car in sampler.roles[-1]["cars"]:
            waiting = [one["cars"][car]["waiting"] for one in rows if car in one["cars"]]
            out.setdefault(f"{car} waiting", {})[half] = percentiles(waiting)
    return out


def viewers_saw(lines: list[dict[str, Any]], result: Result) -> dict[str, Any]:
    """Sums over all viewers; who was not shown the newest mark is a problem."""
    reports = [line for line in lines if "mono_s" in line]
    out = {key: sum(line[key] for line in reports) for key in ("messages", "bytes", "missed", "resets", "connects")}
    errors = [text for line in reports for text in line["errors"]]
    result.problems += [f"viewers: {text}" for text in sorted(set(errors))[:5]]
    last = next((line["end"] for line in lines if "end" in line), [])
    if len(last) != result.viewers:
        result.problems.append("the viewers did not say what they saw")
    for one in last:
        for vehicle in one["watched"]:
            newest = one["newest"].get(vehicle, 0)
            if newest != result.verdict.newest_marks[vehicle]:
                behind = result.verdict.newest_marks[vehicle] - newest
                result.problems.append(f"viewer {one['viewer']} is {behind} ms behind the newest mark of {vehicle}")
    return out


def soak(out: Path, minutes: float, seed: int, viewers: int, fault_every_s: float) -> Result:
    """Run it; everything lies in `out`, which must not exist yet."""
    out.mkdir(parents=True)
    result = Result(minutes, seed, viewers)
    with World(out.resolve(), seed, viewers) as world:
        world.prepare()
        for car in world.cars.values():
            car.start(world.shim)
        world.start_viewers()
        run = Soak(world, minutes, seed, fault_every_s)
        sampler = run.run()
        drain(world)
        wind_up(world, result)
    conclude(run, sampler, result)
    (out / "samples.jsonl").write_text("".join(json.dumps(asdict(one)) + "\n" for one in sampler.samples))
    (out / "roles.jsonl").write_text("".join(json.dumps(one) + "\n" for one in sampler.roles))
    (out / "result.json").write_text(json.dumps(asdict(result), indent=1))
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=480)
    parser.add_argument("--out", type=Path, default=Path("ved-soak"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--viewers", type=int, default=30)
    parser.add_argument("--fault-every-s", type=float, default=25)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    result = soak(given.out, given.minutes, given.seed, given.viewers, given.fault_every_s)
    print(json.dumps(asdict(result.verdict), indent=1))
    for line in result.problems:
        print(f"PROBLEM: {line}")
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
