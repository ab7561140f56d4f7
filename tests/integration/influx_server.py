"""A real influxd (Debian's) on loopback, in a folder of its own."""

import contextlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
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
[monitor]
  store-enabled = false
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Influx:
    """Its address, and hands to write and ask."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, text: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}/query", urlencode({"q": text}).encode(), timeout=10) as answer:
            return answer.read()

    def write(self, database: str, lines: list[str], precision: str = "u") -> None:
        address = f"{self.url}/write?{urlencode({'db': database, 'precision': precision})}"
        with urllib.request.urlopen(address, "\n".join(lines).encode(), timeout=30) as answer:
            assert answer.status == 204


@contextlib.contextmanager
def influxd(folder: Path) -> Iterator[Influx]:
    """The server for the length of the block; the test is skipped where Debian's package is not installed."""
    if shutil.which("influxd") is None:
        pytest.skip("influxd is not installed (Debian package influxdb)")
    port = free_port()
    folder.mkdir(exist_ok=True)
    config = folder / "influxdb.conf"
    config.write_text(CONFIG.format(folder=folder, http=port, rpc=free_port()))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["influxd", "-config", str(config)], stdout=log, stderr=log)
    try:
        influx = Influx(f"http://127.0.0.1:{port}")
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                influx.query("SHOW DATABASES")
                break
            except OSError:
                time.sleep(0.05)
        yield influx
    finally:
        process.terminate()
        process.wait(timeout=20)
