"""The pattern that other projects use, measured: one MQTT message with JSON per signal -> consumer -> InfluxDB points.

usage: bench_peers_mqtt.py [--seconds 4] [--rounds 10]

Debian's mosquitto and InfluxDB 1.x, each a process of its own, on loopback. The car of `ved loadtest` (fs, decoded
beforehand) is published signal by signal at QoS 0: `ved/fs/<channel>` with {"t":…,"value":…}. The packets are made
beforehand, as the load test's batches are, so that publishing costs little. The consumer (paho) turns each message into
a point (`signal,vehicle=…,name=… value=… t`) and writes 5,000 points a request from a thread of its own. Printed: the
highest rate at which every value that was published is in InfluxDB within 10 s, in frames of the car per second; what a
frame costs in processor time (mosquitto, consumer and InfluxDB together) and in bytes of MQTT.
"""

import argparse
import contextlib
import json
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
import psutil
from peer_servers import Peer, free_port, influxdb

from ved.canbus.simulator import simulate_columns
from ved.config.places import vehicles_folder
from ved.config.vehicle import load_vehicle
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource, load_set
from ved.model.frames import FrameColumns

POINTS = 5_000
MOST = 24_000
"""Frames/s that are tried at most: three full buses."""
FLUSH_S = 1.0
ARRIVE_S = 10.0
SLICE_S = 0.02
START_NS = 1_780_000_000_000_000_000


@dataclass(frozen=True)
class PeerFigures:
    """`frames_per_s` is the highest rate that arrived whole; the rest was measured at that rate."""

    frames_per_s: float
    signals_per_s: float
    signals_per_frame: float
    cpu_us_per_frame: float
    bytes_per_frame: float
    consumer_core: float
    broker_core: float
    store_core: float


def packets(frames: int) -> tuple[list[bytes], float]:
    """MQTT PUBLISH packets (QoS 0) of all values of so many frames in order of time, and values per frame."""
    car = load_vehicle(vehicles_folder() / "fs")
    chunks, have = [], 0
    for chunk in simulate_columns(car, 600):
        chunks.append(chunk)
        have += len(chunk)
        if have >= frames:
            break
    columns = FrameColumns.concatenate(chunks).take(slice(0, frames))
    sources = [
        DbcSource(bus.index, bus.name, name, text)
        for bus in car.buses
        for name, text in zip(bus.dbc_names, bus.dbc_texts, strict=True)
    ]
    decoder = Decoder(load_set(sources))
    decoded = decoder.decode(columns)
    channel = np.repeat(np.arange(len(decoder.channels)), np.diff(decoded.starts))
    order = np.lexsort((channel, decoded.t_us))
    names = [one.name for one in decoder.channels]
    made = []
    for at in order.tolist():
        body = json.dumps({"t": int(decoded.t_us[at]), "value": float(decoded.values[at])}).encode()
        made.append(_publish(f"ved/fs/{names[channel[at]]}".encode(), body))
    return made, len(order) / frames


