"""The role mqtt against a real mosquitto: values, status, last will, and what a broker can do to it."""

import asyncio
import contextlib
import functools
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiomqtt
import numpy as np
import pytest
from tests.services.mosquitto_server import Mosquitto

from ved.broker.base import Start, StreamReader
from ved.broker.journal import JournalStream
from ved.broker.open import open_journal
from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.vehicles import ensure_vehicle
from ved.errors import StorageError
from ved.link.certificates import ensure_server_certificates
from ved.metrics import MQTT_FAILURES_TOTAL, MQTT_PUBLISHED_TOTAL, Counters
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, Lane, LinkState
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns
from ved.model.vehicle import Vehicle, VehicleBus
from ved.mqtt import role as module
from ved.mqtt.role import run_mqtt
from ved.mqtt.settings import MqttRules, MqttSettings, MqttTarget

DBC = """VERSION ""
BU_: X
BO_ 256 Motor: 8 X
 SG_ speed : 0|16@1- (0.5,0) [0|0] "rpm" X
 SG_ gear : 16|8@1+ (1,0) [0|0] "" X
"""


def in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The test as a plain function, within a minute."""

    @functools.wraps(test)
    def run(*arguments, **named) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **named), 60))

    return run


async def until(holds: Callable[[], object]) -> None:
    while not holds():
        await asyncio.sleep(0.01)


class Site:
    """A data folder with two vehicles, and the hand of ingest on its stream."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.db_url = f"sqlite:///{folder / 'db.sqlite'}"
        db = Database(self.db_url)
        db.migrate()
        for name in ("fs", "pe"):
            ensure_vehicle(db, Vehicle(name, name, name, (VehicleBus(0, "main", 500_000, "can0", ("t.dbc",), (DBC,)),)))
        db.close()
        self.writer = open_journal(self.data, "frames").writer()
        self.seq = 1
        self.ahead_s = 0.0
        """By how much ingest's clock differs from the one here."""

    def settings(self, broker: Mosquitto, user: str = "", password: str = "", **rules) -> MqttSettings:
        target = MqttTarget(f"mqtt://127.0.0.1:{broker.port}", user, password)
        return MqttSettings(self.data, self.db_url, target, MqttRules(**{"rate_hz": 50.0, **rules}))

    def append(self, record, lane: Lane = Lane.LIVE) -> None:
        arrival = Arrival(time.monotonic_ns() // 1000, round((time.time() + self.ahead_s) * 1e6), lane)
        self.writer.append(arrival, encode_record(record))

    def drive(self, speed: float, gear: int = 1, vehicle: str = "fs", lane: Lane = Lane.LIVE) -> None:
        payload = np.zeros((1, 8), np.uint8)
        payload[0, :2] = np.array([round(speed / 0.5)], "<i2").view(np.uint8)
        payload[0, 2] = gear
        one = [
            np.array([value], kind) for value, kind in ((self.seq, "i8"), (0, "u1"), (256, "u4"), (0, "u1"), (8, "u1"))
        ]
        self.append(FrameBatch(vehicle, b"e" * 16, self.seq, FrameColumns(*one, payload)), lane)
        self.seq += 1

    def sense(self, **values: float) -> None:
        channels = tuple(SampleChannel(name) for name in values)
        n = len(values)
        columns = SampleColumns(np.zeros(n, np.int64), np.arange(n, dtype=np.uint16), np.array([*values.values()]))
        self.append(SampleBatch("fs", b"s" * 16, self.seq, channels, columns))
        self.seq += n


class Noting:
    """A stream that counts its readers, notes where they are opened, and gives none while it is away."""

    def __init__(self, stream: JournalStream) -> None:
        self._stream = stream
        self.is_away = False
        self.opened = self.closed = self.refused = 0
        self.threads: set[threading.Thread] = set()

    def reader(self, start: Start) -> StreamReader:
        self.threads.add(threading.current_thread())
        if self.is_away:
            self.refused += 1
            raise StorageError("away")
        reader = self._stream.reader(start)
        close = reader.close

        def note() -> None:
            self.closed += 1
            close()

        reader.close = note
        self.opened += 1
        return reader


@pytest.fixture
def site(tmp_path: Path):
    made = Site(tmp_path)
    yield made
    made.writer.close()


@pytest.fixture
def broker(tmp_path: Path):
    made = Mosquitto(tmp_path / "mosquitto", "allow_anonymous true")
    made.run()
    yield made
    made.stop()


@contextlib.asynccontextmanager
async def publishing(settings: MqttSettings) -> AsyncIterator[Counters]:
    counters, stop = Counters(), asyncio.Event()
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_mqtt(settings, ready.set_result, stop, counters))
    await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
    try:
        yield counters
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


