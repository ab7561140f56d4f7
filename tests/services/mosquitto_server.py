"""A real mosquitto for tests, on loopback with a folder of its own; it takes the same port at each start."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from tests.services.kafka_server import free_port


def mosquitto_program() -> str:
    """The broker's path; a skip, or a failure where services are required."""
    found = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    if found is None:
        (pytest.fail if os.environ.get("VED_REQUIRE_SERVICES") else pytest.skip)("mosquitto is not installed")
    return found


class Mosquitto:
    """One broker."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.program = mosquitto_program()
        self.folder = folder
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "mosquitto.conf"
        user = "root" if os.geteuid() == 0 else ""
        given = [f"listener {self.port} 127.0.0.1", "persistence false", *([f"user {user}"] if user else []), *lines]
        self.config.write_text("\n".join(given) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it said."""
        return (self.folder / "mosquitto.log").read_text()

    def run(self) -> None:
        """Start, and wait until it listens."""
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([self.program, "-c", str(self.config), "-v"], stdout=log, stderr=log)
        until_s = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, self.log
                assert time.monotonic() < until_s
                time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None
