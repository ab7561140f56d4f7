"""Datagrams at a running ingest: what is taken, what is refused, and what the stream says of both."""

import asyncio
import contextlib
import functools
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ved.agent.agent import AgentSettings, run_agent
from ved.codec.datagram import Datagram, NamedSamples, encode_datagram
from ved.codec.link import Space
from ved.db.database import Database
from ved.db.keys import add_datagram_key, revoke_car_key
from ved.errors import UserError
from ved.ingest import datagramepoch, datagrams
from ved.ingest.accepted import EpochState
from ved.ingest.datagramepoch import HOLE_US, DatagramEpoch
from ved.ingest.role import run_ingest
from ved.link.datagramkeys import datagram_secret, derive_key
from ved.metrics import (
    BATCHES_CONFLICT_TOTAL,
    DATAGRAMS_CORRUPT_TOTAL,
    DATAGRAMS_DUPLICATE_TOTAL,
    DATAGRAMS_GARBAGE_TOTAL,
    DATAGRAMS_LATE_TOTAL,
    DATAGRAMS_LIMITED_TOTAL,
    DATAGRAMS_REFUSED_TOTAL,
    DATAGRAMS_TOTAL,
    Counters,
)
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.intervals import Intervals
from ved.model.records import Clock, Incident, LinkState, Loss, LossPlace, Record
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import DESCRIPTION, ListSource, Site, make_frames

EPOCH = b"d" * 16
REFUSALS = (
    DATAGRAMS_GARBAGE_TOTAL,
    DATAGRAMS_REFUSED_TOTAL,
    DATAGRAMS_CORRUPT_TOTAL,
    DATAGRAMS_DUPLICATE_TOTAL,
    DATAGRAMS_LATE_TOTAL,
    DATAGRAMS_LIMITED_TOTAL,
)


def in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The test as a plain function."""

    @functools.wraps(test)
    def run(*arguments, **named) -> None:
        asyncio.run(test(*arguments, **named))

    return run


async def wait_until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def read(site: Site) -> list[Record]:
    return await asyncio.to_thread(site.records)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class DatagramSite(Site):
    """A site that takes datagrams."""

    datagram_port: int = 0
    sender: socket.socket | None = None

    def settings(self):
        return replace(super().settings(), datagram_port=self.datagram_port)

    def device(self, vehicle: str = "fs", epoch: bytes = EPOCH) -> "Device":
        db = Database(self.db_url)
        secret = datagram_secret(self.data / "keys")
        number, key = add_datagram_key(db, vehicle, lambda number: derive_key(secret, vehicle, number))
        db.close()
        return Device(self.sender, self.datagram_port, number, key, epoch)


@dataclass
class Device:
    """Sends datagrams of frames that hold their number; its clock stands at the last frame."""

    sender: socket.socket
    port: int
    key_id: int
    key: bytes
    epoch: bytes

    def frames(self, first: int, count: int, sent_at_us: int | None = None) -> bytes:
        frames = make_frames(first, count)
        at_us = int(frames.t_us[-1]) if sent_at_us is None else sent_at_us
        return encode_datagram(Datagram(self.key_id, self.epoch, first, at_us, frames), self.key)

    def send(self, data: bytes) -> None:
        self.sender.sendto(data, ("127.0.0.1", self.port))


@pytest.fixture
def site(tmp_path: Path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        made = DatagramSite(tmp_path / "server", datagram_port=free_udp_port(), sender=sender)
        made.prepare()
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are looked at, and holes declared, often."""
    monkeypatch.setattr(datagrams, "KEYS_S", 0.05)
    monkeypatch.setattr(datagrams, "TICK_S", 0.05)


@contextlib.asynccontextmanager
async def serving(site: DatagramSite) -> AsyncIterator[Counters]:
    counters = Counters()
    async with site.serving(counters):
        yield counters


async def counted(counters: Counters, name: str, count: int) -> None:
    await wait_until(lambda: counters[name] >= count)
    await asyncio.sleep(0.05)
    assert counters[name] == count


async def batches(site: Site) -> list[FrameBatch]:
    return [one for one in await read(site) if isinstance(one, FrameBatch)]


async def kinds(site: Site) -> list[type]:
    return [type(one) for one in await read(site)]