@dataclass
class Display:
    """A subscriber that keeps all it gets."""

    got: list[tuple[str, str]] = field(default_factory=list)
    retained: dict[str, str] = field(default_factory=dict)

    def last(self, topic: str) -> str | None:
        return next((payload for name, payload in reversed(self.got) if name == topic), None)

    def all(self, topic: str) -> list[str]:
        return [payload for name, payload in self.got if name == topic]


@contextlib.asynccontextmanager
async def display(broker: Mosquitto, topics: str = "#", **login) -> AsyncIterator[Display]:
    out = Display()

    async def read(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if message.retain:
                out.retained[str(message.topic)] = message.payload.decode()
            out.got.append((str(message.topic), message.payload.decode()))

    async with aiomqtt.Client("127.0.0.1", broker.port, **login) as client:
        await client.subscribe(topics)
        task = asyncio.create_task(read(client))
        try:
            yield out
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def drive_until(site: Site, holds: Callable[[], object], speed: float = 12.5, **more) -> None:
    while not holds():
        site.drive(speed, **more)
        await asyncio.sleep(0.02)


@in_a_loop
async def test_two_displays_get_latest_values_status_and_names_that_are_safe(site: Site, broker: Mosquitto):
    site.drive(1.0)  # before the role: the past is not told
    settings = site.settings(broker, has_object=True)
    async with display(broker) as all_of_it, display(broker, "ved/+/Motor.speed") as speeds:
        async with publishing(settings) as counters:
            await drive_until(site, lambda: speeds.last("ved/fs/Motor.speed"))
            await drive_until(site, lambda: speeds.last("ved/pe/Motor.speed") == "-7.5", -7.5, vehicle="pe")
            site.drive(99.0, lane=Lane.BACKFILL)
            site.drive(13.0, gear=3)
            site.sense(**{"a/+#\1": 1.25, "status": 5.0, "bad": float("nan")})
            await until(lambda: all_of_it.last("ved/fs/%73tatus") == "5" and all_of_it.last("ved/fs/Motor.gear") == "3")
            await until(lambda: speeds.last("ved/fs/Motor.speed") == "13")
            assert all_of_it.last("ved/fs/a%2F%2B%23%01") == "1.25"
            values = json.loads(all_of_it.last("ved/fs/values"))
            assert values["a/+#\1"] == 1.25
            assert values["Motor.speed"] == 13
            assert all_of_it.last("ved/fs/status") == all_of_it.last("ved/pe/status") == "online"
            site.append(LinkState("fs", b"e" * 16, False, Lane.LIVE, "peer", -1))
            await until(lambda: all_of_it.last("ved/fs/status") == "offline")
            before = counters[MQTT_PUBLISHED_TOTAL]
            await asyncio.sleep(0.3)
            assert counters[MQTT_PUBLISHED_TOTAL] <= before + 1  # nothing new, nothing told (pe goes stale)
        await until(lambda: all_of_it.last("ved/pe/status") == "offline")
    assert {name for name, _ in speeds.got} == {"ved/fs/Motor.speed", "ved/pe/Motor.speed"}
    assert set(speeds.all("ved/fs/Motor.speed")) == {"12.5", "13"}
    assert not [name for name, _ in all_of_it.got if name.endswith("bad")]
    async with display(broker) as later:
        await until(lambda: len(later.retained) == 2)
        await asyncio.sleep(0.1)
    assert later.retained == {"ved/fs/status": "offline", "ved/pe/status": "offline"}


@in_a_loop
async def test_values_are_kept_for_later_where_that_is_wanted_and_only_wanted_channels_go(
    site: Site, broker: Mosquitto
):
    settings = site.settings(broker, is_retained=True, channels=("Motor.sp*",), prefix="club/cars")
    async with publishing(settings) as counters:
        await drive_until(site, lambda: counters[MQTT_PUBLISHED_TOTAL] >= 2)
    async with display(broker) as later:
        await until(lambda: len(later.retained) == 2)
        await asyncio.sleep(0.1)
    assert later.retained == {"club/cars/fs/status": "offline", "club/cars/fs/Motor.speed": "12.5"}


@in_a_loop
async def test_after_an_outage_only_the_newest_value_is_told(site: Site, broker: Mosquitto, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.5)
    async with publishing(site.settings(broker)) as counters:
        async with display(broker) as before:
            await drive_until(site, lambda: before.last("ved/fs/Motor.speed"))
        broker.stop()
        await drive_until(site, lambda: counters[MQTT_FAILURES_TOTAL] >= 2, 20.0)
        for speed in range(100):
            site.drive(speed)
            await asyncio.sleep(0.002)
        broker.run()
        async with display(broker) as after:
            await drive_until(site, lambda: after.last("ved/fs/Motor.speed"), 50.0)
            await until(lambda: after.last("ved/fs/status") == "online")
        assert set(after.all("ved/fs/Motor.speed")) <= {"99", "50"}


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
@in_a_loop
async def test_the_clock_of_ingest_need_not_agree_with_the_one_here(site: Site, broker: Mosquitto, ahead_s: float):
    site.ahead_s = ahead_s
    async with display(broker) as shown, publishing(site.settings(broker)):
        await drive_until(site, lambda: shown.last("ved/fs/Motor.speed"))


@in_a_loop
async def test_who_is_behind_goes_on_at_the_live_edge_and_says_so_once(site, broker, monkeypatch, caplog):
    stream = Noting(open_journal(site.data, "frames"))
    monkeypatch.setattr(module, "open_stream", lambda *_: stream)
    async with display(broker) as shown, publishing(site.settings(broker)):
        await drive_until(site, lambda: shown.last("ved/fs/Motor.speed"))
        for late_s in (600.0, 598.0, 500.0):
            site.ahead_s, before = -late_s, stream.opened
            site.drive(99.0)
            await until(lambda before=before: stream.opened > before)
        site.ahead_s = 0.0
        await drive_until(site, lambda: shown.last("ved/fs/Motor.speed") == "50", 50.0)
    assert set(shown.all("ved/fs/Motor.speed")) == {"12.5", "50"}
    assert len([one for one in caplog.messages if "behind" in one]) == 1
    assert stream.opened == stream.closed == 4
    assert threading.main_thread() not in stream.threads


@in_a_loop
async def test_a_stream_that_gives_no_new_reader_is_read_on_with_the_one_that_is_there(site, broker, monkeypatch):
    stream = Noting(open_journal(site.data, "frames"))
    monkeypatch.setattr(module, "open_stream", lambda *_: stream)
    monkeypatch.setattr(module, "_RETRY_S", 0.1)
    async with display(broker) as shown, publishing(site.settings(broker)):
        await drive_until(site, lambda: shown.last("ved/fs/Motor.speed"))
        stream.is_away, site.ahead_s = True, -600.0
        site.drive(99.0)
        await until(lambda: stream.refused)
        assert not stream.closed
        site.ahead_s = 0.0
        await drive_until(site, lambda: shown.last("ved/fs/Motor.speed") == "50", 50.0)
    assert stream.opened == stream.closed == 1


@in_a_loop
async def test_a_wrong_password_is_tried_seldom_and_the_right_one_works(site: Site, tmp_path: Path):
    passwords = tmp_path / "passwords"
    passwords.write_text("ved:secret\nshow:show\n")
    passwords.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
    guarded = Mosquitto(tmp_path / "guarded", "allow_anonymous false", f"password_file {passwords}")
    guarded.run()
    try:
        async with publishing(site.settings(guarded, "ved", "wrong")) as counters:
            await drive_until(site, lambda: counters[MQTT_FAILURES_TOTAL] >= 2)
            started_s = time.monotonic()
            await drive_until(site, lambda: time.monotonic() > started_s + 2.0)
            assert counters[MQTT_FAILURES_TOTAL] <= 5
            assert counters[MQTT_PUBLISHED_TOTAL] == 0
        async with (
            display(guarded, username="show", password="show") as shown,
            publishing(site.settings(guarded, "ved", "secret")),
        ):
            await drive_until(site, lambda: shown.last("ved/fs/Motor.speed"))
    finally:
        guarded.stop()


@in_a_loop
async def test_a_topic_that_the_broker_does_not_allow_makes_no_hot_loop(site: Site, tmp_path: Path):
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite ved/pe/#\ntopic read #\n")
    acl.chmod(0o600)
    strict = Mosquitto(tmp_path / "strict", "allow_anonymous true", f"acl_file {acl}")
    strict.run()
    try:
        async with display(strict) as shown, publishing(site.settings(strict)):
            started_s = time.monotonic()
            while time.monotonic() < started_s + 3.0 or not shown.last("ved/pe/Motor.speed"):
                site.drive(1.0 + site.seq % 5)
                site.drive(2.0 + site.seq % 5, vehicle="pe")
                await asyncio.sleep(0.02)
        assert not [name for name, _ in shown.got if name.startswith("ved/fs")]
        assert len(shown.all("ved/pe/Motor.speed")) > 10
        assert strict.log.count("New client connected") <= 12
    finally:
        strict.stop()


@pytest.mark.slow
@in_a_loop
async def test_a_killed_role_leaves_its_last_will(site: Site, broker: Mosquitto):
    from pydantic import TypeAdapter

    settings = replace(site.settings(broker), data=site.data)
    async with display(broker) as shown:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ved.cli.role", "mqtt", "text",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        process.stdin.write(TypeAdapter(MqttSettings).dump_json(settings) + b"\n")
        await drive_until(site, lambda: shown.last("ved/fs/status") == "online" and shown.last("ved/fs/Motor.speed"))
        process.kill()
        await process.wait()
        await until(lambda: shown.last("ved/fs/status") == "offline")


@in_a_loop
async def test_a_broker_that_hangs_up_at_each_message_is_left_in_peace(site: Site):
    """Some brokers answer what they do not allow in this way."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read(1000)  # CONNECT
        writer.write(b"\x20\x02\x00\x00")  # CONNACK: welcome
        await reader.read(1000)  # PUBLISH
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        target = MqttTarget(f"mqtt://127.0.0.1:{port}")
        async with publishing(MqttSettings(site.data, site.db_url, target, MqttRules(rate_hz=50.0))) as counters:
            await drive_until(site, lambda: connections)
            started_s = time.monotonic()
            await drive_until(site, lambda: time.monotonic() > started_s + 3.0)
            assert 2 <= connections <= 5
            assert counters[MQTT_FAILURES_TOTAL] >= connections - 1


@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")  # paho leaves a refused one to the collector
@in_a_loop
async def test_tls_goes_to_the_broker_whose_authority_is_named_and_to_no_other(site: Site, tmp_path: Path):
    ours, other = (ensure_server_certificates(tmp_path / name, ()) for name in ("ours", "other"))
    for name, one in (("ours.pem", ours), ("other.pem", other)):
        (tmp_path / name).write_text(one.ca_pem)
    pair = str(ours.server_path)
    secure = Mosquitto(tmp_path / "secure", "allow_anonymous true", f"certfile {pair}", f"keyfile {pair}")
    secure.run()
    try:
        settings = site.settings(secure)
        url = f"mqtts://127.0.0.1:{secure.port}"
        async with publishing(replace(settings, target=MqttTarget(url, ca=str(tmp_path / "other.pem")))) as counters:
            await drive_until(site, lambda: counters[MQTT_FAILURES_TOTAL] >= 2)
            assert counters[MQTT_PUBLISHED_TOTAL] == 0
        async with publishing(replace(settings, target=MqttTarget(url, ca=str(tmp_path / "ours.pem")))) as counters:
            await drive_until(site, lambda: counters[MQTT_PUBLISHED_TOTAL] >= 2)
            assert counters[MQTT_FAILURES_TOTAL] == 0
    finally:
        secure.stop()
