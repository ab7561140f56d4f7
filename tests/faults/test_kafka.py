"""Kafka that stops, is killed, loses its disk, or shares its work: the journal before it makes up for all of it."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.services.kafka_server import KafkaServer, running_kafka

from ved.broker.base import StreamEntry
from ved.broker.cluster import FORWARDED, KafkaCluster
from ved.broker.forwarder import Forwarder
from ved.broker.journal import JournalStream
from ved.broker.kafka import KafkaStream
from ved.codec.records import encode_record
from ved.errors import StorageError
from ved.model.records import Arrival, Lane, LinkState

pytestmark = pytest.mark.xdist_group("kafka")
VEHICLES = [f"car{number}" for number in range(8)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    """A broker of our own, whatever $VED_TEST_KAFKA says: it is to be killed."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as started:
        yield started


@pytest.fixture
def cluster(server: KafkaServer, request: pytest.FixtureRequest) -> KafkaCluster:
    return KafkaCluster(
        server.servers, prefix=f"t-{zlib.crc32(request.node.name.encode())}", partitions=4, keep_us=1 << 60
    )


class Journal:
    """What ingest does: numbered records of eight cars, synced."""

    def __init__(self, folder: Path) -> None:
        self.stream = JournalStream(folder / "frames")
        self._writer = self.stream.writer()
        self.written: list[bytes] = []

    def close(self) -> None:
        self._writer.close()

    def write(self, count: int) -> None:
        for _ in range(count):
            number = len(self.written)
            record = encode_record(
                LinkState(VEHICLES[number * 7 % 8], bytes(16), is_up=True, lane=Lane.LIVE, rtt_us=number, peer="")
            )
            arrival = Arrival(number, 1_700_000_000_000_000 + number, Lane.LIVE)
            assert self._writer.append(arrival, record) == number
            self.written.append(record)
        self._writer.sync()


@pytest.fixture
def journal(tmp_path: Path):
    made = Journal(tmp_path)
    yield made
    made.close()


@contextlib.asynccontextmanager
async def forwarding(journal: Journal, cluster: KafkaCluster) -> AsyncIterator[Forwarder]:
    stop = asyncio.Event()
    forwarder = Forwarder(journal.stream, cluster)
    task = asyncio.create_task(forwarder.run(stop))
    try:
        yield forwarder
    finally:
        stop.set()
        await task


async def until_forwarded(journal: Journal) -> None:
    async with asyncio.timeout(90):
        while (journal.stream.cursor(FORWARDED) or 0) < len(journal.written):
            await asyncio.sleep(0.05)


async def all_of(cluster: KafkaCluster) -> list[StreamEntry]:
    """Everything that is in the topic."""
    reader = await asyncio.to_thread(KafkaStream(cluster, "frames").reader, "earliest")
    out: list[StreamEntry] = []
    while entries := await reader.read(timeout_s=0):
        out += entries
    reader.close()
    return out


def check(entries: list[StreamEntry], journal: Journal) -> None:
    """Everything once, byte for byte, each car in order."""
    assert sorted(entry.position for entry in entries) == list(range(len(journal.written)))
    assert all(entry.record == journal.written[entry.position] for entry in entries)
    for vehicle in VEHICLES:
        of_car = [entry.position for entry in entries if vehicle.encode() in entry.record]
        assert of_car == sorted(of_car)


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_restarts_and_kills_need_no_cleaning(server: KafkaServer, cluster: KafkaCluster, journal: Journal, times: int):
    async def main() -> None:
        async with forwarding(journal, cluster):
            journal.write(200)
            await until_forwarded(journal)
            for end in times * [server.stop] + times * [server.kill]:
                journal.write(50)
                await asyncio.to_thread(end)
                journal.write(50)
                await asyncio.to_thread(server.start)
                await until_forwarded(journal)
        check(await all_of(cluster), journal)

    asyncio.run(main())


@pytest.mark.slow
def test_kafka_comes_late_and_the_journal_waits(server: KafkaServer, cluster: KafkaCluster, journal: Journal):
    async def main() -> None:
        await asyncio.to_thread(server.kill)
        async with forwarding(journal, cluster) as forwarder:
            journal.write(100)
            async with asyncio.timeout(60):
                while not forwarder.why:
                    await asyncio.sleep(0.05)
            assert journal.stream.cursor(FORWARDED) is None
            await asyncio.to_thread(server.start)
            await until_forwarded(journal)
        check(await all_of(cluster), journal)

    asyncio.run(main())


def test_what_a_killed_forwarder_had_sent_is_not_sent_twice(cluster: KafkaCluster, journal: Journal):
    async def main() -> None:
        journal.write(300)
        async with forwarding(journal, cluster):
            await until_forwarded(journal)
        for cursor in (journal.stream.path / "cursors").iterdir():
            cursor.unlink()  # as if it had been killed before it kept where it was
        journal.write(20)
        async with forwarding(journal, cluster):
            await until_forwarded(journal)
        check(await all_of(cluster), journal)

    asyncio.run(main())


@pytest.mark.slow
def test_a_broker_that_lost_its_disk_gets_all_again(server: KafkaServer, cluster: KafkaCluster, journal: Journal):
    async def main() -> None:
        async with forwarding(journal, cluster):
            journal.write(200)
            await until_forwarded(journal)
            await asyncio.to_thread(server.kill)
            server.wipe()
            await asyncio.to_thread(server.start)
            journal.write(20)
            async with asyncio.timeout(120):
                while len(await all_of(cluster)) < 220:
                    await asyncio.sleep(0.5)
        check(await all_of(cluster), journal)

    asyncio.run(main())


def test_consumers_share_cars_and_hand_them_over(cluster: KafkaCluster, journal: Journal):
    async def main() -> None:
        got: dict[int, set[bytes]] = {}

        async def consume(number: int, stop: asyncio.Event) -> None:
            stream = KafkaStream(cluster, "frames", share="record")
            reader = await asyncio.to_thread(stream.reader, "earliest")
            try:
                while not stop.is_set():
                    for entry in await reader.read(timeout_s=0.2):
                        got.setdefault(entry.position, set()).add(entry.record)
                        owners.setdefault(entry.position, []).append(number)
                    with contextlib.suppress(StorageError):  # cars change hands: who has them now reads them again
                        await asyncio.to_thread(stream.commit_cursor, "record", reader.position)
            finally:
                await asyncio.to_thread(reader.close)

        owners: dict[int, list[int]] = {}
        stops = [asyncio.Event() for _ in range(3)]
        async with forwarding(journal, cluster):
            tasks = []
            for number, stop in enumerate(stops):
                tasks.append(asyncio.create_task(consume(number, stop)))
                journal.write(200)
                async with asyncio.timeout(60):
                    while len(got) < len(journal.written):
                        await asyncio.sleep(0.1)
            async with asyncio.timeout(60):
                while len({owner for position in owners for owner in owners[position][-1:]}) < 2:
                    journal.write(40)
                    await asyncio.sleep(0.5)
            stops[0].set()
            await tasks[0]
            journal.write(200)
            async with asyncio.timeout(60):
                while len(got) < len(journal.written):
                    await asyncio.sleep(0.1)
            for stop in stops:
                stop.set()
            await asyncio.gather(*tasks)
        assert {position: {journal.written[position]} for position in range(len(journal.written))} == got

    asyncio.run(main())
