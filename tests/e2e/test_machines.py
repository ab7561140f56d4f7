"""Roles on two machines, as far as one can show it: two data folders that meet over Kafka, PostgreSQL and a lake."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from tests.services.kafka_server import running_kafka
from tests.services.postgres_server import running_postgres

from ved.lake.lake import Lake

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.slow]


@contextmanager
def machine(data: Path, roles: str, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """`ved serve --roles …` on a folder of its own; what it printed, by the word before the colon."""
    command = [sys.executable, "-m", "ved.cli", "serve", "--roles", roles, "--data", str(data)]
    with data.with_suffix(".log").open("a") as log:
        process = subprocess.Popen(
            [*command, "--web-port", "0", "--link-port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            cwd=data.parent,
            env=os.environ | environment,
        )
    said: dict[str, str] = {}
    assert process.stdout is not None
    try:
        for line in process.stdout:
            name, _, text = line.partition(":")
            said[name] = text.strip()
            if name == "Data":
                break
        assert "Data" in said, data.with_suffix(".log").read_text()
        yield said
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        code = process.wait(60)
        process.stdout.close()
    assert code == 0, data.with_suffix(".log").read_text()


def test_the_car_comes_to_one_machine_and_people_look_at_the_other(tmp_path: Path, eventually):
    with ExitStack() as stack:
        kafka = stack.enter_context(running_kafka(tmp_path / "kafka"))
        (tmp_path / "db").mkdir()
        url = stack.enter_context(running_postgres(tmp_path / "db"))
        environment = {"VED_KAFKA_SERVERS": kafka.servers, "VED_DB_URL": url, "VED_LAKE_URL": str(tmp_path / "lake")}
        garage = stack.enter_context(machine(tmp_path / "garage", "ingest,watch", environment))
        office = stack.enter_context(machine(tmp_path / "office", "record,web", environment))
        assert set(garage) == {"Cars", "Data"}
        assert set(office) == {"Page", "Sign in", "Data"}
        drive = [sys.executable, "-m", "ved.cli", "simulate", "fs", "--minutes", "0.5", "--speed", "max"]
        done = subprocess.run(
            [*drive, "--data", str(tmp_path / "garage"), "--state", str(tmp_path / "car")],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr + (tmp_path / "office.log").read_text()
        sent = int(re.search(r"([\d,]+) frames", done.stdout).group(1).replace(",", ""))
        assert Lake(str(tmp_path / "lake")).stats().frames == sent
        page = office["Page"]
        with httpx.Client(base_url=page, follow_redirects=True) as client:
            client.get(re.search(r"http\S+", office["Sign in"]).group(0))
            # web and watch run on different machines: the session that watch found is in the shared database,
            # and web follows the frames in Kafka.
            eventually(lambda: client.get("/api/vehicles/fs/sessions").json(), "the session that watch found")
            names = {one["name"]: one["epoch"] for one in client.get("/api/vehicles").json()}
            assert names["fs"], "web follows the frames"
