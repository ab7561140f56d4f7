"""How server and vehicles are: for Prometheus (`/metrics`) and for the page (`/api/health`)."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Annotated, Any, Final

from fastapi import FastAPI, Request, Response

from ved.db.database import Database
from ved.db.health import RoleRow, VehicleRow, read_health, read_vehicle_health
from ved.db.people import User
from ved.model.health import BY_NAME, FIGURES, figure_of
from ved.web.answers import RANKS, denied, needs
from ved.web.clock import utc_us
from ved.web.exposition import OPEN_METRICS, TEXT, Metric, exposition, wants_open_metrics
from ved.web.state import WebState

OLD_US: Final = 10_000_000
"""Older figures say nothing of now: only how old they are is told."""

_Member = tuple[Mapping[str, str], float]


def add_metrics(app: FastAPI, state: WebState) -> None:
    """Figures of now, from the database: any instance of web tells those of all roles."""

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        user: User | None = request.state.user  # None: the guard knows the token
        if user is not None and RANKS.get(user.role, -1) < RANKS["viewer"]:
            return denied(403, "wrong_role", "this needs the role viewer")
        roles, vehicles = await asyncio.to_thread(_read, state.db)
        is_open = wants_open_metrics(request.headers.get("accept", ""))
        text = exposition(_metrics(roles, vehicles, utc_us()), is_open=is_open)
        return Response(text, media_type=OPEN_METRICS if is_open else TEXT)

    @app.get("/api/health")
    async def health(_user: Annotated[User, needs("viewer")]) -> dict[str, Any]:
        roles, vehicles = await asyncio.to_thread(_read, state.db)
        now_us = utc_us()
        return {
            "roles": [
                {
                    "role": row.role,
                    "age_ms": (now_us - row.utc_us) // 1000,
                    "figures": {name: value for name, value in row.figures.items() if ("role", name) in BY_NAME},
                    "counters": {name: value for name, value in row.figures.items() if name.endswith("_total")},
                }
                for row in roles
            ],
            "vehicles": [
                {
                    "vehicle": row.vehicle,
                    "age_ms": (now_us - row.utc_us) // 1000,
                    "heard_ms": (now_us - row.heard_utc_us) // 1000,
                    "figures": {} if now_us - row.utc_us > OLD_US else dict(row.figures),
                }
                for row in vehicles
            ],
        }


def _read(db: Database) -> tuple[list[RoleRow], list[VehicleRow]]:
    with db.engine.connect() as connection:
        return read_health(connection), read_vehicle_health(connection)


def _metrics(roles: list[RoleRow], vehicles: list[VehicleRow], now_us: int) -> Iterator[Metric]:
    yield Metric("build_info", "gauge", "The version that runs.", [({"version": version("ved")}, 1)])
    gauges: defaultdict[str, list[_Member]] = defaultdict(list)
    counters: defaultdict[str, list[_Member]] = defaultdict(list)
    for row in roles:
        labels = {"role": row.role}
        gauges["health_role_age"].append((labels, max(0, now_us - row.utc_us) / 1e6))
        for name, value in row.figures.items():
            if name.endswith("_total"):
                counters[name.removesuffix("_total")].append((labels, value))
            elif ("role", name) in BY_NAME and now_us - row.utc_us <= OLD_US:
                gauges[f"health_role_{name}"].append((labels, value))
    for vehicle in vehicles:
        if now_us - vehicle.utc_us <= OLD_US:
            for name, member in _members(vehicle):
                gauges[name].append(member)
        else:
            gauges["health_link_age"].append(({"vehicle": vehicle.vehicle}, (now_us - vehicle.heard_utc_us) / 1000))
    for figure in FIGURES:
        family = f"health_{figure.scope}_{figure.name}"
        if family in gauges:
            unit = f" In {figure.unit}." if figure.unit else ""
            yield Metric(family, "gauge", figure.comment + unit, gauges[family])
    for name, members in sorted(counters.items()):
        yield Metric(name, "counter", "Counted since the process began.", members)


def _members(row: VehicleRow) -> Iterator[tuple[str, _Member]]:
    for channel, value in row.figures.items():
        figure = figure_of(channel)
        if figure is None:
            continue
        labels = {"vehicle": row.vehicle}
        if figure.scope == "bus":
            labels["bus"] = channel.split(".")[2]
        yield f"health_{figure.scope}_{figure.name}", (labels, value)
