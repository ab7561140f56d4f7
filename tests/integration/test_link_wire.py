"""Batches on the wire between the car's connection and a real ingest: what is stored stands alone, byte for byte."""

import asyncio
import itertools
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.unit.simulated import log

from ved.codec.batch import encode_batch
from ved.codec.learn import LayoutBook
from ved.codec.link import FEATURE_WIRE, Hello, Space, Stored
from ved.codec.records import encode_record, peek
from ved.errors import LinkLostError, LinkRefusedError
from ved.link.connection import Answer, LinkConnection, Sent, Wiring
from ved.link.credentials import parse_server_url
from ved.link.dial import Dialer
from ved.link.pace import wire_bytes
from ved.link.span import span_of
from ved.link.trust import client_context
from ved.metrics import BATCHES_CORRUPT_TOTAL, BATCHES_DUPLICATE_TOTAL, Counters
from ved.model.frames import FrameBatch
from ved.model.intervals import Intervals
from ved.model.records import Lane, Loss, LossPlace

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import Site, make_frames

EPOCH = bytes(range(16))
EARLIER = bytes(16)
FRAMES = 60


class Told:
    """What the server said is stored, over any connection."""

    def __init__(self) -> None:
        self._stored: dict[tuple[bytes, Space], Intervals] = {}
        self._heard = asyncio.Event()

    def hear(self, answer: Answer) -> None:
        if isinstance(answer, Stored):
            for first, last in answer.runs:
                self._stored.setdefault((answer.epoch, answer.space), Intervals()).add(first, last)
        self._heard.set()

    async def wait(self, record: bytes) -> None:
        header = peek(record)
        span = span_of(header)
        while not self._stored.setdefault((header.epoch, span.space), Intervals()).contains(span.first, span.last):
            self._heard.clear()
            await self._heard.wait()


class Car:
    """Sends records over one connection."""

    def __init__(self, site: Site, book: LayoutBook, lane: Lane = Lane.LIVE, features: int = FEATURE_WIRE) -> None:
        self.told = Told()
        self._credentials = site.credentials()
        self._hello = Hello(lane, "fs", "test", EPOCH, 1, 1, features=features)
        self._book = book

    async def open(self) -> None:
        dialer = Dialer([parse_server_url(url) for url in self._credentials.server_urls])
        tls = client_context(self._credentials.ca_pem, time.time())
        wiring = Wiring(lambda: 0, self.told.hear, layouts=self._book)
        self.connection = await LinkConnection.open(dialer, tls, self._credentials.key, self._hello, wiring)
        self.running = asyncio.create_task(self.connection.run())

    async def send(self, record: bytes) -> int:
        header = peek(record)
        return await self.connection.send_record(record, Sent.now(header.epoch, span_of(header), record, None))

    async def close(self) -> None:
        await self.connection.close()
        with pytest.raises(LinkLostError):
            await self.running


def record_of(number: int, epoch: bytes = EPOCH) -> bytes:
    """The `number`th batch of an epoch, from 0."""
    first_seq = 1 + number * FRAMES
    return encode_batch(FrameBatch("fs", epoch, first_seq, make_frames(first_seq, FRAMES)))


def records_of_a_drive(seconds: float) -> list[bytes]:
    """Batches of 100 ms of the simulated car fs."""
    frames = log("fs", seconds, 1).frames
    ends = [0, *(np.flatnonzero(np.diff(frames.t_us // 100_000)) + 1).tolist(), len(frames)]
    return [
        encode_batch(FrameBatch("fs", EPOCH, first + 1, frames.take(slice(first, end))))
        for first, end in itertools.pairwise(ends)
    ]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "data")
    site.prepare("fs")
    return site


def stored(site: Site) -> set[bytes]:
    return {encode_record(record) for record in site.records()}


def test_what_is_stored_is_what_the_car_has_over_lanes_epochs_and_reconnects(site: Site) -> None:
    book = LayoutBook()
    loss = encode_record(Loss("fs", EPOCH, 1, LossPlace.SOURCE_QUEUE, 0, 3, 0, 10))
    drive = records_of_a_drive(14.0)
    earlier = [record_of(number, EARLIER) for number in range(4)]

    async def go() -> int:
        sent_bytes = 0
        async with site.serving():
            for part in (drive[: len(drive) // 2], drive[len(drive) // 2 :]):
                live, backfill = Car(site, book), Car(site, book, Lane.BACKFILL)
                backfill.told = live.told
                await live.open()
                await backfill.open()
                for record in part:
                    sent_bytes += await live.send(record)
                await live.send(loss)
                for record in earlier:  # an earlier epoch, again over the second connection
                    await backfill.send(record)
                    await live.send(record)
                for record in (*part, *earlier, loss):
                    await live.told.wait(record)
                await live.close()
                await backfill.close()
        return sent_bytes

    sent_bytes, bytes_of_records = asyncio.run(go()), sum(wire_bytes(len(record) + 4) for record in drive)
    assert {*drive, *earlier, loss} <= stored(site)
    assert sent_bytes < 0.8 * bytes_of_records, f"{sent_bytes} where records take {bytes_of_records} bytes"


def test_a_server_without_the_feature_gets_records(site: Site) -> None:
    records = [record_of(number) for number in range(3)]

    async def go() -> list[int]:
        async with site.serving():
            car = Car(site, LayoutBook(), features=0)
            await car.open()
            sizes = [await car.send(record) for record in records]
            await car.told.wait(records[-1])
            await car.close()
            return sizes

    assert asyncio.run(go()) == [wire_bytes(len(record) + 4) for record in records]
    assert set(records) <= stored(site)


def test_a_batch_for_another_state_ends_the_connection_and_is_never_stored(site: Site) -> None:
    counters = Counters()
    records = [record_of(number) for number in range(3)]

    async def go() -> None:
        async with site.serving(counters):
            car = Car(site, LayoutBook())
            await car.open()
            await car.send(records[0])
            await car.told.wait(records[0])
            car.connection._pack(records[1])  # the writer goes on, the reader does not hear of it
            await car.send(records[2])
            with pytest.raises((LinkLostError, LinkRefusedError)):
                await asyncio.wait_for(car.running, 20)
            again = Car(site, LayoutBook())
            await again.open()
            for record in records:
                await again.send(record)
            for record in records:
                await again.told.wait(record)
            await again.close()

    asyncio.run(go())
    assert counters[BATCHES_CORRUPT_TOTAL] == 1
    assert counters[BATCHES_DUPLICATE_TOTAL] == 1
    batches = [one for one in site.records() if isinstance(one, FrameBatch)]
    assert [one.first_seq for one in batches] == [1, 1 + FRAMES, 1 + 2 * FRAMES]
    assert set(records) <= stored(site)
