"""Who may come in over the link's port, and what happens to everybody else."""

import asyncio
import base64
import contextlib
import logging
import secrets
import socket
import ssl
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ved.agent.agent import AgentSettings, run_agent
from ved.codec.batch import encode_batch
from ved.codec.link import Held, Hello, Ping, Stored, encode_message
from ved.codec.records import encode_record, peek
from ved.db.database import Database
from ved.db.keys import create_enrol_code, list_car_keys, revoke_car_key
from ved.errors import LinkLostError, LinkRefusedError, UserError
from ved.ingest import server
from ved.ingest.addresslimit import AddressLimit
from ved.link.certificates import ensure_server_certificates
from ved.link.connection import Answer, LinkConnection, Sent, Wiring
from ved.link.credentials import Credentials, load_credentials, make_code, parse_server_url
from ved.link.dial import PUBLISH_PATH, Dialer, open_endpoint
from ved.link.enrol import enrol
from ved.link.span import span_of
from ved.link.trust import client_context
from ved.metrics import (
    BATCHES_CONFLICT_TOTAL,
    BATCHES_CORRUPT_TOTAL,
    BATCHES_DUPLICATE_TOTAL,
    CONNECTIONS_GARBAGE_TOTAL,
    CONNECTIONS_REFUSED_TOTAL,
    KEYS_SHARED_TOTAL,
    Counters,
)
from ved.model.frames import FrameBatch
from ved.model.records import Incident, IncidentKind, Lane, LinkState

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import DESCRIPTION, ListSource, Site, make_frames, stored_frames

EPOCH = bytes(range(16))
LONG_AGO_UTC_S = 86_400.0


class RawCar:
    """A car without an agent: sends what a test wants, and keeps the answers."""

    def __init__(self, credentials: Credentials, vehicle: str = "fs", epoch: bytes = EPOCH) -> None:
        self.credentials = credentials
        self.hello = Hello(Lane.LIVE, vehicle, "test", epoch, 1, 1)
        self.answers: list[Answer] = []
        self.heard = asyncio.Event()
        self.connection: LinkConnection | None = None
        self.running: asyncio.Task[None] | None = None

    async def open(self, now_utc_s: float | None = None) -> None:
        dialer = Dialer([parse_server_url(url) for url in self.credentials.server_urls])
        tls = client_context(self.credentials.ca_pem, time.time() if now_utc_s is None else now_utc_s)
        wiring = Wiring(lambda: 0, self._hear)
        self.connection = await LinkConnection.open(dialer, tls, self.credentials.key, self.hello, wiring)
        self.running = asyncio.create_task(self.connection.run())

    async def send(self, record: bytes) -> None:
        assert self.connection is not None
        header = peek(record)
        await self.connection.send_record(record, Sent.now(header.epoch, span_of(header), record, None))

    async def wait_stored(self, first: int, last: int) -> None:
        while not any(
            isinstance(one, Stored) and any(a <= first and last <= b for a, b in one.runs) for one in self.answers
        ):
            self.heard.clear()
            await self.heard.wait()

    async def ended(self) -> Exception:
        """What the connection ends with."""
        assert self.running is not None
        with pytest.raises((LinkLostError, LinkRefusedError)) as caught:
            await asyncio.wait_for(self.running, 20)
        return caught.value

    async def close(self) -> None:
        assert self.running is not None
        assert self.connection is not None
        await self.connection.close()
        with contextlib.suppress(LinkLostError):
            await self.running

    def _hear(self, answer: Answer) -> None:
        self.answers += answer.sets if isinstance(answer, Held) else [answer]
        self.heard.set()


def batch(first_seq: int, count: int = 10, epoch: bytes = EPOCH, vehicle: str = "fs", shift: int = 0) -> bytes:
    return encode_batch(FrameBatch(vehicle, epoch, first_seq, make_frames(first_seq + shift, count)))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "data")
    site.prepare("fs", "pe")
    return site


async def settle(counters: Counters, name: str, at_least: int = 1) -> None:
    """Wait until a counter has come that far (the test's time limit is the bound)."""
    while counters[name] < at_least:
        await asyncio.sleep(0.01)


