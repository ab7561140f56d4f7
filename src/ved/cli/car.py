"""`ved agent run` and `ved agent status`: the program on the car, and the view for a laptop beside it."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from ved.agent.agent import AgentProgress, AgentSettings, run_agent
from ved.agent.state import in_memory, make_folder
from ved.canbus.source import BusState
from ved.cli.carsources import CarSources, choose_sources
from ved.cli.describe import buses_of, describe
from ved.cli.logs import set_up_logging
from ved.cli.memory import keep_giving_back, use_one_allocator
from ved.cli.stopping import stop_on_signals
from ved.config.vehicle import load_vehicle
from ved.config.watchdog import Watchdog
from ved.errors import StorageError, UserError, VedError
from ved.link.connection import first_leaf
from ved.model.vehicle import Vehicle

STATUS_FILE: Final = "status.json"
TELL_S: Final = 1.0
FRESH_S: Final = 5.0
SAMPLES_FOLDER: Final = "sensors"
SAMPLES_BATCH_S: Final = 0.2
SAMPLES_PART: Final = 8
"""Beside the journal of frames, that of samples may take an eighth of the room."""

log = logging.getLogger("ved.agent")
console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class CarOptions:
    """The vehicle's folder, the agent's own, the size of its journal, and sources in place of the vehicle's."""

    folder: Path
    state: Path
    journal_gib: float
    buses: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()


def run_car(options: CarOptions) -> None:
    """Read the vehicle's sources and send what comes until Ctrl-C or SIGTERM."""
    use_one_allocator()
    set_up_logging("agent", "text")
    car = load_vehicle(options.folder)
    sources = choose_sources(car, options.buses, options.sensors)
    asyncio.run(drive_car(car, sources, options.state, options.journal_gib))


async def drive_car(car: Vehicle, sources: CarSources, state: Path, journal_gib: float) -> None:
    """The agent of `car`; tells the watchdog and the status file how things stand.

    Frames and samples are two epochs, each with a journal of its own; either ends both when it fails.
    """
    teller = _Teller(car.name, sources, state)
    journal_bytes = int(journal_gib * (1 << 30))
    samples_bytes = journal_bytes if sources.buses is None else journal_bytes // SAMPLES_PART
    frames = AgentSettings(state, car.name, journal_bytes=journal_bytes, gps=car.gps)
    samples = AgentSettings(state / SAMPLES_FOLDER, car.name, SAMPLES_BATCH_S, samples_bytes, key_dir=state)
    giving_back = asyncio.create_task(keep_giving_back())
    try:
        with stop_on_signals() as stop:
            async with asyncio.TaskGroup() as group:
                if sources.buses is not None:
                    described = describe(car.name, car.title_en, buses_of(car))
                    group.create_task(run_agent(frames, sources.buses, described, stop, teller.tell))
                if sources.sensors is not None:
                    group.create_task(run_agent(samples, sources.sensors, None, stop, teller.tell_samples))
    except* VedError as failed:
        raise first_leaf(failed) from None
    finally:
        giving_back.cancel()
        teller.close()


def print_status(state: Path, *, as_json: bool, is_checked: bool = False) -> None:
    """Show what the agent last wrote; UserError when none ever ran in `state`.

    `is_checked`: VedError when it does not run or has no connection.
    """
    found = [status for folder in (state, in_memory(state)) if (status := _read_status(folder)) is not None]
    if not found:
        raise UserError(f"{state}: no agent has run with this state folder; name another with --state")
    status = max(found, key=lambda one: one["utc_s"])
    status["is_running"] = time.time() - status["utc_s"] < FRESH_S
    if as_json:
        print(json.dumps(status))
    else:
        for line in _lines(status):
            console.print(line, markup=False)
    if is_checked and not (status["is_running"] and status["is_connected"]):
        raise VedError(f"{state}: the agent {'has no connection' if status['is_running'] else 'does not run'}")


def _read_status(folder: Path) -> dict[str, Any] | None:
    try:
        status = json.loads((folder / STATUS_FILE).read_text())
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) else None


