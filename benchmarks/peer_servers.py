"""Time series databases beside which the lake is measured: on loopback, on a free port, ended with their process."""

import contextlib
import http.client
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

INFLUX_CONFIG = """reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
  cache-max-memory-size = "4g"
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  max-body-size = 0
[monitor]
  store-enabled = false
"""


@dataclass
class Peer:
    """A running server: its name and version, where it listens, its process, where it stores."""

    name: str
    port: int
    process: psutil.Process
    folder: Path

    def request(self, method: str, path: str, query: dict[str, str] | None = None, body: bytes | None = None) -> bytes:
        """One request; RuntimeError for a refusal."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        with contextlib.closing(connection):
            connection.request(method, f"{path}?{urllib.parse.urlencode(query or {})}", body)
            response = connection.getresponse()
            content = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{self.name}: {response.status} {content[:300]!r}")
        return content

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        times = self.process.cpu_times()
        return times.user + times.system

    def rss_bytes(self) -> int:
        """Resident memory."""
        return self.process.memory_info().rss

    def stored_bytes(self) -> int:
        """Files in its folder."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextlib.contextmanager
def _running(name: str, command: list[str], port: int, folder: Path, ready: str) -> Iterator[Peer]:
    with (folder.parent / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        peer = Peer(name, port, psutil.Process(process.pid), folder)
        for _ in range(300):
            with contextlib.suppress(OSError, RuntimeError):
                peer.request("GET", ready)
                break
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}; see {folder.parent}/{name}.log")
            time.sleep(0.1)
        yield peer
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def influxdb(folder: Path) -> Iterator[Peer]:
    """Debian's InfluxDB 1.x with a database `ved`."""
    folder.mkdir(parents=True)
    port = free_port()
    config = folder.parent / "influxdb.conf"
    config.write_text(INFLUX_CONFIG.format(folder=folder, port=port, rpc=free_port()))
    with _running("InfluxDB", ["influxd", "-config", str(config)], port, folder, "/ping") as peer:
        peer.request("POST", "/query", {"q": "CREATE DATABASE ved"})
        yield peer


@contextlib.contextmanager
def victoria_metrics(folder: Path) -> Iterator[Peer]:
    """Debian's VictoriaMetrics, single node."""
    folder.mkdir(parents=True)
    port = free_port()
    flags = {
        "storageDataPath": str(folder),
        "httpListenAddr": f"127.0.0.1:{port}",
        "retentionPeriod": "100y",
        "search.latencyOffset": "0s",
        "search.disableCache": "true",
    }
    command = ["victoria-metrics", *(f"-{name}={value}" for name, value in flags.items())]
    with _running("VictoriaMetrics", command, port, folder, "/health") as peer:
        yield peer