def test_a_resent_record_is_stored_once_and_acknowledged_again(site: Site) -> None:
    counters = Counters()

    async def go() -> None:
        async with site.serving(counters):
            car = RawCar(site.credentials())
            await car.open()
            for _ in range(3):
                await car.send(batch(1))
            await car.wait_stored(1, 10)
            car.answers.clear()
            await car.send(batch(1))
            await car.wait_stored(1, 10)
            await car.close()

    asyncio.run(go())
    assert counters[BATCHES_DUPLICATE_TOTAL] == 3
    frames, seqs = stored_frames(site.records(), EPOCH)
    assert seqs.runs() == [(1, 10)]
    assert frames.equals(make_frames(1, 10))


def test_other_bytes_under_the_same_seq_do_not_replace_the_first(site: Site) -> None:
    counters = Counters()

    async def go() -> None:
        async with site.serving(counters):
            car = RawCar(site.credentials())
            await car.open()
            await car.send(batch(1))
            await car.wait_stored(1, 10)
            await car.send(batch(1, shift=5))
            await car.send(batch(6))  # overlaps: a batch is never re-cut
            await settle(counters, BATCHES_CONFLICT_TOTAL, 2)
            await car.close()

    asyncio.run(go())
    records = site.records()
    frames, seqs = stored_frames(records, EPOCH)
    assert seqs.runs() == [(1, 10)]
    assert frames.equals(make_frames(1, 10))
    (incident,) = [one for one in records if isinstance(one, Incident)]  # the second within a minute is not told
    assert (incident.vehicle, incident.epoch, incident.incident) == ("fs", EPOCH, IncidentKind.BYTES_DIFFER)
    assert "seq 1" in incident.text


def test_a_second_agent_with_the_same_key_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are served: a copied card must cost nobody's data."""
    monkeypatch.setattr(server, "SHARED_S", 0.1)
    counters = Counters()

    async def go() -> None:
        async with site.serving(counters):
            credentials = site.credentials()
            first, second = RawCar(credentials), RawCar(credentials, epoch=bytes(16))
            await first.open()
            await second.open()
            while not counters[KEYS_SHARED_TOTAL]:
                await first.send(batch(1))
                await second.send(batch(1, epoch=bytes(16)))
                await asyncio.sleep(0.05)
            await first.close()
            await second.close()

    asyncio.run(go())
    records = site.records()
    (incident,) = [one for one in records if isinstance(one, Incident)]
    assert (incident.vehicle, incident.epoch, incident.incident) == ("fs", bytes(16), IncidentKind.KEY_SHARED)
    assert [stored_frames(records, epoch)[1].runs() for epoch in (EPOCH, bytes(16))] == [[(1, 10)]] * 2


def test_after_a_restart_the_server_knows_what_it_has(site: Site) -> None:
    counters = Counters()

    async def go() -> None:
        credentials = None
        for first in (1, 11, 21):
            async with site.serving(counters):
                credentials = credentials or site.credentials()
                car = RawCar(replace(credentials, server_urls=(f"wss://127.0.0.1:{site.port}",)))
                await car.open()
                if first > 1:
                    await car.wait_stored(1, first - 1)  # said in answer to Hello
                await car.send(batch(1))
                await car.send(batch(first))
                await car.wait_stored(first, first + 9)
                await car.close()
            if first == 11:
                (site.data / "ingest" / "accepted.json").write_bytes(b"damaged")

    asyncio.run(go())
    assert counters[BATCHES_DUPLICATE_TOTAL] == 3
    assert stored_frames(site.records(), EPOCH)[1].runs() == [(1, 30)]


def test_a_wiped_stream_is_not_claimed_to_be_stored(site: Site) -> None:
    """The checkpoint outlives the stream, but counts only together with it."""
    import shutil

    async def go() -> None:
        async with site.serving():
            credentials = site.credentials()
            car = RawCar(credentials)
            await car.open()
            await car.send(batch(1))
            await car.wait_stored(1, 10)
            await car.close()
        assert (site.data / "ingest" / "accepted.json").exists()
        shutil.rmtree(site.data / "streams")
        async with site.serving():
            car = RawCar(credentials)
            await car.open()
            assert not any(isinstance(one, Stored) for one in car.answers)
            await car.send(batch(1))
            await car.wait_stored(1, 10)
            await car.close()

    asyncio.run(go())
    assert stored_frames(site.records(), EPOCH)[1].runs() == [(1, 10)]