class StatusFile:
    """Where `ved agent status` finds how the agent does; written at most once a second.

    In a thread of its own: a card that stands still must not hold up what calls. In memory where the card refuses.
    """

    def __init__(self, vehicle: str, state: Path) -> None:
        self._vehicle, self._state = vehicle, state
        self._told_s = 0.0
        self._writer = ThreadPoolExecutor(1, "status")
        self._writing: Future[None] | None = None
        self._is_refused = False

    def tell(
        self,
        now: AgentProgress,
        buses: Callable[[], Sequence[BusState]] = tuple,
        sensors: Callable[[], Mapping[str, Any] | None] = lambda: None,
    ) -> dict[str, Any] | None:
        """What is to be written; None when it was too soon. `sensors`: how the agent's samples do, if it has any."""
        if time.monotonic() - self._told_s < TELL_S:
            return None
        self._told_s = time.monotonic()
        status = {
            "vehicle": self._vehicle,
            "utc_s": time.time(),
            **asdict(now),
            "epoch": now.epoch.hex(),
            "buses": [asdict(bus) for bus in buses()],
            "sensors": sensors(),
        }
        if self._writing is None or self._writing.done():
            self._writing = self._writer.submit(self._write, json.dumps(status))
        return status

    def close(self) -> None:
        """Write no more; what was told last is there."""
        self._writer.shutdown()

    def _write(self, status: str) -> None:
        try:
            _replace(self._state / STATUS_FILE, status)
            self._is_refused = False
        except OSError as error:
            if not self._is_refused:
                self._is_refused = True
                log.warning("%s cannot be written: %s", self._state / STATUS_FILE, error.strerror or error)
            with contextlib.suppress(OSError, StorageError):  # then nobody can be told
                make_folder(in_memory(self._state))
                _replace(in_memory(self._state) / STATUS_FILE, status)


def _replace(file: Path, text: str) -> None:
    temporary = file.with_name(f"{file.name}.new")
    temporary.write_text(text)
    temporary.replace(file)


class _Teller:
    """Takes the agent's progress, and passes it on once a second: to the status file and to the service manager."""

    def __init__(self, vehicle: str, sources: CarSources, state: Path) -> None:
        self._sources, self._file = sources, StatusFile(vehicle, state)
        self._samples: AgentProgress | None = None
        self._watchdog = Watchdog()
        self._is_ready = False

    def close(self) -> None:
        self._file.close()
        self._watchdog.close()

    def tell_samples(self, now: AgentProgress) -> None:
        """How the epoch of samples does; without one of frames it is the whole."""
        self._samples = now
        if self._sources.buses is None:
            self.tell(now)

    def _sensors(self) -> Mapping[str, Any] | None:
        now, sensors = self._samples, self._sources.sensors
        if now is None or sensors is None:
            return None
        sources = [asdict(one) for one in sensors.bus_states()]
        return {**asdict(now), "epoch": now.epoch.hex(), "sources": sources}

    def tell(self, now: AgentProgress) -> None:
        """How the agent does."""
        buses = self._sources.buses
        status = self._file.tell(now, tuple if buses is None else buses.bus_states, self._sensors)
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
    sensors = status.get("sensors")
    rows = "samples" if sensors and sensors["epoch"] == status["epoch"] else "frames"
    counts = f"{status['frames']:,} {rows}, {waiting:,} not stored yet, {status['lost_frames']:,} lost"
    lines = [f"{running}{status['vehicle']}: {link}{rtt}; {counts}"]
    for bus in status["buses"]:
        state = "up" if bus["is_up"] else f"DOWN ({bus['trouble']})"
        lines.append(
            f"  bus {bus['bus']} on {bus['interface']}: {state}; {bus['frames']:,} frames, "
            f"{bus['error_frames']:,} error frames, {bus['lost_frames']:,} lost" + _refused(bus)
        )
    for source in sensors["sources"] if sensors else ():
        state = "up" if source["is_up"] else f"DOWN ({source['trouble']})"
        lines.append(
            f"  sensors on {source['interface']}: {state}; {source['frames']:,} samples, "
            f"{source['lost_frames']:,} lost" + _refused(source)
        )
    lines.append(f"  journal {status['journal_bytes'] / (1 << 20):.1f} MiB")
    if status["trouble"]:
        lines.append(f"  trouble: {status['trouble']}")
    return lines


def _refused(source: Mapping[str, Any]) -> str:
    return f", {source['refused']:,} refused" if source.get("refused") else ""
