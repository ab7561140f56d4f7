"""The simulated car as a process of its own, beside the roles: an agent whose source is the simulator."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ved.agent.agent import AgentSettings, run_agent
from ved.canbus.simulator import SimulatorSource
from ved.cli.describe import buses_of, describe
from ved.config.vehicle import load_vehicle


@dataclass(frozen=True, slots=True)
class SimulatedCarSettings:
    """`vehicle` is the vehicle's folder, `state` the car's own (enrolled already)."""

    vehicle: Path
    state: Path
    seed: int


async def run_simulated_car(
    settings: SimulatedCarSettings, ready: Callable[[dict[str, object]], None], stop: asyncio.Event
) -> None:
    """Drive until `stop`."""
    car = load_vehicle(settings.vehicle)
    source = SimulatorSource(car, seed=settings.seed)
    description = describe(car.name, car.title_en, buses_of(car))
    ready({})
    await run_agent(AgentSettings(settings.state, car.name), source, description, stop)