def test_an_unknown_key_is_refused(site: Site) -> None:
    counters = Counters()

    async def go() -> None:
        async with site.serving(counters):
            with pytest.raises(LinkRefusedError, match="key is not known"):
                await RawCar(site.credentials(key=secrets.token_bytes(32))).open()

    asyncio.run(go())
    assert counters[CONNECTIONS_REFUSED_TOTAL] == 1


def test_a_flood_of_wrong_keys_is_held_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "AddressLimit", lambda: AddressLimit(3, 0.0))

    async def go() -> None:
        async with site.serving():
            car = RawCar(site.credentials())
            await car.open()
            for _ in range(3):
                with pytest.raises(LinkRefusedError, match="key is not known"):
                    await RawCar(site.credentials(key=secrets.token_bytes(32))).open()
            with pytest.raises(LinkLostError, match="too many tries"):  # no refusal: a car comes back soon
                await RawCar(site.credentials()).open()
            await car.send(batch(1))
            await car.wait_stored(1, 10)
            await car.close()

    asyncio.run(go())


def test_a_recording_with_an_unknown_key_ends_with_the_refusal(site: Site, tmp_path: Path) -> None:
    from ved.link.credentials import save_credentials

    async def go() -> None:
        async with site.serving():
            save_credentials(tmp_path / "car", site.credentials(key=bytes(32)))
            with pytest.raises(LinkRefusedError, match="key is not known"):
                await run_agent(AgentSettings(tmp_path / "car", "fs"), ListSource(10), DESCRIPTION, asyncio.Event())

    asyncio.run(go())


def test_a_key_publishes_for_its_own_vehicle_only(site: Site) -> None:
    async def go() -> None:
        async with site.serving():
            credentials = site.credentials("fs")
            with pytest.raises(LinkRefusedError, match="for vehicle 'fs'"):
                await RawCar(credentials, vehicle="pe").open()
            car = RawCar(credentials)
            await car.open()
            await car.send(batch(1, vehicle="pe"))
            assert "for vehicle 'fs'" in str(await car.ended())

    asyncio.run(go())
    assert stored_frames(site.records(), EPOCH)[1].runs() == []


def test_a_car_cannot_write_what_only_the_server_writes(site: Site) -> None:
    async def go() -> None:
        async with site.serving():
            car = RawCar(site.credentials())
            await car.open()
            await car.send(encode_record(LinkState("fs", bytes(16), False, Lane.LIVE, "forged", 0)))
            assert "cars do not send" in str(await car.ended())

    asyncio.run(go())
    states = [one for one in site.records() if isinstance(one, LinkState)]
    assert [state.is_up for state in states] == [True, False]
    assert all(state.peer != "forged" and state.epoch == EPOCH for state in states)


def test_a_damaged_record_closes_that_connection_alone(site: Site) -> None:
    counters = Counters()

    async def go() -> None:
        async with site.serving(counters):
            good, bad = RawCar(site.credentials()), RawCar(site.credentials("pe"), "pe")
            await good.open()
            await bad.open()
            await good.send(batch(1))
            record = bytearray(batch(1, vehicle="pe"))
            record[-1] ^= 1
            await bad.send(bytes(record))
            assert "CRC" in str(await bad.ended())
            await good.send(batch(11))
            await good.wait_stored(11, 20)
            await good.close()

    asyncio.run(go())
    assert counters[BATCHES_CORRUPT_TOTAL] == 1
    assert counters[CONNECTIONS_GARBAGE_TOTAL] == 1
    assert stored_frames(site.records(), EPOCH)[1].runs() == [(1, 20)]


def test_a_revoked_key_is_thrown_out(site: Site) -> None:
    async def go() -> None:
        async with site.serving():
            car = RawCar(site.credentials())
            await car.open()
            db = Database(site.db_url)
            revoke_car_key(db, list_car_keys(db)[0].id)
            db.close()
            assert "revoked" in str(await car.ended())
            with pytest.raises(LinkRefusedError):
                await car.open()

    asyncio.run(go())


def test_the_same_lane_again_replaces_the_older_connection(site: Site) -> None:
    async def go() -> None:
        async with site.serving():
            credentials = site.credentials()
            old, new = RawCar(credentials), RawCar(credentials)
            await old.open()
            await new.open()
            await old.ended()
            await new.send(batch(1))
            await new.wait_stored(1, 10)
            await new.close()

    asyncio.run(go())
    states = [one.is_up for one in site.records() if isinstance(one, LinkState)]
    assert states == [True, False, True, False]


