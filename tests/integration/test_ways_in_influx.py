"""Line protocol over HTTP: what InfluxDB's own clients send, and everything that should not come in."""

import asyncio
import base64
import contextlib
import gzip
import http.client
import itertools
import json
import socket
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ved.errors import UserError
from ved.sensors import listener
from ved.sensors.influxsource import InfluxSensor
from ved.sensors.listener import MAX_BODY, LineInbox
from ved.sensors.readers import sensor_reader

sys.path.insert(0, str(Path(__file__).parent))
from ways_helpers import SensorReading

TOKEN = "a-token-of-the-club"


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[SensorReading]:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    reading = SensorReading(f"influx://127.0.0.1:1?token_file={token}")
    sensor = reading.readers[0]
    assert isinstance(sensor, InfluxSensor)
    reading.close()
    sensor._host_port = ("127.0.0.1", 0)
    reading.source.open(reading.origin_ns)
    yield reading
    reading.close()


@pytest.fixture
def url(reading: SensorReading) -> str:
    sensor = reading.readers[0]
    assert isinstance(sensor, InfluxSensor)
    return f"http://127.0.0.1:{sensor.port}"


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield client


def test_both_versions_of_the_api_with_their_ways_to_carry_a_token(
    reading: SensorReading, url: str, client: httpx.Client
) -> None:
    now_s = int(time.time())
    basic = base64.b64encode(f"telegraf:{TOKEN}".encode()).decode()
    writes = [
        ("/api/v2/write?org=ved&bucket=fs&precision=s", {"Authorization": f"Token {TOKEN}"}, f"a v=1 {now_s}"),
        ("/api/v2/write?precision=ms", {"Authorization": f"Bearer {TOKEN}"}, f"a v=2 {now_s}001"),
        (f"/write?db=ved&u=me&p={TOKEN}", {}, f"a v=3 {now_s}002000000"),
        ("/write?db=ved&precision=u", {"Authorization": f"Basic {basic}"}, f"a v=4 {now_s}003000"),
    ]
    for path, headers, body in writes:
        assert client.post(url + path, headers=headers, content=body).status_code == 204
    headers = {"Authorization": f"Token {TOKEN}", "Content-Encoding": "gzip"}
    many = "".join(f"pack,cell={number} voltage=3.{number:03}\n" for number in range(500))
    assert client.post(f"{url}/write", headers=headers, content=gzip.compress(many.encode())).status_code == 204
    assert client.get(f"{url}/ping").status_code == 204
    reading.until(lambda: len(reading.rows) == 504)
    assert reading.rows[:4] == [("a.v", 1.0), ("a.v", 2.0), ("a.v", 3.0), ("a.v", 4.0)]
    assert reading.rows[4:6] == [("pack[cell=0].voltage", 3.0), ("pack[cell=1].voltage", 3.001)]
    times_us = reading.times_us
    steps_us = [after - before for before, after in itertools.pairwise(times_us[:4])]
    assert all(abs(step_us - 1_000) <= 2 for step_us in steps_us)  # two clocks, read to the microsecond
    assert reading.state().refused == 0


