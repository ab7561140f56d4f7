"""Frames and values through a real mosquitto: password, rights, TLS, a broker that goes away, repeats, a flood."""

import gc
import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.services.mosquitto_server import Mosquitto

from ved.canbus.network import mqttclient
from ved.canbus.network.mqttclient import MqttInbox, MqttSettings
from ved.link.certificates import ensure_server_certificates
from ved.model.records import LossPlace

sys.path.insert(0, str(Path(__file__).parent))
from ways_helpers import Reading, SensorReading

ACL = """
user fs
topic read ved/fs/#
topic read sensors/#
user board
topic write ved/fs/#
topic write sensors/#
user stranger
topic read other/#
"""


def payload(numbers: list[int], *, life: int = 1, first: int | None = None, step_us: int = 1_000) -> bytes:
    """Frames that carry their numbers; the frame with number n was sent at n × step."""
    first = numbers[0] if first is None else first
    out = struct.pack("<BBHIIQ", 1, 0, len(numbers), life, first, numbers[0] * step_us)
    for row, number in enumerate(numbers):
        out += struct.pack("<IIBBI", 0x100 + number % 30, row * step_us, 4, 0, number)
    return out


class Broker:
    """mosquitto with three users, and a publisher."""

    def __init__(self, folder: Path, *lines: str) -> None:
        folder.mkdir()
        self.folder = folder
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        for user in ("fs", "board", "stranger"):
            command = ["mosquitto_passwd", "-b", str(passwords), user, f"secret-{user}"]
            subprocess.run(command, check=True, capture_output=True)
            (folder / f"{user}.password").write_text(f"secret-{user}\n")
        (folder / "acl").write_text(ACL)
        rules = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {folder / 'acl'}")
        self.server = Mosquitto(folder, *rules, *lines)
        self.server.run()
        self._client: paho.Client | None = None

    def publish(self, topic: str, content: bytes, *, qos: int = 1, retain: bool = False) -> None:
        if self._client is None:
            self._client = paho.Client(CallbackAPIVersion.VERSION2)
            self._client.username_pw_set("board", "secret-board")
            if (self.folder / "ca.pem").exists():
                self._client.tls_set(ca_certs=str(self.folder / "ca.pem"))
            self._client.connect("127.0.0.1", self.server.port)
            self._client.loop_start()
        told = self._client.publish(topic, content, qos, retain)
        told.wait_for_publish(20)

    def drop_publisher(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def address(self, topic: str, user: str = "fs", more: str = "", kind: str = "mqtt") -> str:
        secret = self.folder / f"{user}.password"
        return f"{kind}://{user}@127.0.0.1:{self.server.port}/{topic}?password_file={secret}{more}"

    def close(self) -> None:
        self.drop_publisher()
        self.server.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker")
    yield broker
    broker.close()


def numbers_of(reading: Reading) -> list[int]:
    out: list[int] = np.ascontiguousarray(reading.frames.payload[:, :4]).view("<u4")[:, 0].tolist()
    return out


def test_many_frames_in_one_payload_gaps_and_repeats(broker: Broker) -> None:
    reading = Reading(broker.address("ved/fs/powertrain"))
    reading.until(lambda: reading.state().is_up)
    topic = "ved/fs/powertrain"
    broker.publish(topic, payload(list(range(100))))
    reading.until(lambda: reading.now_us > 200_000 and reading.count == 100)
    broker.publish(topic, payload(list(range(100, 130))))
    broker.publish(topic, payload(list(range(100, 130))))  # brought twice, as QoS 1 may
    broker.publish(topic, payload(list(range(120, 150))))  # overlaps
    broker.publish(topic, payload(list(range(160, 170))))  # ten are missing
    broker.publish("ved/fs/chassis", payload([1, 2, 3]))  # another bus's
    for rubbish in (b"", b"hello", payload([170])[:-1], bytes(100)):
        broker.publish(topic, rubbish)
    broker.publish(topic, payload([0, 1], life=2))  # the sender began anew
    broker.publish(topic, payload([170], life=1))  # late, of its life before
    reading.until(lambda: reading.count == 100 + 50 + 10 + 2 and reading.state().refused == 30 + 10 + 4 + 1)
    reading.close()
    assert numbers_of(reading) == [*range(150), *range(160, 170), 0, 1]
    (gap,) = reading.losses
    assert (gap.place, gap.count) == (LossPlace.WAY, 10)
    t_us = reading.frames.t_us
    assert gap.t_from_us <= t_us[149] <= t_us[150] <= gap.t_to_us
    assert (np.diff(t_us) >= 0).all()


def test_password_and_rights(broker: Broker, tmp_path: Path) -> None:
    """A wrong password is told and tried again; a user without rights gets nothing; neither disturbs another bus."""
    wrong = tmp_path / "wrong"
    wrong.write_text("guess\n")
    mine = broker.address("ved/fs/powertrain")
    bad = f"mqtt://fs@127.0.0.1:{broker.server.port}/ved/fs/powertrain?password_file={wrong}"
    stranger = broker.address("ved/fs/powertrain", user="stranger")
    nobody = f"mqtt://127.0.0.1:{broker.server.port}/ved/fs/powertrain"
    reading = Reading(mine, bad, stranger, nobody)
    reading.until(lambda: reading.state(0).is_up)
    for bus in (1, 3):
        reading.until(lambda at=bus: "not auth" in (reading.state(at).trouble or "").lower().replace("_", " "))
    broker.publish("ved/fs/powertrain", payload([0, 1, 2]))
    reading.until(lambda: reading.count == 3)
    until_s = time.monotonic() + 0.3
    reading.until(lambda: time.monotonic() > until_s)
    reading.close()
    assert reading.frames.bus.tolist() == [0, 0, 0]


def test_a_broker_that_goes_away_is_dialled_again_and_keeps_what_it_can(broker: Broker) -> None:
    """Without a session what is published meanwhile is lost, and the numbers tell how much, exactly."""
    reading = Reading(broker.address("ved/fs/powertrain"))
    reading.until(lambda: reading.state().is_up)
    broker.publish("ved/fs/powertrain", payload(list(range(10))))
    reading.until(lambda: reading.count == 10)
    broker.drop_publisher()
    broker.server.stop()
    reading.until(lambda: not reading.state().is_up)
    broker.server.run()
    reading.until(lambda: reading.state().is_up)
    broker.publish("ved/fs/powertrain", payload(list(range(25, 30))))
    reading.until(lambda: reading.count == 15)
    reading.close()
    assert numbers_of(reading) == [*range(10), *range(25, 30)]
    assert [loss.count for loss in reading.losses if loss.place == LossPlace.WAY] == [15]
    down = [loss for loss in reading.losses if loss.place == LossPlace.BUS_DOWN]
    assert down
    t_us = reading.frames.t_us
    assert min(loss.t_from_us for loss in down) <= t_us[9] + 5_000_000
    assert max(loss.t_to_us for loss in down) >= t_us[10] - 500_000


def test_with_a_session_the_broker_keeps_what_came_meanwhile(broker: Broker) -> None:
    address = broker.address("ved/fs/powertrain", more="&client_id=ved-fs-powertrain")
    reading = Reading(address)
    reading.until(lambda: reading.state().is_up)
    broker.publish("ved/fs/powertrain", payload(list(range(10))))
    reading.until(lambda: reading.count == 10)
    inbox = reading.source._buses[0]._reader._inbox
    inbox._loop.call_soon_threadsafe(inbox._task.cancel)  # the network went, not the broker
    reading.until(lambda: not reading.state().is_up)
    broker.publish("ved/fs/powertrain", payload(list(range(10, 25))))
    reading.until(lambda: reading.count == 25)
    reading.close()
    assert numbers_of(reading) == list(range(25))
    assert {loss.place for loss in reading.losses} == {LossPlace.BUS_DOWN}


def test_retained_and_oversized_payloads_count_for_nothing(broker: Broker) -> None:
    """A retained payload is of a time that nobody knows; one above the limit never leaves the broker, its gap shows."""
    broker.publish("ved/fs/powertrain", payload([0, 1]), retain=True)
    reading = Reading(broker.address("ved/fs/powertrain"))
    reading.until(lambda: reading.state().is_up and reading.state().refused == 1)
    broker.publish("ved/fs/powertrain", payload([2, 3]))
    broker.publish("ved/fs/powertrain", bytes(2 << 20))
    broker.publish("ved/fs/powertrain", payload([5]))
    reading.until(lambda: reading.count == 3)
    reading.close()
    assert numbers_of(reading) == [2, 3, 5]
    assert [(loss.place, loss.count) for loss in reading.losses] == [(LossPlace.WAY, 1)]


def test_a_flood_fills_its_own_queue_and_no_more(broker: Broker) -> None:
    """Nobody reads for a while: what does not fit is counted."""
    settings = MqttSettings("127.0.0.1", broker.server.port, "ved/fs/powertrain", "fs", "secret-fs")
    inbox = MqttInbox(settings, max_bytes=100_000)
    wait_for(lambda: inbox.opened_ns)
    for number in range(200):
        broker.publish("ved/fs/powertrain", payload([number]) + bytes(1_000), qos=1)
    broker.publish("ved/fs/powertrain", b"last")
    wait_for(lambda: len(inbox._messages) + inbox._dropped == 201)
    messages, dropped = inbox.take()
    assert len(messages) + dropped == 201
    assert 50 < len(messages) < 100
    broker.publish("ved/fs/powertrain", b"room again")
    wait_for(lambda: inbox._messages)
    messages, dropped = inbox.take()
    assert ([message.payload for message in messages], dropped) == ([b"room again"], 0)
    inbox.close()
    assert inbox.failure == "closed"


def wait_for(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_a_full_queue_is_a_declared_loss(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqttclient, "MqttInbox", lambda settings: MqttInbox(settings, max_bytes=2_000))
    reading = Reading(broker.address("ved/fs/powertrain"))
    reading.until(lambda: reading.state().is_up)
    for number in range(20):
        broker.publish("ved/fs/powertrain", payload([number] * 1, first=number))
    reading.until(lambda: reading.losses and reading.count)
    reading.close()
    queue = [loss for loss in reading.losses if loss.place == LossPlace.SOURCE_QUEUE]
    assert {loss.count for loss in queue} == {-1}


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_with_the_clubs_own_authority(tmp_path: Path) -> None:
    certificates = ensure_server_certificates(tmp_path / "keys", ())
    folder = tmp_path / "broker"
    pem = certificates.server_path
    broker = Broker(folder, f"certfile {pem}", f"keyfile {pem}")
    (folder / "ca.pem").write_text(certificates.ca_pem)
    other = ensure_server_certificates(tmp_path / "other", ())
    (folder / "other.pem").write_text(other.ca_pem)
    reading = Reading(
        broker.address("ved/fs/powertrain", more=f"&ca={folder / 'ca.pem'}", kind="mqtts"),
        broker.address("ved/fs/powertrain", more=f"&ca={folder / 'other.pem'}", kind="mqtts"),
    )
    try:
        reading.until(lambda: reading.state(0).is_up)
        reading.until(lambda: "certificate" in (reading.state(1).trouble or "").lower())
        broker.publish("ved/fs/powertrain", payload([0, 1]))
        reading.until(lambda: reading.count == 2)
    finally:
        reading.close()
        broker.close()
        gc.collect()
    assert reading.frames.bus.tolist() == [0, 0]


def test_json_values_become_samples_of_the_topics_channel(broker: Broker) -> None:
    reading = SensorReading(
        broker.address("sensors/{board}/{name}", more="&channel={board}.{name}"),
        broker.address("sensors/{any}", more="&channel=box.{any}"),
    )
    reading.until(lambda: reading.state(0).is_up and reading.state(1).is_up)
    now_s = time.time()
    for content in (b"21.5", b"-3e2", b"true"):
        broker.publish("sensors/pack/temperature", content)
    for second in (now_s - 10, now_s - 5, now_s - 10):  # the last one came before
        broker.publish("sensors/pack/pressure", json.dumps({"value": 1.5, "t": second, "unit": "bar"}).encode())
    broker.publish("sensors/humidity", b"40")
    refused = [b"", b"NaN", b"[1]", b'"on"', b"null", b'{"value": "1"}', b'{"v": 1}', b"[" * 4_000, b"1" * 5_000]
    for content in (*refused, b'{"value": 1, "t": %d}' % (now_s + 100), b'{"value": 1, "t": 5}', b"1e999", b"\xff"):
        broker.publish("sensors/pack/temperature", content)
    reading.until(lambda: len(reading.rows) == 6 and reading.state(0).refused == len(refused) + 4 + 1)
    reading.close()
    rows = reading.rows
    assert [value for name, value in rows if name == "pack.temperature"] == [21.5, -300.0, 1.0]
    assert ("box.humidity", 40.0) in rows
    timed = [t_us for (name, _), t_us in zip(rows, reading.times_us, strict=True) if name == "pack.pressure"]
    origin_utc_us = now_s * 1e6 - (time.monotonic_ns() - reading.origin_ns) / 1000
    assert abs(timed[1] - timed[0] - 5e6) < 2
    assert abs(timed[0] - (now_s - 10) * 1e6 + origin_utc_us) < 60e6
    assert {one.unit for part in reading.parts for one in part.channels if one.name == "pack.pressure"} == {"bar"}
    assert reading.losses == []
