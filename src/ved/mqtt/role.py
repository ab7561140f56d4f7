"""The role mqtt: the latest values of each vehicle to an MQTT broker, for Node-RED, small displays and the like.

Reading and publishing are apart: while the broker is away values go on to be replaced, and nothing is kept for it.
Each vehicle has a connection of its own: its last will is its status, and what a broker refuses of it costs no other.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Final

from ved.api.decoding import decoder_of_sources
from ved.api.unpack import compile_kernels
from ved.broker.base import Stream, StreamReader
from ved.broker.open import open_stream
from ved.db.database import Database
from ved.errors import StorageError, UserError
from ved.metrics import LAG, MQTT_FAILURES_TOTAL, MQTT_PUBLISHED_TOTAL, Counters
from ved.mqtt.delay import Delay
from ved.mqtt.latest import Latest, Update
from ved.mqtt.outgoing import Outgoing, Publication, status_topic
from ved.mqtt.settings import MqttSettings

if TYPE_CHECKING:
    import aiomqtt

READ_BYTES: Final = 256 << 10
READ_S: Final = 0.1
MAX_VEHICLES: Final = 64
TIMEOUT_S: Final = 5.0
KEEPALIVE_S: Final = 15
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 30.0
"""A connection that stood so long was a good one. A broker may close one at each message that it does not allow."""
LOG_S: Final = 60.0
_RETRY_S: Final = 1.0

_log = logging.getLogger(__name__)


async def run_mqtt(
    settings: MqttSettings,
    ready: Callable[[dict[str, object]], None],
    stop: asyncio.Event,
    counters: Counters | None = None,
) -> None:
    """Publish until `stop`, then say that all vehicles are offline. UserError without the extra `mqtt`."""
    try:
        import aiomqtt  # noqa: F401
    except ImportError as error:
        raise UserError("mqtt_url: MQTT needs an extra; install it with: pip install 'ved[mqtt]'") from error
    counters = counters or Counters()
    db = Database(settings.db_url)
    try:
        publishing = _Publishing(settings, counters)
        stream = open_stream(settings.data, "frames", settings.kafka)
        await asyncio.to_thread(decoder_of_sources, ())  # the kernels: their loading would make the first values old
        await asyncio.to_thread(compile_kernels)
        following = asyncio.create_task(_follow(stream, Latest(db, counters), publishing, counters))
        stopping = asyncio.create_task(stop.wait())
        ready({})
        try:
            await asyncio.wait((following, stopping), return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
        finally:
            for task in (following, stopping):
                task.cancel()
            await asyncio.gather(following, stopping, return_exceptions=True)
            await publishing.close()
    finally:
        db.close()


async def _follow(stream: Stream, latest: Latest, publishing: "_Publishing", counters: Counters) -> None:
    """Read the live edge for ever. A disk or database that refuses is tried again."""
    lag_ms = 0.0
    counters.gauge(LAG, lambda: lag_ms)
    delay, told_us = Delay(), float("-inf")
    reader: StreamReader = await asyncio.to_thread(stream.reader, "latest")
    try:
        while True:
            try:
                entries = await reader.read(max_bytes=READ_BYTES, timeout_s=READ_S)
                waited_us = time.time_ns() // 1000 - entries[-1].arrival.utc_us if entries else 0
                lag_ms = max(0.0, waited_us / 1000)
                now_us = time.monotonic_ns() // 1000
                behind_us = delay.behind_us(waited_us, now_us) if entries else 0
                if not behind_us:
                    publishing.take(await asyncio.to_thread(latest.take, entries, now_us))
                    continue
                if now_us - told_us >= LOG_S * 1e6:
                    told_us = now_us
                    _log.warning("%.0f s behind, or a clock was set: goes on at the live edge", behind_us / 1e6)
                newest = await asyncio.to_thread(stream.reader, "latest")
                before, reader = reader, newest
                await asyncio.to_thread(before.close)
            except StorageError as error:
                _log.warning("waiting: %s", error)
                await asyncio.sleep(_RETRY_S)
    finally:
        reader.close()


class _Publishing:
    """A task for each vehicle that was heard of."""

    def __init__(self, settings: MqttSettings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self._vehicles: dict[str, _Vehicle] = {}

    def take(self, updates: Mapping[str, Update]) -> None:
        """New values; a vehicle that is new gets its connection."""
        now_s = time.monotonic()
        for name, update in updates.items():
            vehicle = self._vehicles.get(name)
            if vehicle is None:
                if len(self._vehicles) >= MAX_VEHICLES:
                    continue
                vehicle = self._vehicles[name] = _Vehicle(name, self._settings, self._counters)
            if update.values:
                vehicle.outgoing.take(update.values, now_s)
            if update.is_linked is not None:
                vehicle.outgoing.take_link(is_up=update.is_linked)

    async def close(self) -> None:
        """End all connections in order."""
        for vehicle in self._vehicles.values():
            vehicle.stop.set()
        tasks = [vehicle.task for vehicle in self._vehicles.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Vehicle:
    """Connects again and again, each time after a pause that grows and is never the same."""

    def __init__(self, name: str, settings: MqttSettings, counters: Counters) -> None:
        self.outgoing = Outgoing(name, settings.rules)
        self.stop = asyncio.Event()
        self._name = name
        self._settings = settings
        self._tls = settings.target.tls()
        self._counters = counters
        self._told = ""
        self._told_s = float("-inf")
        self.task = asyncio.create_task(self._run(), name=f"mqtt {name}")

    async def _run(self) -> None:
        import aiomqtt

        pause_s = FIRST_PAUSE_S
        while not self.stop.is_set():
            began_s = time.monotonic()
            try:
                async with self._client() as client:
                    self.outgoing.forget_sent()
                    await _first(self._publish(client), _await_end(client))
            except (aiomqtt.MqttError, OSError, ssl.SSLError, ValueError) as error:
                self._tell(str(error) or type(error).__name__)
            if time.monotonic() - began_s > STEADY_S:
                pause_s = FIRST_PAUSE_S
            await self._wait(pause_s * random.uniform(0.5, 1.5))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _client(self) -> "aiomqtt.Client":
        import aiomqtt

        target = self._settings.target
        topic = status_topic(self._settings.rules.prefix, self._name)
        return aiomqtt.Client(
            target.host,
            target.port,
            username=target.user or None,
            password=target.password or None,
            will=aiomqtt.Will(topic, "offline", qos=1, retain=True),
            tls_context=self._tls,
            timeout=TIMEOUT_S,
            keepalive=KEEPALIVE_S,
        )

    async def _publish(self, client: "aiomqtt.Client") -> None:
        """Until the role stops, one message after the other: what a slow broker delays is replaced, not queued."""
        while not self.stop.is_set():
            began_s = time.monotonic()
            for one in self.outgoing.due(began_s):
                await self._send(client, one)
            await self._wait(max(0.0, began_s + 1 / self._settings.rules.rate_hz - time.monotonic()))
        topic = status_topic(self._settings.rules.prefix, self._name)
        await self._send(client, Publication(topic, "offline", is_retained=True))

    async def _send(self, client: "aiomqtt.Client", one: Publication) -> None:
        await client.publish(one.topic, one.payload, qos=0, retain=one.is_retained)
        self._counters.add(MQTT_PUBLISHED_TOTAL)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)

    def _tell(self, why: str) -> None:
        """Count a failure; log it when it is another one, or again after a minute."""
        self._counters.add(MQTT_FAILURES_TOTAL)
        now_s = time.monotonic()
        if why != self._told or now_s - self._told_s >= LOG_S:
            self._told, self._told_s = why, now_s
            _log.warning("%s: nothing is published to %s: %s", self._name, self._settings.target.url, why)


async def _await_end(client: "aiomqtt.Client") -> None:
    """Until the connection ends, by an MqttError: a message that was on its way then would tell only after its time."""
    async for _ in client.messages:
        pass


async def _first(*runs: Coroutine[object, object, None]) -> None:
    """Run all until one ends, as that one does."""
    tasks = [asyncio.create_task(run) for run in runs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
