"""What the tests of ways in over a network share."""

import time
from collections.abc import Callable
from typing import Any

from ved.canbus.merged import MergedSource
from ved.canbus.network.readers import network_reader
from ved.canbus.source import SourceLoss
from ved.model.frames import FrameColumns
from ved.model.samples import SampleRows
from ved.sensors.readers import sensor_reader
from ved.sensors.source import MergedSensors

DEADLINE_S = 30.0


class _Read:
    """A source under test as the agent reads it: everything that came, and every loss."""

    def __init__(self, source: MergedSource | MergedSensors) -> None:
        self.source = source
        self.parts: list[Any] = []
        self.losses: list[SourceLoss] = []
        self.origin_ns = time.monotonic_ns()
        self.source.open(self.origin_ns)

    def until(self, condition: Callable[[], object]) -> None:
        """Read until it holds."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline_s, (self.source.bus_states(), self.losses)
            self.parts.append(self.source.read(0.02))
            self.losses += self.source.losses()

    def close(self) -> None:
        self.source.close()
        self.losses += self.source.losses()

    def state(self, number: int = 0) -> Any:
        return self.source.bus_states()[number]

    @property
    def now_us(self) -> int:
        return (time.monotonic_ns() - self.origin_ns) // 1000


class Reading(_Read):
    """Buses."""

    def __init__(self, *addresses: str) -> None:
        super().__init__(MergedSource([network_reader(bus, address) for bus, address in enumerate(addresses)]))

    @property
    def frames(self) -> FrameColumns:
        return FrameColumns.concatenate(self.parts)

    @property
    def count(self) -> int:
        return sum(map(len, self.parts))


class SensorReading(_Read):
    """Sensors."""

    def __init__(self, *addresses: str) -> None:
        self.readers = [sensor_reader(address) for address in addresses]
        super().__init__(MergedSensors(self.readers))

    @property
    def rows(self) -> list[tuple[str, float]]:
        whole = SampleRows.concatenate(self.parts)
        names = [whole.channels[number].name for number in whole.samples.channel.tolist()]
        return list(zip(names, whole.samples.value.tolist(), strict=True))

    @property
    def times_us(self) -> list[int]:
        out: list[int] = SampleRows.concatenate(self.parts).t_us.tolist()
        return out
