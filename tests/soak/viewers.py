"""The soak's viewers as one process: real WebSocket clients that note what they are shown, and how old it is.

Standard input brings one JSON line, `Order`. Every REPORT_S a JSON line goes to the file `out`. SIGTERM ends it: the
last line says of each viewer the newest mark that it was shown of each vehicle.
"""

import asyncio
import contextlib
import json
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.torture.car_process import die_with_parent
from tests.soak.car import MARK_CHANNEL
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from ved.codec.live import LiveKind, decode_message

REPORT_S: Final = 10.0
RATES_HZ: Final = (1, 2, 5, 10, 20, 50, 100)
WINDOWS_S: Final = (5, 30, 60, 300, 1800, 7200)
_RETRY_S: Final = 1.0
_SLOW_SHARE: Final = 0.01
_SLOW_S: Final = 10.0


@dataclass(frozen=True)
class Order:
    """What to do: where, who signs in (one-time tokens, one each), which channels there are, where to report."""

    url: str
    tokens: list[str]
    channels: dict[str, list[str]]
    seed: int
    out: str


@dataclass
class Seen:
    """Of one viewer since the last report."""

    messages: int = 0
    bytes: int = 0
    missed: int = 0
    resets: int = 0
    errors: list[str] = field(default_factory=list)
    connects: int = 0
    ages_ms: dict[str, list[float]] = field(default_factory=dict)


class Viewer:
    """One page. Some wander (other signals and windows every minute or so), some stop reading now and then."""

    def __init__(self, number: int, order: Order, cookie: str) -> None:
        self.number = number
        self._order, self._cookie = order, cookie
        self._random = random.Random(f"{order.seed} {number}")
        self.is_wanderer = number % 5 == 0
        self.is_slow = number % 15 == 7
        self.seen = Seen()
        self.newest: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self._watching: dict[int, str] = {}
        self._marks: dict[str, int] = {}

    def take_seen(self) -> Seen:
        seen, self.seen = self.seen, Seen()
        return seen

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, WebSocketException, InvalidHandshake, EOFError, TimeoutError):
                await self._look()
            await asyncio.sleep(_RETRY_S * self._random.uniform(0.5, 1.5))

    async def _look(self) -> None:
        url = self._order.url.replace("http", "ws") + "/api/live"
        headers = {"Cookie": self._cookie}
        async with connect(url, additional_headers=headers, origin=self._order.url, compression=None) as live:
            self.seen.connects += 1
            self._watching, self._marks = {}, {}
            await self._wish(live)
            wander_s = time.monotonic() + self._random.uniform(30, 90)
            async for data in live:
                self._take(data)
                if self.is_slow and self._random.random() < _SLOW_SHARE:
                    await asyncio.sleep(_SLOW_S * self._random.random())
                if self.is_wanderer and time.monotonic() > wander_s:
                    wander_s = time.monotonic() + self._random.uniform(30, 90)
                    await self._wish(live)

    async def _wish(self, live: ClientConnection) -> None:
        """Ask for one or two vehicles, each with signals, a rate and a window of its own."""
        chance = self._random
        vehicles = chance.sample(sorted(self._order.channels), chance.choice((1, 1, 1, 2)))
        for one in self._watching:
            await live.send(json.dumps({"type": "unwatch", "id": one}))
        first = max(self._watching, default=0) % 1000 + 1
        self._watching = dict(enumerate(vehicles, first))
        for one, vehicle in self._watching.items():
            known = self._order.channels[vehicle]
            channels = [MARK_CHANNEL, *chance.sample(known, min(len(known), chance.randint(2, 12)))]
            wish = {"type": "watch", "id": one, "vehicle": vehicle, "channels": channels}
            wish |= {"rate_hz": chance.choice(RATES_HZ), "window_s": chance.choice(WINDOWS_S)}
            await live.send(json.dumps(wish))

    def _take(self, data: str | bytes) -> None:
        now_ms = time.monotonic_ns() / 1e6
        self.seen.messages += 1
        self.seen.bytes += len(data)
        if isinstance(data, str):
            self._take_text(json.loads(data))
            return
        message = decode_message(data)
        vehicle = self._watching.get(message.header.subscription)
        if vehicle is None:
            return
        for column in message.columns:
            if column.channel != self._marks.get(vehicle) or not len(column.last):
                continue
            mark = int(np.nanmax(column.last))
            if mark > self.newest.get(vehicle, 0):
                if message.header.kind == LiveKind.INCREMENT and not self.is_slow:
                    self.seen.ages_ms.setdefault(vehicle, []).append(round(now_ms - mark, 1))
                self.newest[vehicle] = mark

    def _take_text(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "watching" and message["id"] in self._watching:
            if message["unknown"]:
                self.seen.errors.append(f"unknown channels {message['unknown'][:3]}")
            for one in message["channels"]:
                if one["name"] == MARK_CHANNEL:
                    self._marks[message["vehicle"]] = one["index"]
        elif kind == "missed":
            self.seen.missed += message["messages"]
        elif kind == "reset":
            self.seen.resets += 1
        elif kind == "error":
            self.seen.errors.append(f"{message['code']}: {message['message']}")

    def watched(self) -> list[str]:
        return sorted(self._watching.values())


async def sign_in(url: str, tokens: Sequence[str]) -> list[str]:
    """A cookie for each token."""
    out = []
    for token in tokens:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            answer = await client.get("/signin", params={"token": token})
            assert answer.status_code == 303, answer.text
            out.append("; ".join(f"{name}={value}" for name, value in client.cookies.items()))
    return out


def report(viewers: Sequence[Viewer]) -> dict[str, Any]:
    """What all of them saw since the last time. Ages are kept as they are: they are few, and percentiles come later."""
    ages: dict[str, list[float]] = {}
    total = Seen()
    for viewer in viewers:
        seen = viewer.take_seen()
        for vehicle, values in seen.ages_ms.items():
            ages.setdefault(vehicle, []).extend(values)
        total.messages += seen.messages
        total.bytes += seen.bytes
        total.missed += seen.missed
        total.resets += seen.resets
        total.connects += seen.connects
        total.errors += seen.errors
    total.ages_ms = ages
    return {"mono_s": time.monotonic(), **asdict(total)}


async def watch(order: Order) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    cookies = await sign_in(order.url, order.tokens)
    viewers = [Viewer(number, order, cookie) for number, cookie in enumerate(cookies)]
    tasks = [asyncio.create_task(viewer.run()) for viewer in viewers]
    with Path(order.out).open("a") as out:

        def tell(said: dict[str, Any]) -> None:
            out.write(json.dumps(said) + "\n")
            out.flush()

        tell({"signed_in": len(cookies)})
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REPORT_S)
            for task in tasks:
                if task.done():
                    task.result()
            tell(report(viewers))
        tell({"end": [{"viewer": one.number, "watched": one.watched(), "newest": one.newest} for one in viewers]})
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(watch(Order(**json.loads(sys.stdin.readline()))))
