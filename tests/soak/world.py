"""The soak's small world: `ved serve`, three cars behind TCP proxies, thirty viewers, all as processes."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psutil
from tests.faults.netlab.proxy import Proxy
from tests.soak.car import MARK_CHANNEL, MARK_DBC
from tests.soak.plan import CARS, ROLES

from ved.config.vehicle import load_vehicle
from ved.db.database import Database
from ved.db.people import create_signin_token
from ved.dbc.load import DbcSource, load_set

ROOT: Final = Path(__file__).resolve().parents[2]
KEPT: Final = {"fs": 0.07, "pe": 0.7, "ps": 0.7}
"""Share of the simulator's frames that are on the bus: about 420, 290 and 280 frames/s."""
START_S: Final = 120.0
STOP_S: Final = 60.0


def wait_until(holds: Callable[[], object], what: str, limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Car:
    """One car: its folders, the proxy before it, and its program's lives."""

    def __init__(self, name: str, out: Path, seed: int) -> None:
        self.name, self.seed = name, seed
        self.folder = out / "data" / "vehicles" / name
        self.state = out / "cars" / name
        self.truth = out / "truth" / name
        self.log = out / "logs" / f"car-{name}.log"
        self.clock_file = out / "cars" / f"{name}.clock"
        self.proxy = Proxy()
        self.life = 0
        self.process: subprocess.Popen[bytes] | None = None
        for path in (self.state, self.truth):
            path.mkdir(parents=True, exist_ok=True)
        self.clock_file.write_text("0")

    def start(self, shim: Path | None) -> None:
        self.life += 1
        given = [self.folder, self.state, self.truth, self.life, self.seed, KEPT[self.name]]
        clock = {} if shim is None else {"LD_PRELOAD": str(shim), "VED_CLOCK_OFFSET": str(self.clock_file)}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests/soak/car.py"), *map(str, given)],
                stdout=log, stderr=log, env=os.environ | clock,
            )  # fmt: skip

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def progress(self) -> dict[str, Any]:
        """What the present life said last, {} before it said anything."""
        path = self.truth / f"{self.life}.progress"
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        return json.loads(lines[-2]) if len(lines) > 1 else {}

    def true_frames(self) -> int:
        path = self.truth / f"{self.life}.truth"
        return path.stat().st_size // 24 if path.exists() else 0

    def is_drained(self) -> bool:
        said = self.progress()
        return bool(said) and said["stored_frames"] + said["lost_frames"] >= self.true_frames()


