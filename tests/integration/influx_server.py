"""A real influxd (Debian's) on loopback, in a folder of its own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  log-enabled = false
  auth-enabled = {auth}
[monitor]
  store-enabled = false
"""


def no_service(reason: str) -> None:
    """A skip; where services are required, a failure."""
    (pytest.fail if os.environ.get("VED_REQUIRE_SERVICES") else pytest.skip)(reason)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Influx:
    """Its address, and hands to write and ask."""

    def __init__(self, url: str, login: tuple[str, str] | None = None) -> None:
        self.url = url
        self._login = {} if login is None else {"u": login[0], "p": login[1]}

    def query(self, text: str, database: str = "") -> bytes:
        address = f"{self.url}/query?{urlencode({'db': database, 'epoch': 'ns', **self._login})}"
        with urllib.request.urlopen(address, urlencode({"q": text}).encode(), timeout=30) as answer:
            return answer.read()

    def series(self, text: str, database: str = "ved") -> list[dict[str, Any]]:
        """The series of one SELECT or SHOW; times in ns."""
        (result,) = json.loads(self.query(text, database))["results"]
        assert "error" not in result, result
        return result.get("series", [])

    def write(self, database: str, lines: list[str], precision: str = "u") -> None:
        address = f"{self.url}/write?{urlencode({'db': database, 'precision': precision})}"
        with urllib.request.urlopen(address, "\n".join(lines).encode(), timeout=30) as answer:
            assert answer.status == 204


@contextlib.contextmanager
def influxd(folder: Path, port: int = 0, login: tuple[str, str] | None = None) -> Iterator[Influx]:
    """The server for the length of the block; the test is skipped where Debian's package is not installed.

    `port` 0: a free one. `login`: accounts are on, and this is the administrator's.
    """
    if shutil.which("influxd") is None:
        no_service("influxd is not installed (Debian package influxdb)")
    port = port or free_port()
    folder.mkdir(exist_ok=True)
    config = folder / "influxdb.conf"
    auth = "false" if login is None else "true"
    config.write_text(CONFIG.format(folder=folder, http=port, rpc=free_port(), auth=auth))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["influxd", "-config", str(config)], stdout=log, stderr=log)
    try:
        influx = Influx(f"http://127.0.0.1:{port}", login)
        first = (
            "SHOW DATABASES"
            if login is None
            else f"CREATE USER {login[0]} WITH PASSWORD '{login[1]}' WITH ALL PRIVILEGES"
        )
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                influx.query(first)
                break
            except OSError:
                time.sleep(0.05)
        yield influx
    finally:
        process.terminate()
        process.wait(timeout=20)
