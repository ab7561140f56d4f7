"""One run of a load test: the processes of cars and viewers started, measured, and what they say put together."""

import multiprocessing
import pickle
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import httpx

from ved.errors import UserError, VedError
from ved.loadtest.cars import CarsOrder, run_cars
from ved.loadtest.drive import Drive, make_drive
from ved.loadtest.histogram import Histogram
from ved.loadtest.plan import NO_VIEWERS, WARM_UP_S, CarsReport, Load, Outcome, Span, Target, ViewersReport
from ved.loadtest.stored import count_in_lake
from ved.loadtest.usage import LOOK_S, Meter, roles_of
from ved.loadtest.viewers import ViewersOrder, run_viewers
from ved.model.frames import EPOCH_BYTES
from ved.model.records import BusDescription
from ved.model.vehicle import Vehicle

LEAD_S: Final = 1.0
WINDOW_S: Final = 60
CHANNELS_S: Final = 30.0
READY_S: Final = 300.0
REPORT_S: Final = 60.0
FULL_CORE: Final = 0.85
LATE_MS: Final = 25.0
BUSY_CORE: Final = 0.2
PLOT_STEPS: Final = 120


def run_trial(load: Load, target: Target, vehicle: Vehicle, tell: Callable[[str], None]) -> Outcome:
    """Drive `load` into the target once; `tell` hears what happens now. UserError or VedError when it cannot."""
    tell(f"making the drive: {load.frames_per_s:,} frames/s, {WARM_UP_S + load.seconds:g} s")
    epoch = secrets.token_bytes(EPOCH_BYTES)
    drive = make_drive(vehicle, epoch, load.frames_per_s, WARM_UP_S + load.seconds, load.seed)
    buses = tuple(BusDescription(bus.index, bus.name, bus.dbc_texts) for bus in vehicle.buses)
    with tempfile.TemporaryDirectory(prefix="ved-loadtest-") as folder:
        file = Path(folder) / "drive"
        file.write_bytes(pickle.dumps(drive))
        cars = _Child("cars", run_cars, CarsOrder(target.cars[: load.cars], file, buses, load.link, load.seed))
        people: _Child | None = None
        try:
            tell(f"connecting {load.cars} cars")
            cars.expect_ready()
            if load.viewers:
                tell(f"connecting {load.viewers} viewers")
                people = _Child("viewers", run_viewers, _viewers_order(load, target))
                people.expect_ready()
            tell(f"driving for {WARM_UP_S + load.seconds:g} s")
            return _measure(_Run(load, target, drive, cars, people), tell)
        finally:
            cars.end()
            if people is not None:
                people.end()


@dataclass(frozen=True, slots=True)
class _Run:
    load: Load
    target: Target
    drive: Drive
    cars: "_Child"
    people: "_Child | None"

    @property
    def children(self) -> "list[_Child]":
        return [self.cars] if self.people is None else [self.cars, self.people]


