"""The process of the cars: connects them, drives them, and says what became of their frames."""

import asyncio
import contextlib
import pickle
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from ved.link.credentials import Credentials, parse_server_url
from ved.loadtest.car import Car, CarSettings
from ved.loadtest.drive import Drive
from ved.loadtest.lateness import Lateness
from ved.loadtest.plan import CarsReport, Span
from ved.loadtest.profiles import PROFILES
from ved.loadtest.relay import Relay
from ved.model.records import BusDescription

AT_ONCE: Final = 8
"""Cars that connect at the same time: the server bounds those of one address that have not shown a key yet."""

CONNECT_S: Final = 60.0
STAGGER_US: Final = 100_000
"""Cars do not cut their batches at the same moment: their drives begin spread over the time of one batch."""

STALL_S: Final = 10.0
"""When nothing comes to be stored for so long after the end, what is missing is lost."""


@dataclass(frozen=True, slots=True)
class CarsOrder:
    """What the process is told: a key for each car, the file with the pickled drive, the buses and the link profile."""

    cars: tuple[Credentials, ...]
    drive: Path
    buses: tuple[BusDescription, ...]
    link: str
    seed: int


def run_cars(order: CarsOrder, pipe: Connection) -> None:
    """Entry of the process: says `None` when all are connected, hears a Span, answers a CarsReport (or a text)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started this process decides
    drive: Drive = pickle.loads(order.drive.read_bytes())  # noqa: S301  # of the process that started this one
    with contextlib.suppress(EOFError, BrokenPipeError):
        asyncio.run(_drive(order, drive, pipe))


async def _drive(order: CarsOrder, drive: Drive, pipe: Connection) -> None:
    async with contextlib.AsyncExitStack() as stack:
        cars = [await _make(order, number, drive, stack) for number in range(len(order.cars))]
        tasks: list[asyncio.Task[None]] = []
        try:
            trouble = await _connect(cars, tasks)
            pipe.send(trouble)
            if trouble is None:
                pipe.send(await _measure(cars, await asyncio.to_thread(pipe.recv)))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _make(order: CarsOrder, number: int, drive: Drive, stack: contextlib.AsyncExitStack) -> Car:
    credentials, profile = order.cars[number], PROFILES[order.link]
    settings = CarSettings(credentials, order.buses)
    if not profile.is_plain:
        address = parse_server_url(credentials.server_urls[0])
        relay = await stack.enter_async_context(Relay(profile, address.host, address.port, f"{order.seed} {number}"))
        settings = replace(settings, port=relay.port)
    return Car(settings, drive)


async def _connect(cars: Sequence[Car], tasks: "list[asyncio.Task[None]]") -> str | None:
    """Start all, a few at a time; what went wrong, or None."""
    for begin in range(0, len(cars), AT_ONCE):
        some = cars[begin : begin + AT_ONCE]
        running = [asyncio.create_task(car.run()) for car in some]
        tasks += running
        connected = [asyncio.create_task(car.connected.wait()) for car in some]
        ended = [asyncio.create_task(_either(one, other)) for one, other in zip(running, connected, strict=True)]
        done, late = await asyncio.wait(ended, timeout=CONNECT_S)
        for task in (*connected, *late):
            task.cancel()
        for task in done:
            task.result()
        refusals = [car.refusal for car in some if car.refusal]
        if refusals:
            return f"the server refuses a car: {refusals[0]}"
        if late:
            return f"{len(late)} of {len(some)} cars could not connect within {CONNECT_S:.0f} s"
    return None


async def _either(running: "asyncio.Task[None]", connected: "asyncio.Task[bool]") -> None:
    done, _ = await asyncio.wait([running, connected], return_when=asyncio.FIRST_COMPLETED)
    if running in done:
        running.result()


async def _measure(cars: Sequence[Car], span: Span) -> CarsReport:
    for number, car in enumerate(cars):
        car.begin(span.begin_us + STAGGER_US * number // len(cars))
    lateness = Lateness()
    watching = asyncio.create_task(lateness.watch())
    try:
        await _sleep_until(span.from_us)
        lateness.forget()
        stored_before = sum(car.stored for car in cars)
        await _sleep_until(span.to_us)
        stored_in_span = sum(car.stored for car in cars) - stored_before
        late_ms = lateness.p99_ms()
    finally:
        watching.cancel()
    await _until_stored(cars)
    return CarsReport(
        stored=sum(car.stored for car in cars),
        stored_in_span=stored_in_span,
        sent=sum(car.sent for car in cars),
        resent=sum(car.resent for car in cars),
        reconnects=sum(car.reconnects for car in cars),
        sent_bytes=sum(car.sent_bytes for car in cars),
        refusal=next((car.refusal for car in cars if car.refusal), ""),
        late_ms=late_ms,
    )


async def _until_stored(cars: Sequence[Car]) -> None:
    """Return when every car's drive is stored, or nothing moves any more."""
    loop = asyncio.get_running_loop()
    moved_s, stored = loop.time(), -1
    while not all(car.is_done for car in cars) and loop.time() - moved_s < STALL_S:
        now = sum(car.stored for car in cars)
        if now != stored:
            moved_s, stored = loop.time(), now
        await asyncio.sleep(0.1)


async def _sleep_until(utc_us: int) -> None:
    await asyncio.sleep((utc_us - time.time_ns() // 1000) / 1e6)
