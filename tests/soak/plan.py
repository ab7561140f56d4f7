"""The faults of a soak, drawn from a seed before it begins: the same seed hurts the same things at the same times."""

import random
from dataclasses import dataclass
from typing import Final

CARS: Final = ("fs", "pe", "ps")
ROLES: Final = ("ingest", "record", "watch", "web")
SERVER: Final = "server"

LINK_FAULTS: Final = {
    "dead zone": (1, 30),
    "refused": (1, 20),
    "cut": (0, 0),
    "way back dead": (2, 20),
    "slow": (10, 40),
}
"""Of a car's link, with the least and most seconds that one lasts."""

CALM_S: Final = 5.0
"""After a fault its target is left alone for so long."""


@dataclass(frozen=True, order=True)
class FaultPlan:
    """`kind` hits `target` (a car, a role, the server) from `at_s` on, for `seconds` (a kill: to its restart)."""

    at_s: float
    kind: str
    target: str
    seconds: float


@dataclass(frozen=True)
class Phases:
    """Seconds since the start. From `steady_s` on no role and not the first car is killed, so that each process of the
    server lives long enough to show whether it grows. From `quiet_s` on nothing is hurt and the buses fall silent."""

    begin_s: float
    steady_s: float
    quiet_s: float

    @staticmethod
    def of(minutes: float) -> "Phases":
        total_s = minutes * 60
        quiet_s = total_s - max(20.0, min(180.0, total_s * 0.08))
        return Phases(min(60.0, total_s * 0.08), total_s * 0.45, quiet_s)


def draw_faults(seed: int, phases: Phases, every_s: float) -> list[FaultPlan]:
    """All faults in order of time, about one in `every_s`; no two hit the same target at once."""
    chance = random.Random(f"soak {seed}")
    free_from: dict[str, float] = {}
    out: list[FaultPlan] = []
    at_s = phases.begin_s
    while True:
        at_s += chance.expovariate(1 / every_s)
        fault = _draw(chance, at_s, is_steady=at_s >= phases.steady_s)
        if at_s + fault.seconds + CALM_S > phases.quiet_s:
            return sorted(out)
        is_busy = free_from.get(fault.target, 0) > at_s or free_from.get(SERVER, 0) > at_s
        if is_busy or (fault.target == SERVER and max(free_from.values(), default=0) > at_s):
            continue
        free_from[fault.target] = at_s + fault.seconds + CALM_S
        out.append(fault)


def _draw(chance: random.Random, at_s: float, *, is_steady: bool) -> FaultPlan:
    sort = chance.choices(
        ("link", "clock", "car", "role", "server"), (10, 2, 3, 0 if is_steady else 4, 0 if is_steady else 1)
    )[0]
    at_s = round(at_s, 2)
    if sort == "link":
        kind = chance.choice(sorted(LINK_FAULTS))
        return FaultPlan(at_s, kind, chance.choice(CARS), round(chance.uniform(*LINK_FAULTS[kind]), 2))
    if sort == "clock":
        return FaultPlan(at_s, "clock jump", chance.choice(CARS), round(chance.uniform(5, 60), 2))
    if sort == "car":
        return FaultPlan(
            at_s, "SIGKILL", chance.choice(CARS[1:] if is_steady else CARS), round(chance.uniform(0, 5), 2)
        )
    if sort == "role":
        return FaultPlan(at_s, "SIGKILL", chance.choice(ROLES), 0.0)
    return FaultPlan(at_s, chance.choice(("SIGKILL", "restart")), SERVER, 0.0)