class World:
    """Use it as a context manager: at the end every process that it started is gone."""

    def __init__(self, out: Path, seed: int, viewers: int) -> None:
        self.out, self.data, self.seed, self.viewer_count = out, out / "data", seed, viewers
        self.logs = out / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.web_port, self.link_port = free_port(), free_port()
        self.metrics_token = secrets.token_urlsafe(16)
        self.cars = {name: Car(name, out, seed) for name in CARS}
        self.server: subprocess.Popen[bytes] | None = None
        self.viewers: subprocess.Popen[str] | None = None
        self.shim: Path | None = None
        self._stack = contextlib.ExitStack()
        self._starts = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def db_url(self) -> str:
        return f"sqlite:///{self.data / 'db.sqlite'}"

    def __enter__(self) -> "World":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (self.viewers, *(car.process for car in self.cars.values())):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        if self.server is not None and self.server.poll() is None:
            self.kill_server()
        self._stack.close()

    # What is there before anything runs.

    def prepare(self) -> None:
        """Vehicles with the mark's DBC, a clock that can jump where there is a C compiler, and enrolled cars."""
        for name in CARS:
            target = self.data / "vehicles" / name
            shutil.copytree(ROOT / "vehicles" / name, target)
            (target / "soak.dbc").write_text(MARK_DBC)
            file = target / "vehicle.toml"
            file.write_text(re.sub(r"dbc = \[(.*?)\]", r'dbc = [\1, "soak.dbc"]', file.read_text(), count=1))
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler and sys.platform == "linux":
            self.shim = self.out / "clock_shim.so"
            source = ROOT / "tests/faults/torture/clock_shim.c"
            subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(self.shim), str(source)], check=True)
        self.start_server()
        for car in self.cars.values():
            car.proxy.target = self.link_port
            self._stack.enter_context(car.proxy)
            code = self._ved("keys", "code", car.name, "--data", str(self.data)).split()
            secret = next(word for word in code if word.count("-") > 2)
            url = f"wss://127.0.0.1:{car.proxy.port}"
            self._ved("agent", "enrol", "--server", url, "--code", secret, "--state", str(car.state))

    def _ved(self, *words: str) -> str:
        command = [sys.executable, "-m", "ved.cli", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # The server.

    def start_server(self) -> None:
        self._starts += 1
        with (self.logs / "server.log").open("ab") as log, (self.logs / "server.out").open("ab") as said:
            begin = said.tell()
            ports = ["--web-port", str(self.web_port), "--link-port", str(self.link_port)]
            self.server = subprocess.Popen(
                [sys.executable, "-m", "ved.cli", "serve", "--data", str(self.data), *ports],
                stdout=said, stderr=log, start_new_session=True,
                env=os.environ | {"VED_METRICS_TOKEN": self.metrics_token, "VED_LINK_HOST": "127.0.0.1"},
            )  # fmt: skip

        def is_up() -> bool:
            assert self.server is not None
            if self.server.poll() is not None:
                raise RuntimeError(f"ved serve ended with {self.server.returncode}; see {self.logs}/server.log")
            return b"signin?token=" in (self.logs / "server.out").read_bytes()[begin:]

        wait_until(is_up, "ved serve is up", START_S)

    def kill_server(self) -> None:
        """The supervisor and all roles at once."""
        assert self.server is not None
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()

    def stop_server(self) -> int:
        assert self.server is not None
        os.killpg(self.server.pid, signal.SIGINT)
        return self.server.wait(STOP_S)

    def role_pids(self) -> dict[str, int]:
        """Process ids of the roles that run now."""
        out = {}
        if self.server is None or self.server.poll() is not None:
            return out
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.server.pid).children():
                with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    words = child.cmdline()
                    if "ved.cli.role" in words:
                        out[words[words.index("ved.cli.role") + 1]] = child.pid
        return {role: out[role] for role in ROLES if role in out}

    # The viewers.

    def start_viewers(self) -> None:
        db = Database(self.db_url)
        roles = ("viewer", "engineer", "admin")
        tokens = [create_signin_token(db, roles[number % 3]) for number in range(self.viewer_count)]
        db.close()
        seen = self.out / "viewers.jsonl"
        order = {
            "url": self.url,
            "tokens": tokens,
            "channels": {car.name: _channels(car.folder) for car in self.cars.values()},
            "seed": self.seed,
            "out": str(seen),
        }
        with (self.logs / "viewers.log").open("ab") as log:
            self.viewers = subprocess.Popen(
                [sys.executable, str(ROOT / "tests/soak/viewers.py")],
                stdin=subprocess.PIPE, stdout=log, stderr=log, text=True,
            )  # fmt: skip
        assert self.viewers.stdin is not None
        self.viewers.stdin.write(json.dumps(order) + "\n")
        self.viewers.stdin.close()
        wait_until(lambda: self.check_alive() or (seen.exists() and seen.stat().st_size), "viewers signed in", START_S)

    def stop_viewers(self) -> int:
        assert self.viewers is not None
        self.viewers.send_signal(signal.SIGTERM)
        return self.viewers.wait(STOP_S)

    # The end.

    def check_alive(self) -> None:
        """Raises RuntimeError when a program ended that nobody killed."""
        programs = {"ved serve": self.server, "viewers": self.viewers}
        programs |= {f"agent {car.name}": car.process for car in self.cars.values()}
        for name, process in programs.items():
            if process is not None and process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}; see {self.logs}")

    def fall_silent(self) -> None:
        """No car hears a frame from now on."""
        for car in self.cars.values():
            (car.truth / "quiet").touch()


def _channels(folder: Path) -> list[str]:
    car = load_vehicle(folder)
    sources = [
        DbcSource(bus.index, bus.name, name, text)
        for bus in car.buses
        for name, text in zip(bus.dbc_names, bus.dbc_texts, strict=True)
    ]
    return [channel.name for channel in load_set(sources).channels if channel.name != MARK_CHANNEL]