@in_a_loop
async def test_frames_and_samples_come_once_with_link_clock_and_loss(site: DatagramSite, monkeypatch):
    monkeypatch.setattr(datagramepoch, "HOLE_US", 300_000)
    device = site.device()
    sensor = replace(device, epoch=b"s" * 16)
    named = NamedSamples(
        (SampleChannel("Pack.temperature", "°C"),),
        SampleColumns(np.array([10, 20], np.int64), np.zeros(2, np.uint16), np.array([36.5, 37.0])),
    )
    async with serving(site) as counters:
        for first in (1, 51, 151, 101, 151, 301):  # out of order, once twice; 201..300 never comes
            device.send(device.frames(first, 50))
        sensor.send(encode_datagram(Datagram(device.key_id, sensor.epoch, 1, 25, named), device.key))
        await counted(counters, DATAGRAMS_TOTAL, 6)
        await counted(counters, DATAGRAMS_DUPLICATE_TOTAL, 1)
        while Loss not in await kinds(site):
            await asyncio.sleep(0.05)
        device.send(device.frames(201, 50))  # it is lost by now, and stays so
        await counted(counters, DATAGRAMS_LATE_TOTAL, 1)
    found = [one for one in await read(site) if one.epoch == EPOCH]
    assert [(type(one), one.first_seq if isinstance(one, FrameBatch) else 0) for one in found] == [
        (LinkState, 0), (Clock, 0), (FrameBatch, 1), (FrameBatch, 51), (FrameBatch, 151), (FrameBatch, 101),
        (FrameBatch, 301), (Loss, 0), (LinkState, 0)]  # fmt: skip
    assert [one.is_up for one in found if isinstance(one, LinkState)] == [True, False]
    for one in await batches(site):
        assert one.frames.equals(make_frames(one.first_seq, 50))
    (loss,) = [one for one in found if isinstance(one, Loss)]
    assert (loss.place, loss.count, loss.first_seq, loss.last_seq) == (LossPlace.WAY, 100, 201, 300)
    assert (loss.t_from_us, loss.t_to_us) == (200 * 167, 301 * 167)
    (samples,) = [one for one in await read(site) if isinstance(one, SampleBatch)]
    assert samples.channels == named.channels
    assert samples.samples.equals(named.samples)


@in_a_loop
async def test_what_is_not_right_is_counted_and_leaves_no_trace(site: DatagramSite):
    device, stranger = site.device(), site.device()
    good = device.frames(1, 10)
    async with serving(site) as counters:
        device.send(b"")
        device.send(b"hello")
        device.send(bytes(9000))
        device.send(good[:-1] + b"x" * 2000)
        await counted(counters, DATAGRAMS_GARBAGE_TOTAL, 4)
        device.send(good[:-1] + bytes((good[-1] ^ 1,)))  # MAC
        device.send(good[:60] + bytes((good[60] ^ 1,)) + good[61:])  # a changed byte
        device.send(replace(device, key=stranger.key).frames(1, 10))
        device.send(replace(device, key_id=99).frames(1, 10))
        await counted(counters, DATAGRAMS_REFUSED_TOTAL, 4)
        assert counters[DATAGRAMS_TOTAL] == 0
        assert await kinds(site) == []
        device.send(good)
        await counted(counters, DATAGRAMS_TOTAL, 1)
        named = NamedSamples((SampleChannel("a"),), SampleColumns(*(np.zeros(1, kind) for kind in ("i8", "u2", "f8"))))
        device.send(encode_datagram(Datagram(device.key_id, EPOCH, 99, 0, named), device.key))  # another kind
        await counted(counters, DATAGRAMS_CORRUPT_TOTAL, 1)
    assert [one.frames.equals(make_frames(1, 10)) for one in await batches(site)] == [True]


@in_a_loop
async def test_a_replay_is_a_duplicate_also_after_a_restart(site: DatagramSite):
    device = site.device()
    recorded = [device.frames(first, 20) for first in range(1, 200, 20)]
    async with serving(site) as counters:
        for _ in range(3):
            for data in recorded:
                device.send(data)
        await counted(counters, DATAGRAMS_DUPLICATE_TOTAL, 20)
    async with serving(site) as counters:
        for data in recorded * 2:
            device.send(data)
        await counted(counters, DATAGRAMS_DUPLICATE_TOTAL, 20)
        assert (counters[DATAGRAMS_TOTAL], counters[BATCHES_CONFLICT_TOTAL]) == (0, 0)
    assert [one.first_seq for one in await batches(site)] == list(range(1, 200, 20))


