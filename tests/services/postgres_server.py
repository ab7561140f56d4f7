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


@contextlib.contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """The URL of an empty database of its own."""
    given = os.environ.get("VED_TEST_POSTGRES")
    if given:
        yield given
        return
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        no_postgres("neither $VED_TEST_POSTGRES nor Debian's postgresql is there")
    binaries, port = found[-1].parent, free_port()
    data = folder / "postgres"
    data.mkdir()
    user = []
    if os.geteuid() == 0:  # the server refuses to run as root
        who = pwd.getpwnam("postgres")
        os.chown(data, who.pw_uid, who.pw_gid)
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == 0 and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
        user = ["runuser", "-u", "postgres", "--"]

    def run(tool: str, *options: str) -> int:
        command = [*user, str(binaries / tool), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/", check=False)
        with (folder / "postgres.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        return done.returncode

    address = ("-h", "127.0.0.1", "-p", str(port))
    assert run("initdb", "-D", str(data), "-A", "trust", "-U", "ved", "-E", "UTF8", "--locale=C.UTF-8") == 0
    options = ("-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", f"unix_socket_directories={data}")
    command = [*user, str(binaries / "postgres"), "-D", str(data), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    try:
        while run("pg_isready", *address, "-t", "1"):
            assert process.poll() is None, (folder / "postgres.log").read_text()
        assert run("createdb", *address, "-U", "ved", "people") == 0
        yield f"postgresql+psycopg://ved@127.0.0.1:{port}/people"
    finally:
        # Its own process, not that of `runuser`: SIGQUIT is PostgreSQL's immediate shutdown.
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        process.wait(60)
        shutil.rmtree(data, ignore_errors=True)