NOT_TLS = [
    b"\x00" * 100,
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00" + bytes(600),
    b"\xff" + secrets.token_bytes(3000),
]
NOT_A_CAR = [b"\x00\xff" * 50 + b"\r\n\r\n", b"GET /publish HTTP/1.1\r\nHost: x\r\n\r\n", b"x" * 100_000]


def test_garbage_on_the_port_disturbs_nobody(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()
    caplog.set_level(logging.DEBUG)

    async def go() -> None:
        async with site.serving(counters):
            credentials = site.credentials()
            car = RawCar(credentials)
            await car.open()
            for garbage in NOT_TLS * 4:
                reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
                writer.write(garbage)
                with contextlib.suppress(OSError):
                    await reader.read()
                writer.close()
            tls = client_context(credentials.ca_pem, time.time())
            for garbage in NOT_A_CAR:
                reader, writer = await asyncio.open_connection("127.0.0.1", site.port, ssl=tls)
                with contextlib.suppress(OSError):
                    writer.write(garbage)
                    await reader.read()
                writer.close()
            await car.send(batch(1))
            await car.wait_stored(1, 10)
            await car.close()

    asyncio.run(go())
    assert counters[CONNECTIONS_GARBAGE_TOTAL] == 18
    assert counters[CONNECTIONS_REFUSED_TOTAL] == 1  # a request without a key
    assert counters[BATCHES_CORRUPT_TOTAL] == 0
    assert not any(record.exc_info for record in caplog.records)
    lines = [record for record in caplog.records if "connection closed" in record.getMessage()]
    assert len(lines) == 5  # a flood of garbage is no flood of lines


def test_garbage_messages_after_a_good_handshake(site: Site) -> None:
    counters = Counters()

    async def go() -> None:
        async with site.serving(counters):
            credentials = site.credentials()
            car = RawCar(credentials)
            for garbage in (b"", b"\x63", b"\x01short", secrets.token_bytes(200), "text"):
                dialer = Dialer([parse_server_url(credentials.server_urls[0])])
                tls = client_context(credentials.ca_pem, time.time())
                token = base64.urlsafe_b64encode(credentials.key).decode().rstrip("=")
                link = await dialer.open(PUBLISH_PATH, tls, {"Authorization": f"Bearer {token}"})
                await link.send(garbage)
                await link.wait_closed()
            await car.open()
            await car.close()

    asyncio.run(go())
    assert counters[CONNECTIONS_GARBAGE_TOTAL] == 5


def test_a_car_that_goes_silent_is_down_after_a_while(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It still has its TCP connection, but neither sends nor answers pings."""
    monkeypatch.setattr("ved.ingest.car.PING_S", 0.05)
    monkeypatch.setattr("ved.ingest.car.SILENCE_S", 0.3)

    async def go() -> None:
        async with site.serving():
            credentials = site.credentials()
            dialer = Dialer([parse_server_url(credentials.server_urls[0])])
            token = base64.urlsafe_b64encode(credentials.key).decode().rstrip("=")
            tls = client_context(credentials.ca_pem, time.time())
            link = await dialer.open(PUBLISH_PATH, tls, {"Authorization": f"Bearer {token}"})
            await link.send(encode_message(Hello(Lane.LIVE, "fs", "silent", EPOCH, 1, 1)))
            await link.wait_closed()

    asyncio.run(go())
    assert [one.is_up for one in site.records() if isinstance(one, LinkState)] == [True, False]


def test_a_connection_that_has_just_died_is_not_written_to_again_and_again(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """A car asks much and is reset: asyncio says so of each write from the sixth on."""

    async def go() -> None:
        async with site.serving():
            credentials = site.credentials()
            dialer = Dialer([parse_server_url(credentials.server_urls[0])])
            token = base64.urlsafe_b64encode(credentials.key).decode().rstrip("=")
            tls = client_context(credentials.ca_pem, time.time())
            link = await dialer.open(PUBLISH_PATH, tls, {"Authorization": f"Bearer {token}"})
            await link.send(encode_message(Hello(Lane.LIVE, "fs", "reset", EPOCH, 1, 1)))
            await link.recv()
            for number in range(200):
                await link.send(encode_message(Ping(number)))
            link.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            link.transport.abort()
            while not any(record.getMessage().startswith("fs is down") for record in caplog.records):
                await asyncio.sleep(0.01)

    caplog.set_level(logging.INFO)
    asyncio.run(go())
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_enrolment_gives_a_working_key_once(site: Site, tmp_path: Path) -> None:
    async def go() -> None:
        async with site.serving():
            db = Database(site.db_url)
            secret = create_enrol_code(db, "fs", 60)
            db.close()
            code = make_code(secret, ensure_server_certificates(site.data / "keys", ()).ca_der)
            url = f"wss://localhost:{site.port}"
            credentials = await enrol(url, code.lower(), tmp_path / "car")
            assert credentials.vehicle == "fs"
            assert load_credentials(tmp_path / "car") == credentials
            assert (tmp_path / "car" / "credentials.json").stat().st_mode & 0o777 == 0o600
            with pytest.raises(LinkRefusedError, match="used"):
                await enrol(url, code, tmp_path / "thief")
            assert not (tmp_path / "thief").exists()
            report = await run_agent(
                AgentSettings(tmp_path / "car", "fs"), ListSource(1_000), DESCRIPTION, asyncio.Event()
            )
            assert report.is_complete

    asyncio.run(go())


def test_enrolment_sends_nothing_to_another_server(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path / "other")
    other.prepare("fs")

    async def go() -> None:
        async with site.serving(), other.serving():
            db = Database(site.db_url)
            secret = create_enrol_code(db, "fs", 60)
            db.close()
            code = make_code(secret, ensure_server_certificates(site.data / "keys", ()).ca_der)
            with pytest.raises(LinkRefusedError, match="not the server that printed this code"):
                await enrol(f"wss://127.0.0.1:{other.port}", code, tmp_path / "car")
            await enrol(f"wss://127.0.0.1:{site.port}", code, tmp_path / "car")  # the code is still good

    asyncio.run(go())


def test_a_car_trusts_only_the_authority_of_its_enrolment(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path / "other")
    other.prepare("fs")

    async def go() -> None:
        async with site.serving(), other.serving():
            credentials = replace(site.credentials(), server_urls=(f"wss://127.0.0.1:{other.port}",))
            for now in (None, LONG_AGO_UTC_S):
                with pytest.raises(LinkRefusedError, match="not the server of this car's enrolment"):
                    await RawCar(credentials).open(now)

    asyncio.run(go())


def test_a_clock_in_1970_still_checks_the_name(site: Site) -> None:
    """The name `elsewhere` is not in the certificate; with dates unchecked it is still refused."""

    async def go() -> None:
        async with site.serving():
            credentials = site.credentials()
            car = RawCar(credentials)
            await car.open(LONG_AGO_UTC_S)
            await car.close()
            dialer = Dialer([parse_server_url(credentials.server_urls[0])])
            [endpoint] = await dialer.resolve()
            elsewhere = replace(endpoint, host="elsewhere")
            for now in (time.time(), LONG_AGO_UTC_S):
                plain = await asyncio.to_thread(socket.create_connection, (endpoint.ip, endpoint.port))
                plain.setblocking(False)
                with pytest.raises(LinkRefusedError, match="mismatch"):
                    await open_endpoint(elsewhere, PUBLISH_PATH, client_context(credentials.ca_pem, now), {}, plain)

    asyncio.run(go())


def test_tls_1_2_is_refused(site: Site) -> None:
    async def go() -> None:
        async with site.serving():
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", site.port, ssl=tls)

    asyncio.run(go())


def test_a_busy_port_is_named(site: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        site.port = taken.getsockname()[1]

        async def go() -> None:
            async with site.serving():
                pass

        with pytest.raises(UserError, match=f"port {site.port} .*in use"):
            asyncio.run(go())


def test_an_agent_of_another_vehicle_says_so_before_it_starts(site: Site, tmp_path: Path) -> None:
    site.port = 1
    site.enrol_here(tmp_path / "car")
    with pytest.raises(UserError, match="enrolled for vehicle 'fs'"):
        asyncio.run(run_agent(AgentSettings(tmp_path / "car", "pe"), ListSource(1), DESCRIPTION, asyncio.Event()))
    with pytest.raises(UserError, match="not enrolled"):
        asyncio.run(run_agent(AgentSettings(tmp_path / "new", "pe"), ListSource(1), DESCRIPTION, asyncio.Event()))