@in_a_loop
async def test_other_bytes_under_a_known_number_are_an_incident(site: DatagramSite):
    device = site.device()
    other = make_frames(1, 10)
    other.payload[3, 3] ^= 1
    async with serving(site) as counters:
        device.send(device.frames(1, 10))
        device.send(encode_datagram(Datagram(device.key_id, EPOCH, 1, 1670, other), device.key))
        device.send(device.frames(6, 10))  # cut otherwise
        await counted(counters, BATCHES_CONFLICT_TOTAL, 2)
    assert (await kinds(site)).count(Incident) == 1
    assert [one.frames.equals(make_frames(1, 10)) for one in await batches(site)] == [True]


@in_a_loop
async def test_a_hole_from_before_a_kill_is_declared_once(site: DatagramSite, monkeypatch):
    device = site.device()
    async with serving(site) as counters:
        device.send(device.frames(1, 10))
        device.send(device.frames(21, 10))
        await counted(counters, DATAGRAMS_TOTAL, 2)
    for _ in range(2):
        async with serving(site) as counters:
            device.send(device.frames(1, 10))
            await counted(counters, DATAGRAMS_DUPLICATE_TOTAL, 1)
            device.send(device.frames(11, 10))
            await counted(counters, DATAGRAMS_LATE_TOTAL, 1)
    losses = [one for one in await read(site) if isinstance(one, Loss)]
    assert [(one.first_seq, one.last_seq, one.count) for one in losses] == [(11, 20, 10)]


@in_a_loop
async def test_a_revoked_key_is_refused_within_a_moment(site: DatagramSite):
    device = site.device()
    async with serving(site) as counters:
        device.send(device.frames(1, 10))
        await counted(counters, DATAGRAMS_TOTAL, 1)
        db = Database(site.db_url)
        assert revoke_car_key(db, device.key_id)
        db.close()
        first = 11
        while not counters[DATAGRAMS_REFUSED_TOTAL]:
            device.send(device.frames(first, 1))
            first += 1
            await asyncio.sleep(0.02)
        taken = counters[DATAGRAMS_TOTAL]
        device.send(device.frames(first, 1))
        await wait_until(lambda: counters[DATAGRAMS_REFUSED_TOTAL] == 2)
        assert counters[DATAGRAMS_TOTAL] == taken


@in_a_loop
async def test_a_replaced_secret_makes_keys_unknown(site: DatagramSite):
    device = site.device()
    (site.data / "keys" / "datagram.secret").unlink()
    async with serving(site) as counters:
        device.send(device.frames(1, 10))
        await counted(counters, DATAGRAMS_REFUSED_TOTAL, 1)


