"""PostgreSQL for tests: `$VED_TEST_POSTGRES` (a URL), else Debian's server on loopback with a folder of its own."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services.kafka_server import free_port


def no_postgres(reason: str) -> None:
    """A skip; where services are required, a failure."""
    (pytest.fail if os.environ.get("VED_REQUIRE_SERVICES") else pytest.skip)(reason)


class Postgres:
    """Debian's server on loopback, in a folder; `stop` and `start` as its machine's administrator does."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder, self._binaries, self._port = folder, binaries, free_port()
        self._data = folder / "postgres"
        self._data.mkdir()
        self._user: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            who = pwd.getpwnam("postgres")
            os.chown(self._data, who.pw_uid, who.pw_gid)
            for parent in (folder, *folder.parents):
                if parent.stat().st_uid == 0 and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
                    parent.chmod(parent.stat().st_mode | 0o011)
            self._user = ["runuser", "-u", "postgres", "--"]
        trust = ("-A", "trust", "-U", "ved", "-E", "UTF8", "--locale=C.UTF-8")
        assert self._run("initdb", "-D", str(self._data), *trust) == 0
        self.start()
        assert self._run("createdb", *self._address, "-U", "ved", "people") == 0
        self.url = f"postgresql+psycopg://ved@127.0.0.1:{self._port}/people"

    @property
    def _address(self) -> tuple[str, ...]:
        return "-h", "127.0.0.1", "-p", str(self._port)

    def start(self) -> None:
        """Returns when it lets in."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self._port} -c unix_socket_directories={self._data}".split()
        command = [*self._user, str(self._binaries / "postgres"), "-D", str(self._data), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        while self._run("pg_isready", *self._address, "-t", "1"):
            assert self._process.poll() is None, (self._folder / "postgres.log").read_text()

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT is its fast shutdown, SIGQUIT the immediate one."""
        # Its own process, not that of `runuser`.
        os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), how)
        self._process.wait(60)

    def close(self) -> None:
        """End it, whether it runs or not, and remove its folder."""
        if self._process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self._data, ignore_errors=True)

    def _run(self, tool: str, *options: str) -> int:
        command = [*self._user, str(self._binaries / tool), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/", check=False)
        with (self._folder / "postgres.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        return done.returncode


def own_postgres(folder: Path) -> Postgres:
    """A server of one's own, which may be stopped; it is to be closed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        no_postgres("Debian's postgresql is not there")
    return Postgres(folder, found[-1].parent)


@contextlib.contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """The URL of an empty database of its own."""
    given = os.environ.get("VED_TEST_POSTGRES")
    if given:
        yield given
        return
    with contextlib.closing(own_postgres(folder)) as server:
        yield server.url
