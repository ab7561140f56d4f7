"""A whole small world: a server's roles and a car as processes, their folders, and the truth beside them."""

import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import TypeAdapter
from tests.faults.netlab.lab import NetLab
from tests.faults.torture.checker import Verdict, judge
from tests.faults.torture.oracle import CAR

from ved.db.database import Database
from ved.db.keys import add_car_key
from ved.db.vehicles import ensure_vehicle
from ved.ingest.settings import IngestSettings
from ved.link.certificates import ensure_server_certificates
from ved.link.credentials import Credentials, save_credentials
from ved.record.settings import RecordSettings

PROGRAM = Path(__file__).with_name("car_process.py")
RATE = 600
SETTLE_S = 60.0
_KEY = secrets.token_bytes(32)
_ROLES = ("ingest", "record")


def wait_until(holds: Callable[[], object], what: str, limit_s: float = 60.0) -> None:
    """Poll until it holds; an AssertionError names what did not happen."""
    until = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until, f"not within {limit_s:.0f} s: {what}"
        time.sleep(0.05)


def mono_us() -> int:
    return time.monotonic_ns() // 1000


@dataclass
class Places:
    """Where things lie. Only `truth` must be out of reach of every fault."""

    data: Path
    state: Path
    truth: Path
    logs: Path

    @staticmethod
    def under(root: Path, data: Path | None = None, state: Path | None = None) -> "Places":
        places = Places(data or root / "data", state or root / "car", root / "truth", root / "logs")
        for path in asdict(places).values():
            path.mkdir(parents=True, exist_ok=True)
        return places


