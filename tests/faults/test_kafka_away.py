"""Kafka is away for minutes while a car drives: "stored" is said, record goes on, and all is there in the end."""

import itertools
import json
import re
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.e2e.test_machines import machine
from tests.faults.torture.site import wait_until
from tests.services.kafka_server import running_kafka

from ved.broker.cluster import FORWARDED, KafkaCluster
from ved.broker.journal import JournalStream
from ved.broker.kafka import KafkaStream
from ved.broker.kafka_topic import TopicScan
from ved.db.database import Database
from ved.db.health import read_health
from ved.lake.lake import Lake

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.slow]
DRIVES_ON_S = 20


def entries_in(servers: str) -> int:
    """What the topic holds."""
    stream = KafkaStream(KafkaCluster(servers), "frames")
    scan = TopicScan(stream.topic)
    try:
        return sum(high - low for low, high in (scan.limits(at) for at in range(stream.topic.ensure())))
    finally:
        scan.close()


def waiting(data: Path) -> float:
    """What ingest says that Kafka lacks."""
    db = Database(f"sqlite:///{data / 'db.sqlite'}")
    try:
        with db.engine.connect() as connection:
            rows = [row for row in read_health(connection) if row.role.startswith("ingest")]
    finally:
        db.close()
    return max((row.figures.get("forward", 0) for row in rows), default=0)


@pytest.mark.parametrize("away_s", [30, 600])
@pytest.mark.timeout(1200)
def test_everything_beside_kafka_goes_on(tmp_path: Path, away_s: int):
    data = tmp_path / "pits"
    with ExitStack() as stack:
        kafka = stack.enter_context(running_kafka(tmp_path / "kafka"))
        stack.enter_context(machine(data, "ingest,record,watch,web", {"VED_KAFKA_SERVERS": kafka.servers}))
        car = subprocess.Popen(
            [sys.executable, "-m", "ved.cli", "simulate", "pe", "--minutes", str((away_s + 2 * DRIVES_ON_S) / 60),
             "--data", str(data), "--state", str(tmp_path / "car")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
        )  # fmt: skip
        try:
            stream = JournalStream(data / "streams" / "frames")
            wait_until(lambda: (stream.cursor(FORWARDED) or 0) > 10, "the first entries are in Kafka")
            kafka.kill()
            before = Lake(str(data / "lake")).stats().frames
            stored = [before]
            until = time.monotonic() + away_s
            while time.monotonic() < until:
                time.sleep(away_s / 5)
                stored.append(Lake(str(data / "lake")).stats().frames)
            assert all(a < b for a, b in itertools.pairwise(stored)), "record stood still"
            assert waiting(data) > away_s, "nothing waited: Kafka was not away"
            kafka.start()
            output, _ = car.communicate(timeout=300)
        finally:
            car.kill()
            car.wait()
        assert car.returncode == 0, output
        sent = int(re.search(r"([\d,]+) frames are in the lake", output).group(1).replace(",", ""))
        assert Lake(str(data / "lake")).stats().frames == sent
        wait_until(lambda: waiting(data) == 0, "all is in Kafka", 120)
        with closing(stream.reader("latest")) as reader:
            end = reader.position
        assert entries_in(kafka.servers) >= end - 1
        print(json.dumps({"away_s": away_s, "frames": sent, "lake_meanwhile": stored, "entries": end}))
