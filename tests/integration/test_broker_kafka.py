"""The broker suite on Apache Kafka, and what is special about it."""

import itertools
import os

import pytest
from tests.integration.broker_suite import BrokerSuite
from tests.services.kafka_server import running_kafka

from ved.broker.cluster import KafkaCluster
from ved.broker.kafka import KafkaStream

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


class TestFourPartitions(KafkaSuite):
    partitions = 4