def _publish(topic: bytes, body: bytes) -> bytes:
    rest = len(topic).to_bytes(2, "big") + topic + body
    size, left = b"", len(rest)
    while True:
        left, digit = left >> 7, left & 127
        size += bytes([digit | (128 if left else 0)])
        if not left:
            return b"\x30" + size + rest


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    port, config = free_port(), folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_queued_bytes 0\n"
        "queue_qos0_messages true\nset_tcp_nodelay true\nlog_type error\n"
    )
    command = ["mosquitto", "-c", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()


def consume(broker_port: int, store_port: int) -> None:
    """The consumer's process: runs until its standard input closes."""
    peer = Peer("InfluxDB", store_port, psutil.Process(), Path())
    waiting: queue.Queue[list[str]] = queue.Queue()
    lines: list[str] = []
    lock = threading.Lock()

    def write() -> None:
        while True:
            peer.request("POST", "/write", {"db": "ved", "precision": "u"}, "\n".join(waiting.get()).encode())

    def flush() -> None:
        nonlocal lines
        with lock:
            taken, lines = lines, []
        if taken:
            waiting.put(taken)

    def flush_now_and_then() -> None:
        while True:
            time.sleep(FLUSH_S)
            flush()

    def on_message(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        value = json.loads(message.payload)
        _, vehicle, name = message.topic.split("/", 2)
        lines.append(f"signal,vehicle={vehicle},name={name} value={value['value']} {START_NS // 1000 + value['t']}")
        if len(lines) >= POINTS:
            flush()

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe("ved/#")
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", broker_port)
    for work in (write, flush_now_and_then, client.loop_forever):
        threading.Thread(target=work, daemon=True).start()
    sys.stdin.read()


@dataclass
class Round:
    """One rate tried: whether everything arrived, and cores used while it was published."""

    arrived: bool
    took_s: float
    cores: dict[str, float]
    cpu_s: float


class Bench:
    def __init__(self, broker_port: int, store: Peer, processes: dict[str, psutil.Process]) -> None:
        self._store = store
        self._processes = processes
        self._socket = socket.create_connection(("127.0.0.1", broker_port))
        name = b"publisher"
        body = b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2, "big") + name
        self._socket.sendall(bytes([0x10, len(body)]) + body)
        assert self._socket.recv(4)[0] == 0x20

    def try_rate(self, made: list[bytes], values_per_s: float, seconds: float) -> Round:
        """Publish at this rate for so long."""
        self._store.request("POST", "/query", {"q": "DROP DATABASE ved"})
        self._store.request("POST", "/query", {"q": "CREATE DATABASE ved"})
        count = min(len(made), round(values_per_s * seconds))
        before = {name: _cpu_s(one) for name, one in self._processes.items()}
        begun_s, sent = time.monotonic(), 0
        while sent < count:
            due = min(count, round((time.monotonic() - begun_s) * values_per_s))
            if due > sent:
                self._socket.sendall(b"".join(made[sent:due]))
                sent = due
            time.sleep(SLICE_S)
        published_s = time.monotonic() - begun_s
        arrived = self._wait(count)
        took_s = time.monotonic() - begun_s
        used = {name: _cpu_s(one) - before[name] for name, one in self._processes.items()}
        cores = {name: one / took_s for name, one in used.items()}
        is_in_time = arrived and published_s < seconds * 1.1 and took_s < seconds * 1.1 + 2 * FLUSH_S
        return Round(is_in_time, took_s, cores, sum(used.values()))

    def _wait(self, count: int) -> bool:
        until_s = time.monotonic() + ARRIVE_S
        while time.monotonic() < until_s:
            answer = json.loads(
                self._store.request("GET", "/query", {"db": "ved", "q": "SELECT COUNT(value) FROM signal"})
            )
            series = answer["results"][0].get("series")
            if series and series[0]["values"][0][1] >= count:
                return True
            time.sleep(0.1)
        return False


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def measure(seconds: float, rounds: int) -> PeerFigures:
    """The highest rate in at most `rounds` tries."""
    made, per_frame = packets(round(MOST * seconds))
    # Two values of one signal at one time are one point for InfluxDB: times are µs, and the car sends none twice.
    with (
        tempfile.TemporaryDirectory() as name,
        mosquitto(Path(name)) as (port, broker),
        influxdb(Path(name) / "i") as store,
    ):
        command = [sys.executable, __file__, "--consume", str(port), str(store.port)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as consumer:
            assert consumer.stdout is not None
            assert consumer.stdin is not None
            consumer.stdout.readline()
            processes = {"broker": broker, "consumer": psutil.Process(consumer.pid), "store": store.process}
            bench = Bench(port, store, processes)
            best, worst, rate, at_best = 0.0, None, 500.0, None
            for _ in range(rounds):
                tried = bench.try_rate(made, rate * per_frame, seconds)
                shown = ", ".join(f"{one} {cores:.0%}" for one, cores in tried.cores.items())
                print(f"{rate:6.0f} frames/s: {'all' if tried.arrived else 'NOT all'} in time; {shown}", flush=True)
                if tried.arrived:
                    best, at_best = rate, tried
                else:
                    worst = rate
                rate = rate * 2 if worst is None else (best + worst) / 2
                if best >= MOST or (worst is not None and best and worst - best < best / 12):
                    break
                rate = min(rate, MOST)
            consumer.stdin.close()
            consumer.wait(10)
    size = sum(map(len, made)) / len(made) * per_frame
    if at_best is None:
        return PeerFigures(0.0, 0.0, per_frame, 0.0, size, 0.0, 0.0, 0.0)
    cores = at_best.cores
    return PeerFigures(
        frames_per_s=best,
        signals_per_s=best * per_frame,
        signals_per_frame=per_frame,
        cpu_us_per_frame=at_best.cpu_s / (best * seconds) * 1e6,
        bytes_per_frame=size,
        consumer_core=cores["consumer"],
        broker_core=cores["broker"],
        store_core=cores["store"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--consume", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.consume:
        consume(*given.consume)
    else:
        for name, value in asdict(measure(given.seconds, given.rounds)).items():
            print(f"{name:>20} {value:12,.2f}")


if __name__ == "__main__":
    main()