def _measure(run: _Run, tell: Callable[[str], None]) -> Outcome:
    load, target = run.load, run.target
    begin_us = time.time_ns() // 1000 + round(LEAD_S * 1e6)
    from_us = begin_us + round(WARM_UP_S * 1e6)
    span = Span(begin_us, from_us, from_us + round(load.seconds * 1e6))
    for child in run.children:
        child.pipe.send(span)
    _sleep_until(from_us)
    roles = {} if target.server_pid is None else roles_of(target.server_pid)
    own = {f"generator: {child.name}": child.pid for child in run.children}
    meter = Meter({**roles, **own})
    while time.time_ns() // 1000 < span.to_us:
        _sleep_until(min(span.to_us, time.time_ns() // 1000 + round(LOOK_S * 1e6)))
        meter.look()
    used, others_core = meter.end()
    ended_s = time.monotonic()
    sent: CarsReport = run.cars.hear()
    seen: ViewersReport = NO_VIEWERS if run.people is None else run.people.hear()
    if sent.refusal:
        raise VedError(f"the server refused a car while it drove: {sent.refusal}")
    lake = None
    if target.lake_url is not None:
        tell("waiting for the lake")
        names = [car.vehicle for car in target.cars[: load.cars]]
        lake = count_in_lake(target.lake_url, run.drive.epoch, sent.stored, names, ended_s)
    delays = Histogram.of(seen.delays)
    captured = run.drive.frames * load.cars
    p99_ms = delays.percentile_ms(99)
    generator = tuple(one for name, one in used.items() if name in own)
    return Outcome(
        load=load,
        p50_ms=delays.percentile_ms(50),
        p90_ms=delays.percentile_ms(90),
        p99_ms=p99_ms,
        frames_per_s=sent.stored_in_span / load.seconds,
        bytes_per_frame=sent.sent_bytes / max(1, sent.sent),
        captured=captured,
        lost=captured - sent.stored,
        resent=sent.resent,
        reconnects=sent.reconnects,
        messages_per_s=seen.messages / load.seconds,
        missed=seen.missed,
        behind=seen.behind + seen.closed,
        lake=lake,
        roles=tuple(one for name, one in used.items() if name in roles),
        generator=generator,
        others_core=others_core,
        shares=tuple(delays.shares(max(50.0, 1.5 * (p99_ms or 0.0)), PLOT_STEPS)),
        notes=_notes(run, others_core, generator, (sent, seen)),
    )


def _notes(
    run: _Run, others_core: float, generator: Sequence[Any], said: tuple[CarsReport, ViewersReport]
) -> tuple[str, ...]:
    """What a reader must know before believing the figures."""
    out = []
    sent, seen = said
    full = [one for one in generator if one.core > FULL_CORE]
    out += [f"{one.name}: {one.core:.0%} of a core: the generator may be the limit, not the server" for one in full]
    for name, late_ms in (("cars", sent.late_ms), ("viewers", seen.late_ms)):
        if late_ms > LATE_MS:
            out.append(f"generator: {name} was late by itself (p99 {late_ms:.0f} ms): part of the delays is its own")
    if others_core > BUSY_CORE:
        out.append(f"other programs on this machine used {others_core:.2f} cores meanwhile")
    if run.target.server_pid is None:
        out.append("the server's processes are not seen from here: no processors and memory of its roles")
    if run.target.lake_url is None:
        out.append("the server's lake is not seen from here: duplicates and rows in the lake were not counted")
    return tuple(out)


def _viewers_order(load: Load, target: Target) -> ViewersOrder:
    names = [car.vehicle for car in target.cars[: load.cars]]
    channels = {name: _channels(target, name) for name in names[: load.viewers]}
    wishes = []
    for number in range(load.viewers):
        vehicle = names[number % len(names)]
        known = channels[vehicle]
        begin = number // len(names) * load.signals
        chosen = [known[(begin + at) % len(known)] for at in range(min(load.signals, len(known)))]
        wish = {"type": "watch", "id": 1, "vehicle": vehicle, "channels": chosen}
        wishes.append({**wish, "rate_hz": load.rate_hz, "window_s": WINDOW_S})
    return ViewersOrder(target.web_url, target.cookie, tuple(wishes))


def _channels(target: Target, vehicle: str) -> list[str]:
    """Names of the vehicle's decoded channels, once the server has read what the car said of itself."""
    until_s = time.monotonic() + CHANNELS_S
    url = f"{target.web_url.rstrip('/')}/api/vehicles/{vehicle}"
    while time.monotonic() < until_s:
        try:
            answer = httpx.get(url, headers={"Cookie": target.cookie}, timeout=CHANNELS_S)
        except httpx.HTTPError as error:
            raise UserError(f"{target.web_url} does not answer ({error}); is the server's page running?") from None
        if answer.status_code == 200:
            found = [one["name"] for one in answer.json()["channels"] if one["bus"] is not None and one["message"]]
            if found:
                return found
        elif answer.status_code != 404:
            raise UserError(
                f"{url} answers HTTP status {answer.status_code}; sign in anew ('ved signin --role viewer')"
            )
        time.sleep(0.2)
    raise VedError(f"the server knows no channel of {vehicle} after {CHANNELS_S:.0f} s")


class _Child:
    """A process of the generator, and the pipe to it."""

    def __init__(self, name: str, entry: Callable[[Any, Connection], None], order: object) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=entry, args=(order, theirs), name=name, daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def expect_ready(self) -> None:
        """Return when it is ready; VedError with what it says instead."""
        trouble = self._word(READY_S)
        if trouble is not None:
            raise VedError(str(trouble))

    def hear(self) -> Any:
        """Its report; VedError when it died or says nothing."""
        return self._word(REPORT_S)

    def end(self) -> None:
        """Make an end of it."""
        self.pipe.close()
        self._process.join(2.0)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(5.0)

    def _word(self, within_s: float) -> Any:
        try:
            if self.pipe.poll(within_s):
                return self.pipe.recv()
        except (EOFError, OSError):
            self._process.join(2.0)
            raise VedError(
                f"the generator's process of the {self.name} ended (exit code {self._process.exitcode})"
            ) from None
        raise VedError(f"the generator's process of the {self.name} says nothing for {within_s:.0f} s")


def _sleep_until(utc_us: int) -> None:
    time.sleep(max(0.0, (utc_us - time.time_ns() // 1000) / 1e6))