def test_python_clients_chunked_bodies_and_expect(reading: SensorReading, url: str) -> None:
    """A body without a length, and one that waits for "100 Continue" (as curl does from 1 MiB on)."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(url), timeout=10)
    pieces = iter([b"a v=1\n", b"a v=2\n"])
    connection.request("POST", "/write", pieces, {"Authorization": f"Token {TOKEN}"}, encode_chunked=True)
    assert connection.getresponse().status == 204
    connection.close()
    with socket.create_connection(("127.0.0.1", port_of(url)), 10) as sock:
        head = f"POST /write HTTP/1.1\r\nHost: x\r\nAuthorization: Token {TOKEN}\r\nExpect: 100-continue\r\n"
        sock.sendall(f"{head}Content-Length: 5\r\n\r\n".encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        sock.sendall(b"a v=3")
        assert sock.recv(1000).startswith(b"HTTP/1.1 204")
    reading.until(lambda: [value for _, value in reading.rows] == [1.0, 2.0, 3.0])


def test_repeated_late_and_early_points(reading: SensorReading, url: str, client: httpx.Client) -> None:
    """A sender that did not hear the answer sends again: InfluxDB would write over it, here it counts once."""
    now_s = int(time.time())
    body = f"a v=1 {now_s}\na v=2 {now_s - 3600}\na v=3 {now_s + 3600}\na v=4 {now_s - 90_000}\na v=5\n"
    for _ in range(3):
        answer = client.post(f"{url}/write?precision=s&p={TOKEN}", content=body)
        assert answer.status_code == 204
    reading.until(lambda: len(reading.rows) == 5)
    reading.until(lambda: reading.state().refused == 2 * 3 + 2 * 2)
    assert [value for _, value in reading.rows] == [1.0, 2.0, 5.0, 5.0, 5.0]


def test_what_is_wrong_is_answered_counted_and_costs_itself(
    reading: SensorReading, url: str, client: httpx.Client
) -> None:
    good = {"Authorization": f"Token {TOKEN}"}
    bomb = gzip.compress(bytes(50 << 20))
    wrong = [
        (401, {}, "/write", b"a v=1"),
        (401, {"Authorization": f"Token {TOKEN}x"}, "/write", b"a v=1"),
        (401, {"Authorization": "Basic !!"}, "/write", b"a v=1"),
        (401, {"Authorization": "Token é".encode("latin-1")}, "/write", b"a v=1"),
        (404, good, "/query", b"q=DROP DATABASE ved"),
        (400, good, "/write?precision=d", b"a v=1"),
        (415, good | {"Content-Encoding": "br"}, "/write", b"a v=1"),
        (400, good | {"Content-Encoding": "gzip"}, "/write", b"a v=1"),
        (400, good | {"Content-Encoding": "gzip"}, "/write", gzip.compress(b"a v=1")[:-4]),
        (413, good | {"Content-Encoding": "gzip"}, "/write", bomb),
        (413, good, "/write", b"a v=1\n" * (MAX_BODY // 6 + 1)),
        (400, good, "/write", b"no point\na v=7\nnone either"),
    ]
    for status, headers, path, body in wrong:
        answer = client.post(url + path, headers=headers, content=body)
        assert answer.status_code == status, (headers, path)
        assert answer.json()["message"]
    said = answer.json()["message"]
    assert said == "line 1 is no point; 1 lines were taken, 2 not"
    assert client.get(f"{url}/write", headers=good).status_code == 405
    with socket.create_connection(("127.0.0.1", port_of(url)), 10) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 is this TLS?\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 400")
    with socket.create_connection(("127.0.0.1", port_of(url)), 10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000)
    reading.until(lambda: reading.rows == [("a.v", 7.0)] and reading.state().refused >= len(wrong) + 1 + 2)
    assert client.post(f"{url}/write", headers=good, content=b"a v=8").status_code == 204
    reading.until(lambda: len(reading.rows) == 2)


def test_a_small_body_that_unpacks_to_a_large_one_takes_no_memory() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(listener.RefusedError):
            listener._unpack(bomb, "gzip")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_flood_of_connections_and_of_values(
    reading: SensorReading, url: str, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address has sixteen connections; what is not read in time is answered 503 and stays with its sender."""
    good = {"Authorization": f"Token {TOKEN}"}
    assert client.post(f"{url}/write", headers=good, content=b"a v=0").status_code == 204
    socks = [socket.create_connection(("127.0.0.1", port_of(url)), 10) for _ in range(40)]
    closed = 0
    for sock in socks[20:]:
        sock.settimeout(5)
        try:
            closed += not sock.recv(1)
        except ConnectionResetError:
            closed += 1
    for sock in socks:
        sock.close()
    assert closed == 20
    monkeypatch.setattr(listener, "MAX_WAITING", 1_000)
    reading.until(lambda: len(reading.rows) == 1)
    lines = "".join(f"a v={number}\n" for number in range(600)).encode()
    statuses = [client.post(f"{url}/write", headers=good, content=lines).status_code for _ in range(3)]
    assert statuses == [204, 503, 503]
    reading.until(lambda: len(reading.rows) == 601)
    assert client.post(f"{url}/write", headers=good, content=lines).status_code == 204
    reading.until(lambda: len(reading.rows) == 1_201)
    assert reading.state().refused >= 22
    assert reading.losses == []


def test_a_sender_that_never_ends_its_request_is_dropped() -> None:
    inbox = LineInbox("127.0.0.1", 0, "", read_timeout_s=0.3)
    with socket.create_connection(("127.0.0.1", inbox.port), 10) as sock:
        sock.sendall(b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na v=1")
        sock.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1000) == b""
    until_s = time.monotonic() + 5
    refused = 0
    while not refused and time.monotonic() < until_s:
        lines, more = inbox.take()
        assert lines == []
        refused += more
        time.sleep(0.01)
    inbox.close()
    assert refused == 1


def test_a_taken_port_is_tried_again_and_a_token_is_needed_beyond_this_machine(tmp_path: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    reading = SensorReading(f"influx://127.0.0.1:{port}")
    reading.until(lambda: "in use" in (reading.state().trouble or ""))
    taken.close()
    reading.until(lambda: reading.state().is_up)
    reading.close()
    for wrong, said in (
        ("influx://0.0.0.0:8186", "token_file="),
        (f"influx://0.0.0.0?token_file={tmp_path / 'none'}", "cannot be read"),
        ("influx://0.0.0.0?token=secret", "unknown option 'token'"),
        ("influx://me:secret@0.0.0.0", "password does not belong"),
        ("influx://0.0.0.0:99999", "Port out of range"),
        ("kafka://here", "no such kind"),
        ("mqtt://here", "path is missing"),
        ("mqtt://me@here/a/{b}", "go together"),
        ("mqtt://here/a/{b}?ca=x", "mqtts"),
        ("mqtt://here/a/#", "a # does not belong"),
    ):
        with pytest.raises(UserError) as caught:
            sensor_reader(wrong)
        text = str(caught.value)
        assert said in text
        assert "\n" not in text
        assert "secret" not in text


@pytest.mark.slow
def test_many_broken_requests_one_after_the_other() -> None:
    """Random bytes and cut requests: the listener answers the next good one, and nothing is left open."""
    import random

    dice = random.Random(1)
    inbox = LineInbox("127.0.0.1", 0, "")
    good = b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\na v=1"

    async def one(content: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", inbox.port)
        writer.write(content)
        writer.write_eof()
        try:
            async with asyncio.timeout(20):
                await reader.read()
        except ConnectionResetError:
            pass
        writer.close()

    for _ in range(1_500):
        content = bytearray(good)
        for _ in range(dice.randrange(4)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        asyncio.run(one(bytes(content[: dice.randrange(len(content))]) if dice.random() < 0.5 else bytes(content)))
    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"http://127.0.0.1:{inbox.port}/write", content=b"b v=1")
    assert answer.status_code == 204
    assert json.loads(answer.content or b"0") == 0
    inbox.close()