class Site:
    """Use it as a context manager: at the end every process that it started is gone."""

    def __init__(self, places: Places, net: NetLab | None = None, *, journal_bytes: int = 1 << 30) -> None:
        self.places = places
        self.net = net
        self.rate = RATE
        self.batch_frames = 8192
        self.journal_bytes = journal_bytes
        self.roles: dict[str, subprocess.Popen[str]] = {}
        self.car: subprocess.Popen[bytes] | None = None
        self.more: list[subprocess.Popen[bytes]] = []
        self.car_environment: dict[str, str] = {}
        self.role_environment: dict[str, dict[str, str]] = {}
        self.life = 0
        self.port = 0
        self.key = _KEY
        self.starts_s: list[float] = []

    @property
    def db_url(self) -> str:
        return f"sqlite:///{self.places.data / 'db.sqlite'}"

    @property
    def server_ip(self) -> str:
        return self.net.server_ip if self.net else "127.0.0.1"

    def __enter__(self) -> "Site":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes: list[subprocess.Popen[bytes] | subprocess.Popen[str]] = [*self.roles.values(), *self.more]
        if self.car:
            processes.append(self.car)
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def prepare(self) -> None:
        """A database with the vehicle and a key."""
        (self.places.data / "db.sqlite").write_bytes(_fresh_database())
        os.sync()  # what a test prepares is no part of what a power cut may take

    # The server.

    def _settings(self, role: str) -> Any:
        data = self.places.data
        if role == "ingest":
            host = "0.0.0.0" if self.net else "127.0.0.1"
            return IngestSettings(data, self.db_url, host, self.port, (self.server_ip, "localhost"), 1 << 30, 10**15)
        return RecordSettings(data, self.db_url, str(data / "lake"), commit_s=0.5)

    def start_role(self, role: str) -> None:
        self._await_role(role, self.spawn_role(role))

    def spawn_role(self, role: str) -> float:
        """Start it and do not wait until it is ready; the monotonic time before."""
        settings = self._settings(role)
        prefix = self.net.in_server() if self.net else []
        began_s = time.monotonic()
        with (self.places.logs / f"{role}.log").open("a") as log:
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "ved.cli.role", role],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=os.environ | self.role_environment.get(role, {}),
            )  # fmt: skip
        self.roles[role] = process
        assert process.stdin is not None
        process.stdin.write(TypeAdapter(type(settings)).dump_json(settings).decode() + "\n")
        process.stdin.flush()
        return began_s

    def _await_role(self, role: str, began_s: float) -> None:
        process = self.roles[role]
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{role} did not start:\n{self.log(role)}"
        said = json.loads(line)
        assert "ready" in said, said
        self.starts_s.append(time.monotonic() - began_s)
        if role == "ingest":
            self.port = int(said["ready"]["port"])

    def start_server(self, roles: Sequence[str] = _ROLES) -> None:
        """All at once, as `ved serve` does."""
        began_s = {role: self.spawn_role(role) for role in roles}
        for role in roles:
            self._await_role(role, began_s[role])

    def end_role(self, role: str, *, is_killed: bool = True) -> None:
        process = self.roles.pop(role)
        assert process.stdin is not None
        assert process.stdout is not None
        if is_killed:
            process.kill()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        code = process.wait(30)
        process.stdout.close()
        assert is_killed or code == 0, self.log(role)

    def kill_server(self) -> None:
        for role in list(self.roles):
            self.roles[role].kill()
        for role in list(self.roles):
            self.end_role(role)

    def log(self, name: str) -> str:
        path = self.places.logs / f"{name}.log"
        return path.read_text()[-4000:] if path.exists() else ""

    # The car.

    def enrol(self, port: int | None = None, state: Path | None = None) -> None:
        """Give the car its key; `port` is a proxy's, when there is one. Needs no running server."""
        names = (self.server_ip, "localhost")
        ca_pem = ensure_server_certificates(self.places.data / "keys", names).ca_pem
        url = f"wss://{self.server_ip}:{port or self.port}"
        save_credentials(state or self.places.state, Credentials((url,), "fs", self.key, ca_pem))

    def start_car(self, state: Path | None = None) -> subprocess.Popen[bytes]:
        """A new life of the car's program (with `state`: of a second car, beside the first)."""
        self.life += 1
        prefix = self.net.in_car() if self.net else []
        numbers = [self.life, self.rate, self.journal_bytes, self.batch_frames]
        arguments = [state or self.places.state, self.places.truth, *numbers]
        with (self.places.logs / "car.log").open("a") as log:
            process = subprocess.Popen(
                [*prefix, sys.executable, str(PROGRAM), *map(str, arguments)],
                stdout=log, stderr=log, env=os.environ | self.car_environment,
            )  # fmt: skip
        if state is None:
            self.car = process
        else:
            self.more.append(process)
        return process

    def kill_car(self) -> None:
        assert self.car is not None
        self.car.kill()
        self.car.wait()
        self.car = None

    def stop_car(self) -> None:
        assert self.car is not None
        self.car.send_signal(signal.SIGTERM)
        code = self.car.wait(30)
        self.car = None
        assert code == 0, self.log("car")

    def change_rate(self, rate: int) -> None:
        """While the car drives, and for all its later lives."""
        told = self.places.truth / "rate"
        told.with_suffix(".new").write_text(str(rate))
        told.with_suffix(".new").rename(told)
        self.rate = rate

    def true_frames(self, life: int | None = None) -> int:
        path = self.places.truth / f"{life or self.life}.truth"
        return path.stat().st_size // 32 if path.exists() else 0

    def progress(self, life: int | None = None) -> dict[str, Any]:
        """The last whole line that the car said, {} before the first."""
        path = self.places.truth / f"{life or self.life}.progress"
        if not path.exists():
            return {}
        lines = path.read_bytes().split(b"\n")
        return json.loads(lines[-2]) if len(lines) > 1 else {}

    def wait_driving(self, frames: int = RATE) -> None:
        """Until the car's present life made this many frames."""
        wait_until(lambda: self.true_frames() >= frames, f"{frames} frames of life {self.life}\n{self.log('car')}")

    def wait_stored(self, more: int = RATE) -> None:
        """Until the server stored this many more frames of the present life than it has now."""
        goal = int(self.progress().get("stored_frames", 0)) + more
        wait_until(lambda: self.progress().get("stored_frames", 0) >= goal, f"{more} more stored\n{self.log('car')}")

    # The end.

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """The bus is silent for the length of the block."""
        flag = self.places.truth / "quiet"
        flag.touch()
        try:
            yield
        finally:
            flag.unlink()

    def settle(self, *, allowed: Callable[[Verdict], bool] | None = None, limit_s: float = SETTLE_S) -> Verdict:
        """The quiet phase: the bus falls silent, all that can come comes, and the verdict is given.

        Ends when the present life is stored and the verdict is good (`allowed`, or: no frame is missing).
        """
        good = allowed or (lambda verdict: verdict.missing == 0)
        until = time.monotonic() + limit_s
        with self.quiet():
            while True:
                verdict = judge(self.places.data, self.db_url, self.places.truth)
                if (good(verdict) and self._is_drained()) or time.monotonic() > until:
                    break
                time.sleep(0.2)
            time.sleep(0.7)  # whatever came twice has had time to be stored twice
            verdict = judge(self.places.data, self.db_url, self.places.truth)
        assert not verdict.problems, verdict.text()
        assert verdict.duplicated == 0, verdict.text()
        assert good(verdict), f"{verdict.text()}\ncar: {self.progress()}\n{self.log('car')}\n{self.log('ingest')}"
        return verdict

    def _is_drained(self) -> bool:
        if self.car is None:
            return True
        said = self.progress()
        return bool(said) and said["stored_frames"] + said["lost_frames"] >= self.true_frames()


@dataclass
class Figures:
    """What a scenario measured, printed and kept for docs/faults.md when VED_FAULTS_REPORT names a file."""

    scenario: str
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, verdict: Verdict, **more: Any) -> None:
        self.values |= {
            "frames": verdict.frames,
            "missing": verdict.missing,
            "tail": verdict.tail,
            "undeclared": verdict.undeclared,
            "duplicated": verdict.duplicated,
        } | more
        line = json.dumps({"scenario": self.scenario} | self.values)
        print(line)
        if path := os.environ.get("VED_FAULTS_REPORT"):
            with Path(path).open("a") as report:
                report.write(line + "\n")


@functools.cache
def _fresh_database() -> bytes:
    """Migrations take a second: once for all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db.sqlite"
        db = Database(f"sqlite:///{path}")
        db.migrate()
        ensure_vehicle(db, CAR)
        add_car_key(db, "fs", _KEY)
        db.close()
        assert not path.with_name("db.sqlite-wal").exists()
        return path.read_bytes()


def copy_state(source: Path, target: Path) -> None:
    """The card of a car, cloned."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("wake"))


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
