"""A real VictoriaMetrics (Debian's) on loopback, in a folder of its own."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.integration.influx_server import free_port, no_service


class Victoria:
    """Its address, and what it has."""

    def __init__(self, url: str) -> None:
        self.url = url

    def export(self, match: str) -> list[dict[str, Any]]:
        """All series that match: labels, values, times in ms."""
        self._get("/internal/force_flush")
        text = self._get(f"/api/v1/export?{urlencode({'match[]': match, 'start': '0'})}")
        return [json.loads(line) for line in text.splitlines()]

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read()


@contextlib.contextmanager
def victoria(folder: Path) -> Iterator[Victoria]:
    """The server for the length of the block; the test is skipped where Debian's package is not installed."""
    if shutil.which("victoria-metrics") is None:
        no_service("victoria-metrics is not installed (Debian package victoria-metrics)")
    port = free_port()
    folder.mkdir(exist_ok=True)
    command = [
        "victoria-metrics",
        f"-storageDataPath={folder}/data",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-dedup.minScrapeInterval=1ms",
        "-memory.allowedBytes=64MB",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        server = Victoria(f"http://127.0.0.1:{port}")
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                server._get("/health")
                break
            except OSError:
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)
