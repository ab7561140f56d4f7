"""Sensor values in InfluxDB's line protocol over HTTP: this side listens."""

import time
from typing import Final

from ved.canbus.reader import BusDownError, SampleReading
from ved.canbus.source import SourceLoss
from ved.model.records import ALL_BUSES
from ved.model.samples import SampleRows
from ved.sensors.listener import LineInbox
from ved.sensors.values import Placer


class InfluxSensor:
    """One listener. Nothing is lost here: what does not fit is refused, and its sender keeps it."""

    trouble: Final = None
    bus: Final = ALL_BUSES

    def __init__(self, interface: str, host_port: tuple[str, int], token: str) -> None:
        self.interface = interface
        self._host_port = host_port
        self._token = token
        self._placer = Placer()
        self._inbox: LineInbox | None = None
        self._origin_ns = 0
        self.alive_us = 0
        self.opened_us = 0

    @property
    def is_open(self) -> bool:
        """True while it listens."""
        return self._inbox is not None

    @property
    def port(self) -> int:
        """Where it listens; 0 while it does not."""
        return 0 if self._inbox is None else self._inbox.port

    def open(self, origin_mono_ns: int) -> None:
        """Listen. BusDownError when the port is in use or the address is not here."""
        self._origin_ns = origin_mono_ns
        self.alive_us = max(self.alive_us, self._now_us())
        try:
            self._inbox = LineInbox(*self._host_port, self._token)
        except OSError as error:
            raise BusDownError(f"{self.interface}: {error.strerror or error}") from error
        self.opened_us = self.alive_us = self._now_us()

    def fileno(self) -> int:
        """An eventfd that the listener sets."""
        return self._inbox.fd if self._inbox is not None else -1

    def read(self) -> SampleReading:
        """What has come."""
        if self._inbox is None:
            raise BusDownError(f"{self.interface}: is not open")
        bodies, refused = self._inbox.take()
        parts: list[SampleRows] = []
        utc_us, mono_ns = time.time_ns() // 1000, time.monotonic_ns()
        for lines, came_ns in bodies:
            came_utc_us = utc_us - (mono_ns - came_ns) // 1000
            rows, out_of_place = self._placer.place(lines.values, (came_ns - self._origin_ns) // 1000, came_utc_us)
            parts.append(rows)
            refused += out_of_place
        self.alive_us = max(self.alive_us, self._now_us())
        return SampleReading(SampleRows.concatenate(parts), (), refused)

    def close(self) -> tuple[SourceLoss, ...]:
        """Stop to listen."""
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None
        return ()

    def _now_us(self) -> int:
        return (time.monotonic_ns() - self._origin_ns) // 1000
