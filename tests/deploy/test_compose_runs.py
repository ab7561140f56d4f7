"""deploy/compose.yaml in earnest: every command, environment, user, mount and health check of it, run as processes.

Kafka, InfluxDB, PostgreSQL and Caddy are real (from Maven Central and Debian, so not the versions of the images);
Grafana, the Kafka UI and WireGuard are on paper.
"""

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.deploy.composefile import load
from tests.deploy.engine import Engine, can_make_namespaces
from tests.deploy.images import images

from ved.cli.init import SECRETS
from ved.lake.lake import Lake

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(2400)]
ON_PAPER = ("grafana", "kafka-ui", "vpn")
SERVICES = {name: one for name, one in load()["services"].items() if name not in ON_PAPER}
ONE_SHOT = ("init", "demo-key")
LASTING = [name for name in SERVICES if name not in ONE_SHOT]
OURS = [name for name in LASTING if SERVICES[name]["image"].startswith("ved:")]
STOP_ORDER = ["demo-car", "caddy", "influx", "web", "watch", "record", "ingest", "kafka", "influxdb", "postgres"]


@pytest.fixture
def engine(tmp_path: Path, service_missing: Callable[[str], None]) -> Iterator[Engine]:
    if trouble := can_make_namespaces():
        service_missing(trouble)
    for program, package in (("caddy", "caddy"), ("influxd", "influxdb"), ("curl", "curl"), ("java", "a Java runtime")):
        if not shutil.which(program):
            service_missing(f"{package} is not installed")
    running = Engine(tmp_path / "engine", SERVICES, images())
    yield running
    running.close()


