"""Apache Kafka for tests: `$VED_TEST_KAFKA`, else started from its Maven Central jars on loopback.

One broker and controller in one process (KRaft), its data in a folder, on a port of its own that it keeps.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

POM = Path(__file__).parent / "kafka"
JARS = POM / "target" / "jars"
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
READY_S = 60.0
USER, PASSWORD = "ved", "correct-horse"


def jars() -> str:
    """The class path; fetched with Maven once. Skips, with the reason, where that is not possible."""
    with _one_at_a_time():
        return _jars()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Several test processes may want them at once."""
    POM.joinpath("target").mkdir(exist_ok=True)
    with POM.joinpath("target", "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _jars() -> str:
    if not list(JARS.glob("kafka_2.13-*.jar")):
        if not shutil.which("java") or not shutil.which("mvn"):
            no_kafka("neither $VED_TEST_KAFKA nor java and mvn to start Apache Kafka from its jars")
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"]
        for _ in range(2):  # a repository may fail to answer once
            made = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            if not made.returncode:
                break
        else:
            no_kafka(f"Maven cannot fetch Apache Kafka: {made.stdout[-300:]}")
    return os.pathsep.join(str(path) for path in sorted(JARS.glob("*.jar")))


def no_kafka(reason: str) -> None:
    """A skip; where services are required, a failure."""
    (pytest.fail if os.environ.get("VED_REQUIRE_SERVICES") else pytest.skip)(reason)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def _guarded(tls_pem: Path) -> str:
    """Of the one listener for clients, which is that between brokers too."""
    login = f'org.apache.kafka.common.security.plain.PlainLoginModule required username="{USER}" password="{PASSWORD}"'
    return f"""ssl.keystore.type=PEM
ssl.keystore.location={tls_pem}
ssl.truststore.type=PEM
ssl.truststore.location={tls_pem.with_name("ca.pem")}
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.client.plain.sasl.jaas.config={login} user_{USER}="{PASSWORD}";
"""


class KafkaServer:
    """A broker that can be stopped, killed, started again, and robbed of its disk.

    `tls_pem`: its key with certificates; with it clients must use TLS and sign in (SASL PLAIN, USER and PASSWORD).
    """

    def __init__(self, folder: Path, tls_pem: Path | None = None) -> None:
        self._folder = folder
        self._class_path = jars()
        self._port, self._controller = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._properties = folder / "server.properties"
        guard = "PLAINTEXT" if tls_pem is None else "SASL_SSL"
        self._properties.write_text(
            f"""process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{self._controller}
listeners=CLIENT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{self._controller}
advertised.listeners=CLIENT://127.0.0.1:{self._port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,CLIENT:{guard}
log.dirs={folder / "data"}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
message.max.bytes=10485760
"""
            + ("" if tls_pem is None else _guarded(tls_pem))
        )

    @property
    def servers(self) -> str:
        """For clients."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it on what its folder holds, and wait until it answers."""
        if not (self._folder / "data" / "meta.properties").exists():
            tool = ("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID)
            self._java(*tool, "-c", str(self._properties), "--standalone")
        with (self._folder / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command(), "kafka.Kafka", str(self._properties)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            assert self._process.poll() is None, (self._folder / "kafka.log").read_text()[-2000:]
            time.sleep(0.1)
        raise AssertionError("Kafka does not answer")

    def stop(self) -> None:
        """As `systemctl stop` does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def wipe(self) -> None:
        """Its disk is lost."""
        shutil.rmtree(self._folder / "data")

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(60)

    def _java(self, *command: str) -> None:
        subprocess.run([*self._command(), *command], check=True, capture_output=True, timeout=60)

    def _command(self) -> list[str]:
        small = ["-Xms128m", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        return ["java", *small, "-cp", self._class_path]


@contextlib.contextmanager
def running_kafka(folder: Path, tls_pem: Path | None = None) -> Iterator[KafkaServer]:
    """A started one; killed at the end."""
    server = KafkaServer(folder, tls_pem)
    server.start()
    try:
        yield server
    finally:
        server.kill()
