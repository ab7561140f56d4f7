"""The broker suite on Apache Kafka, and what is special about it."""

import asyncio
import itertools
import os

import pytest
from confluent_kafka import TopicPartition
from tests.integration.broker_suite import BrokerSuite, arrival_of, take
from tests.services.kafka_server import running_kafka

from ved.broker.cluster import KafkaCluster
from ved.broker.kafka import KafkaStream
from ved.broker.kafka_writer import partition_of
from ved.codec.records import encode_record
from ved.codec.stream import pack_entry
from ved.model.records import Lane, LinkState

pytestmark = pytest.mark.xdist_group("kafka")
NUMBERS = itertools.count()


class Now:
    """A clock that stands where it was put."""

    def __init__(self):
        self.us = 1_700_000_000_000_000

    def __call__(self):
        return self.us


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Addresses of a broker: the one that is given, else one of our own."""
    given = os.environ.get("VED_TEST_KAFKA")
    if given:
        yield given
        return
    with running_kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server.servers


@pytest.fixture
def now():
    return Now()


class KafkaSuite(BrokerSuite):
    partitions = 1

    @pytest.fixture
    def cluster(self, servers):
        prefix = f"t{os.getpid()}-{next(NUMBERS)}"
        return KafkaCluster(servers, prefix=prefix, partitions=self.partitions, keep_us=1 << 60)

    @pytest.fixture
    def reopen(self, cluster, now):
        return lambda: KafkaStream(cluster, "frames", now_us=now)

    @pytest.fixture
    def stream(self, reopen):
        return reopen()

    @pytest.fixture
    def set_now_us(self, now):
        return lambda us: setattr(now, "us", us)


class TestOnePartition(KafkaSuite):
    pass


def drive(writer, vehicle, positions):
    """A record of the vehicle at each of the positions."""
    record = encode_record(LinkState(vehicle, bytes(16), is_up=True, lane=Lane.LIVE, rtt_us=1, peer=""))
    for position in positions:
        writer.put(pack_entry(arrival_of(position), record), arrival_of(position).utc_us, vehicle.encode(), position)
    writer.sync()


class TestFourPartitions(KafkaSuite):
    partitions = 4

    def test_a_vehicle_that_was_driven_yesterday_holds_no_cursor_back(self, stream, writer, reopen):
        assert len({partition_of(name, 4) for name in (b"pe", b"ps", b"solar")}) == 3

        async def main():
            drive(writer, "pe", range(4))
            record = stream.reader("earliest")
            await take(record, 4)
            stream.commit_cursor("record", 3)
            assert reopen().cursor("record") == 3
            stream.commit_cursor("record", 4)
            drive(writer, "ps", range(4, 104))
            assert reopen().cursor("record") == 0  # of the partition of ps nobody knows anything
            await take(record, 100)
            stream.commit_cursor("record", 100)
            assert reopen().cursor("record") == 100
            stream.commit_cursor("record", 104)
            assert reopen().cursor("record") == 104
            drive(writer, "solar", [104])
            await take(record, 1)
            assert reopen().cursor("record") == 0
            stream.commit_cursor("record", 105)
            assert reopen().cursor("record") == 105
            record.close()

        asyncio.run(main())

    def test_a_cursor_claims_nothing_that_comes_late_in_a_partition(self, stream, writer, reopen):
        async def main():
            drive(writer, "pe", range(4))
            drive(writer, "ps", [*range(4, 50), *range(60, 104)])
            record = stream.reader("earliest")
            await take(record, 94)
            stream.commit_cursor("record", 104)
            assert reopen().cursor("record") == 104
            drive(writer, "pe", range(50, 60))
            assert reopen().cursor("record") == 4
            await take(record, 10)
            stream.commit_cursor("record", 104)
            assert reopen().cursor("record") == 104
            record.close()

        asyncio.run(main())

    def test_a_damaged_entry_holds_no_cursor_back(self, stream, writer, reopen):
        async def main():
            drive(writer, "pe", range(4))
            writer.put(b"?", 0, b"pe", 4)
            drive(writer, "ps", range(5, 10))
            record = stream.reader("earliest")
            await take(record, 9)
            while record.position < 10:
                await record.read(timeout_s=0)
            assert record.corrupt == 1
            stream.commit_cursor("record", 10)
            assert reopen().cursor("record") == 10
            record.close()

        asyncio.run(main())

    def test_entries_that_are_gone_hold_no_cursor_back(self, stream, writer, reopen):
        async def main():
            drive(writer, "pe", range(20))
            record = stream.reader("earliest")
            await take(record, 20)
            stream.commit_cursor("record", 10)
            drive(writer, "ps", range(20, 30))
            await take(record, 10)
            record.marks_before(20)  # read, and never committed
            stream.commit_cursor("record", 30)
            assert reopen().cursor("record") == 10
            gone = TopicPartition(stream.topic.name, partition_of(b"pe", 4), 20)
            for one in stream.topic.admin.delete_records([gone]).values():
                one.result(10)
            assert reopen().cursor("record") == 30
            record.close()

        asyncio.run(main())

    def test_looking_back_goes_as_far_in_each_partition(self, stream, writer, reopen):
        async def main():
            drive(writer, "pe", range(4))
            drive(writer, "ps", range(4, 104))
            record = stream.reader("earliest")
            await take(record, 104)
            stream.commit_cursor("record", 104)
            drive(writer, "pe", [104])
            cursor = reopen().cursor("record")
            assert cursor == 4
            back = stream.reader(max(0, cursor - 2))
            assert sorted(entry.position for entry in await take(back, 5)) == [2, 3, 102, 103, 104]
            assert await back.read(timeout_s=0) == []
            back.close()
            record.close()

        asyncio.run(main())
