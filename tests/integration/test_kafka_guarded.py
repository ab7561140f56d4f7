"""Kafka that wants TLS and a password: the settings that carry them, and what is said when they are wrong."""

import asyncio
from pathlib import Path

import pytest
from tests.services.kafka_server import PASSWORD, USER, KafkaServer, running_kafka

from ved.broker.cluster import FORWARDED, KafkaCluster
from ved.broker.forwarder import Forwarder
from ved.broker.journal import JournalStream
from ved.broker.kafka import KafkaStream
from ved.codec.records import encode_record
from ved.errors import StorageError
from ved.link.certificates import ensure_server_certificates
from ved.model.records import Arrival, Lane, LinkState

pytestmark = pytest.mark.xdist_group("kafka")
RECORD = encode_record(LinkState("fs", bytes(16), is_up=True, lane=Lane.LIVE, rtt_us=1, peer=""))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the broker's key and certificates, and `ca.pem`."""
    folder = tmp_path_factory.mktemp("keys")
    made = ensure_server_certificates(folder, ("127.0.0.1",))
    (folder / "ca.pem").write_text(made.ca_pem)
    (folder / "broker.pem").write_bytes(made.server_path.read_bytes() + made.ca_pem.encode())
    return folder


@pytest.fixture(scope="module")
def server(keys: Path, tmp_path_factory: pytest.TempPathFactory):
    with running_kafka(tmp_path_factory.mktemp("kafka"), keys / "broker.pem") as started:
        yield started


def cluster(server: KafkaServer, keys: Path, **other: str) -> KafkaCluster:
    options = {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(keys / "ca.pem"),
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
    }
    return KafkaCluster(server.servers, options={**options, **other})


def test_with_the_right_settings_a_stream_goes_through(server: KafkaServer, keys: Path, tmp_path: Path):
    stream = JournalStream(tmp_path / "frames")
    writer = stream.writer()
    for number in range(20):
        writer.append(Arrival(number, 1_700_000_000_000_000, Lane.LIVE), RECORD)
    writer.sync()

    async def main() -> None:
        stop = asyncio.Event()
        forwarder = Forwarder(stream, cluster(server, keys))
        task = asyncio.create_task(forwarder.run(stop))
        async with asyncio.timeout(60):
            while stream.cursor(FORWARDED) != 20:
                await asyncio.sleep(0.05)
        assert forwarder.waiting() == 0
        stop.set()
        await task
        reader = await asyncio.to_thread(KafkaStream(cluster(server, keys), "frames").reader, "earliest")
        assert [entry.record for entry in await reader.read(timeout_s=10)] == [RECORD] * 20
        reader.close()

    asyncio.run(main())
    writer.close()


@pytest.mark.slow  # Kafka leaves a stranger without an answer for ten seconds
def test_a_wrong_password_names_the_settings(server: KafkaServer, keys: Path):
    wrong = cluster(server, keys, **{"sasl.password": "wrong"})
    with pytest.raises(StorageError, match=r"does not let us in: .*uthentication.*; look at kafka_options"):
        KafkaStream(wrong, "frames").reader("earliest")


@pytest.mark.slow  # Kafka leaves a stranger without an answer for ten seconds
def test_an_unknown_authority_is_not_believed(server: KafkaServer, keys: Path, tmp_path: Path):
    (tmp_path / "other.pem").write_text(ensure_server_certificates(tmp_path / "other", ("127.0.0.1",)).ca_pem)
    wrong = cluster(server, keys, **{"ssl.ca.location": str(tmp_path / "other.pem")})
    with pytest.raises(StorageError, match=r"does not let us in: .*certificate verify failed.*; look at kafka_options"):
        KafkaStream(wrong, "frames").reader("earliest")
