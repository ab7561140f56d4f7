"""`ved agent run` and `ved agent status`: the program on the car, and the view for a laptop beside it."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from ved.agent.agent import AgentProgress, AgentSettings, run_agent
from ved.canbus.merged import MergedSource, merge_buses
from ved.canbus.source import BusState
from ved.cli.describe import buses_of, describe
from ved.cli.logs import set_up_logging
from ved.cli.serve import stop_on_signals
from ved.config.vehicle import load_vehicle
from ved.config.watchdog import Watchdog
from ved.errors import UserError, VedError
from ved.model.vehicle import Vehicle

STATUS_FILE: Final = "status.json"
TELL_S: Final = 1.0
FRESH_S: Final = 5.0
console = Console(highlight=False, soft_wrap=True)


def run_car(folder: Path, state: Path, journal_gib: float) -> None:
    """Read the vehicle's buses and send them until Ctrl-C or SIGTERM."""
    set_up_logging("agent", "text")
    car = load_vehicle(folder)
    asyncio.run(drive_car(car, merge_buses([bus for bus in car.buses if bus.interface]), state, journal_gib))


async def drive_car(car: Vehicle, source: MergedSource, state: Path, journal_gib: float) -> None:
    """The agent of `car` on `source`; tells the watchdog and the status file how things stand."""
    teller = _Teller(car.name, source, state)
    settings = AgentSettings(state, car.name, journal_bytes=int(journal_gib * (1 << 30)))
    try:
        with stop_on_signals() as stop:
            await run_agent(settings, source, describe(car.name, car.title_en, buses_of(car)), stop, teller.tell)
    finally:
        teller.close()


def print_status(state: Path, *, as_json: bool, is_checked: bool = False) -> None:
    """Show what the agent last wrote; UserError when none ever ran in `state`.

    `is_checked`: VedError when it does not run or has no connection.
    """
    try:
        status = json.loads((state / STATUS_FILE).read_text())
    except (OSError, ValueError):
        raise UserError(f"{state}: no agent has run with this state folder; name another with --state") from None
    status["is_running"] = time.time() - status["utc_s"] < FRESH_S
    if as_json:
        print(json.dumps(status))
    else:
        for line in _lines(status):
            console.print(line, markup=False)
    if is_checked and not (status["is_running"] and status["is_connected"]):
        raise VedError(f"{state}: the agent {'has no connection' if status['is_running'] else 'does not run'}")


class StatusFile:
    """Where `ved agent status` finds how the agent does; written at most once a second."""

    def __init__(self, vehicle: str, state: Path) -> None:
        self._vehicle, self._file = vehicle, state / STATUS_FILE
        self._told_s = 0.0

    def tell(self, now: AgentProgress, buses: Callable[[], Sequence[BusState]] = tuple) -> dict[str, Any] | None:
        """What was written; None when it was too soon."""
        if time.monotonic() - self._told_s < TELL_S:
            return None
        self._told_s = time.monotonic()
        status = {
            "vehicle": self._vehicle,
            "utc_s": time.time(),
            **asdict(now),
            "epoch": now.epoch.hex(),
            "buses": [asdict(bus) for bus in buses()],
        }
        temporary = self._file.with_name(f"{STATUS_FILE}.new")
        temporary.write_text(json.dumps(status))
        temporary.replace(self._file)
        return status


class _Teller:
    """Takes the agent's progress, and passes it on once a second: to the status file and to the service manager."""

    def __init__(self, vehicle: str, source: MergedSource, state: Path) -> None:
        self._source, self._file = source, StatusFile(vehicle, state)
        self._watchdog = Watchdog()
        self._is_ready = False

    def close(self) -> None:
        self._watchdog.close()

    def tell(self, now: AgentProgress) -> None:
        status = self._file.tell(now, self._source.bus_states)
        if status is None:
            return
        if not self._is_ready:
            self._watchdog.ready()
            self._is_ready = True
        self._watchdog.alive(_lines({**status, "is_running": True})[0])


def _lines(status: dict[str, Any]) -> list[str]:
    waiting = status["frames"] - status["stored_frames"]
    link = "connected" if status["is_connected"] else "no connection"
    rtt = f", round trip {status['rtt_us'] / 1000:.0f} ms" if status["rtt_us"] else ""
    running = "" if status["is_running"] else "NOT RUNNING; the last it said: "
    counts = f"{status['frames']:,} frames, {waiting:,} not stored yet, {status['lost_frames']:,} lost"
    lines = [f"{running}{status['vehicle']}: {link}{rtt}; {counts}"]
    for bus in status["buses"]:
        state = "up" if bus["is_up"] else f"DOWN ({bus['trouble']})"
        lines.append(
            f"  bus {bus['bus']} on {bus['interface']}: {state}; {bus['frames']:,} frames, "
            f"{bus['error_frames']:,} error frames, {bus['lost_frames']:,} lost"
        )
    lines.append(f"  journal {status['journal_bytes'] / (1 << 20):.1f} MiB")
    if status["trouble"]:
        lines.append(f"  trouble: {status['trouble']}")
    return lines