class Deployment:
    """What a test asks of it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def frames(self) -> int:
        return Lake(str(self.engine.volume("lake"))).stats().frames

    def secret(self, name: str) -> str:
        return (self.engine.volume(f"secrets-{name.split('/', maxsplit=1)[0]}") / name.split("/")[1]).read_text()

    def secrets(self) -> dict[str, str]:
        return {name: self.secret(name) for one in SECRETS for name, _ in one.files}

    def visit(self, link: str) -> dict[str, object]:
        authority = self.engine.volume("caddy") / "caddy/pki/authorities/local/root.crt"
        program = Path(__file__).parent / "visitor.py"
        done = self.engine.inside(sys.executable, str(program), str(authority), link, is_checked=False)
        assert done.returncode == 0, done.stderr + self.engine.log("web") + self.engine.log("caddy")
        return json.loads(done.stdout)

    def signin_link(self) -> str:
        done = self.engine.execute("web", "ved", "signin")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def influx(self, user: str, path: str, *more: str) -> tuple[int, str]:
        password = self.secret(f"influxdb/{user}_password")
        command = ["curl", "-s", "-w", "\n%{http_code}", "-u", f"{user}:{password}", *more]
        done = self.engine.inside(*command, f"http://127.0.0.1:8086{path}")
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def points(self) -> int:
        status, body = self.influx("reader", "/query?db=ved", "-G", "--data-urlencode", "q=SELECT count(*) FROM /.*/")
        assert status == 200, body
        series = json.loads(body)["results"][0].get("series", ())
        return sum(sum(value for value in one["values"][0][1:] if value) for one in series)

    def rows(self, epoch: str) -> int:
        files = Lake(str(self.engine.volume("lake"))).frame_rows.files()
        return sum(entry.rows for entry in files if entry.epoch.hex() == epoch)

    def stop_car(self) -> tuple[str, int]:
        """The epoch that ends, and how many frames it has: what is not on the server yet goes at the next start."""
        before = len(self.engine.log("demo-car"))
        assert self.engine.stop(["demo-car"]) == {"demo-car": 0}
        said = self.engine.log("demo-car")[before:]
        stored, epoch = re.search(
            r"([\d,]+) frames are in the server's journal \(epoch ([0-9a-f]{32})\)", said
        ).groups()
        waiting = re.search(r"; ([\d,]+) wait in the car's journal", said)
        return epoch, sum(int(one.replace(",", "")) for one in (stored, waiting[1] if waiting else "0"))


def eventually(holds: Callable[[], object], what: str, limit_s: float = 240) -> None:
    until_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until_s, f"not within {limit_s:.0f} s: {what}"
        time.sleep(1)


def test_first_start_restart_and_a_power_cut(engine: Engine):
    deployment = Deployment(engine)

    # The first start, in the order that the file asks for. Kafka is not among what the first role waits for.
    engine.up(SERVICES)
    for name in LASTING:
        engine.wait_for(name)
    for name in OURS:
        status = Path(f"/proc/{engine.processes[name].pid}/status").read_text()
        assert re.search(r"^Uid:\s+10001\s+10001\s+10001\s+10001$", status, re.MULTILINE)
        assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        assert engine.execute(name, "touch", "/etc/ved-was-here").returncode != 0
    made = deployment.secrets()
    for one in SECRETS:
        for name, _ in one.files:
            file = engine.volume(f"secrets-{name.split('/')[0]}") / name.split("/")[1]
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.stat().st_uid > 0
    printed = "".join(engine.log(name) for name in SERVICES)
    assert not [name for name, text in made.items() if text in printed and name != "kafka/cluster_id"]

    # The first admin: by the logs, or by a command; the link carries the public address.
    assert re.search(r"Sign in: +https://localhost/signin\?token=\S+", engine.log("web"))
    link = deployment.signin_link()
    assert link.startswith("https://localhost/signin?token=")
    seen = deployment.visit(link)
    assert seen["signed_out"] == 401
    assert seen["me"]["role"] == "admin"
    assert {"secure", "httponly", "samesite=strict"} <= {one.strip().lower() for one in seen["set_cookie"].split(";")}
    assert seen["page"][0] == 200
    assert "default-src 'none'" in seen["page"][2]
    assert seen["own"] in (200, 201)
    assert seen["foreign"] == [403, 403, 403]
    assert seen["redirect"] == [308, "https://pit.example/a?b=c"]
    assert seen["grafana"] == 502  # on paper: nobody listens there
    assert "token=REDACTED" in engine.log("caddy")
    assert "nobody-logs-this" not in engine.log("caddy")
    assert seen["cookie"].partition("=")[2] not in engine.log("caddy")
    assert seen["increments"] == 5

    # The car's frames are in the lake, and for Grafana in InfluxDB, whose accounts can do what they are for, no more.
    eventually(lambda: deployment.frames() > 20_000, "frames in the lake")
    eventually(lambda: deployment.points() > 1000, "points in InfluxDB")
    assert (
        deployment.influx("writer", "/query?db=ved", "-G", "--data-urlencode", "q=SHOW MEASUREMENTS")[1].find("name")
        < 0
    )
    assert deployment.influx("reader", "/write?db=ved", "--data-binary", "x v=1")[0] == 403
    assert engine.inside("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-G", "--data-urlencode",
                         "q=SHOW DATABASES", "http://127.0.0.1:8086/query").stdout == "401"  # fmt: skip

    # down: in order, and nothing is lost.
    first_run = deployment.stop_car()
    codes = engine.stop([name for name in STOP_ORDER if name in engine.processes])
    assert {name: codes[name] for name in OURS if name in codes} == dict.fromkeys(set(OURS) & set(codes), 0)
    assert codes["postgres"] == 0
    engine.processes.clear()

    # up again: the same secrets, people, sign-ins and data; the car goes on with the key that it has.
    engine.up(SERVICES)
    assert deployment.secrets() == made
    assert "all secrets are there already" in engine.log("init")
    again = deployment.visit(seen["cookie"])
    assert again["me"] == seen["me"]
    eventually(lambda: deployment.rows(first_run[0]) == first_run[1], f"all of {first_run} in the lake")
    eventually(lambda: deployment.frames() > first_run[1] + 5000, "frames of the second run")
    second_run = deployment.stop_car()

    # The power goes while the car drives; the engine starts everything at once, in no order.
    engine.start("demo-car")
    eventually(lambda: deployment.rows(second_run[0]) == second_run[1], f"all of {second_run} in the lake")
    sent = first_run[1] + second_run[1]
    eventually(lambda: deployment.frames() > sent + 5000, "frames of the third run")
    stored = deployment.frames()
    engine.kill_all()
    engine.keep_up(LASTING)
    eventually(lambda: deployment.frames() > stored + 5000, "frames after the power cut")
    assert deployment.visit(seen["cookie"])["me"] == seen["me"]
    deployment.stop_car()
    before = deployment.points()
    assert before > 1000
    done = engine.execute("record", "ved", "lake", "verify", timeout_s=600)
    assert done.returncode == 0, done.stdout + done.stderr
    codes = engine.stop([name for name in STOP_ORDER if name in engine.processes])
    assert {codes[name] for name in OURS if name in codes} == {0}


def test_the_engine_keeps_what_it_promises(tmp_path: Path, engine: Engine):
    """The stand-in itself: a root that is read-only, mounts that are not, a user without rights, names."""
    (engine.folder / "probe.log").touch()
    assert os.path.ismount("/proc")
    engine.start("init")
    assert engine.processes["init"].wait(120) == 0, engine.log("init")
    assert (engine.volume("caddy")).stat().st_uid == 1000
    assert (engine.volume("secrets-postgres")).stat().st_uid == 999
    assert not Path("/secrets").exists()
    assert not Path("/etc/ved").exists()