@in_a_loop
async def test_a_flood_touches_neither_a_car_on_the_link_nor_the_stream(
    site: DatagramSite, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(datagrams, "ADDRESS_BURST", 200)
    monkeypatch.setattr(datagrams, "ADDRESS_PER_S", 10.0)
    device = site.device()
    noise = [bytes(100), device.frames(1, 10)[:-1] + b"x", b"VD" + bytes(1400)]
    source = ListSource(10**9, chunk=50, interval_s=0.01, is_realtime=True)
    stop, last = asyncio.Event(), []
    async with serving(site) as counters:
        site.enrol_here(tmp_path / "car")
        agent = asyncio.create_task(
            run_agent(AgentSettings(tmp_path / "car", "fs"), source, DESCRIPTION, stop, last.append)
        )
        sent = 0
        while not last or last[-1].stored_frames < 1_000 or sent < 3_000:
            for _ in range(100):
                device.send(noise[sent % 3])
                sent += 1
            await asyncio.sleep(0.002)
            assert sent < 2_000_000
        stop.set()
        report = await agent
    assert report.stored_frames == report.frames
    assert report.lost_frames == 0
    refused = sum(counters[name] for name in REFUSALS)
    assert counters[DATAGRAMS_LIMITED_TOTAL] > 0
    assert 200 <= refused <= sent
    assert counters[DATAGRAMS_TOTAL] == 0
    assert Loss not in await kinds(site)


@in_a_loop
async def test_a_port_that_is_taken_is_one_line(site: DatagramSite):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", site.datagram_port))
        with pytest.raises(UserError, match=f"UDP port {site.datagram_port} on 127.0.0.1 is in use"):
            await run_ingest(site.settings(), lambda _: None, asyncio.Event())


class Kept:
    """Stands for the store: takes everything at once, or has no room."""

    def __init__(self) -> None:
        self.state = EpochState()
        self.losses: list[Loss] = []
        self.has_room = True

    async def take(self, record: bytes, header, lane, origin) -> bool:
        from ved.codec.records import decode_record
        from ved.link.span import span_of

        span = span_of(header)
        received = self.state.received[span.space]
        if self.has_room and not received.overlaps(span.first, span.last):
            received.add(span.first, span.last)
            decoded = decode_record(record)
            if isinstance(decoded, Loss):
                self.losses.append(decoded)
        return False

    def put_own(self, record: bytes, lane) -> bool:
        return True


def datagram(first: int, count: int, sent_at_us: int) -> Datagram:
    frames = make_frames(first, count)
    at = FrameColumns(frames.t_us * 0 + sent_at_us, *(getattr(frames, name) for name in COLUMNS))
    return Datagram(1, EPOCH, first, sent_at_us, at)


COLUMNS = ("bus", "arbitration_id", "flags", "length", "payload")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_every_seq_below_the_highest_is_received_or_lost_and_never_both(data: st.DataObject):
    """Against the simplest model: a set of seqs."""
    cuts = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=25))
    firsts = np.cumsum([1, *cuts[:-1]]).tolist()
    order = data.draw(st.lists(st.sampled_from(range(len(cuts))), max_size=60))
    kept, counters = Kept(), Counters()
    received: set[int] = set()

    async def play() -> None:
        now_us = 1_000_000_000
        epoch: DatagramEpoch | None = None
        for at in order:
            kept.has_room = data.draw(st.booleans() | st.just(True))
            now_us += data.draw(st.sampled_from((1, 1_000_000, 6_000_000)))
            one = datagram(firsts[at], cuts[at], now_us - 1_000_000_000)
            if epoch is None or data.draw(st.sampled_from((False, False, False, True))):  # the server was killed
                epoch = DatagramEpoch("fs", one, kept, kept.state, now_us)
            before = counters[DATAGRAMS_TOTAL]
            await epoch.take(one, encode_datagram(one, bytes(32)), now_us, counters)
            seqs = set(range(firsts[at], firsts[at] + cuts[at]))
            if counters[DATAGRAMS_TOTAL] > before:
                assert not received & seqs
                received.update(seqs)
            if kept.has_room:
                await epoch.tick(now_us)
        kept.has_room = True
        if epoch is not None:
            await epoch.tick(now_us + HOLE_US)
            assert epoch.holes == 0

    asyncio.run(play())
    lost = [seq for one in kept.losses for seq in range(one.first_seq, one.last_seq + 1)]
    assert len(lost) == len(set(lost)) == sum(one.count for one in kept.losses)
    assert Intervals.of(np.array(sorted(received), np.int64)) == kept.state.received[Space.SEQ]
    assert received.isdisjoint(lost)
    if received:
        assert received | set(lost) == set(range(1, max(received) + 1))


@in_a_loop
async def test_what_was_held_back_is_late_and_drift_is_not(site: DatagramSite):
    kept, counters = Kept(), Counters()
    base_us = 1_000_000_000_000
    epoch = DatagramEpoch("fs", datagram(1, 1, 0), kept, kept.state, base_us)

    async def take(first: int, sent_at_us: int, now_us: int) -> None:
        one = datagram(first, 1, sent_at_us)
        await epoch.take(one, encode_datagram(one, bytes(32)), base_us + now_us, counters)

    for second in range(0, 3600, 20):  # its clock loses 5 ms each second: 18 s in the hour
        await take(second + 1, round(second * 995_000), second * 1_000_000)
    assert (counters[DATAGRAMS_TOTAL], counters[DATAGRAMS_LATE_TOTAL]) == (180, 0)
    await take(5000, 3580 * 995_000, 3600_000_000)  # 20 s old
    assert counters[DATAGRAMS_LATE_TOTAL] == 1
    await take(5001, 3600 * 995_000 + 1_800_000_000, 5400_000_000 + 15_000_000)  # half an hour of silence
    assert (counters[DATAGRAMS_TOTAL], counters[DATAGRAMS_LATE_TOTAL]) == (181, 1)
