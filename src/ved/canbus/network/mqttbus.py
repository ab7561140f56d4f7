"""A bus whose frames come through an MQTT broker, in the payloads of docs/spec/mqtt.md."""

from typing import Final

import numpy as np

from ved.canbus.network.mqttclient import MqttInbox, MqttMessage, MqttSettings
from ved.canbus.network.mqttframes import NumberWatch, parse_mqtt_frames, take_from
from ved.canbus.network.remoteclock import RemoteClock
from ved.canbus.reader import BusDownError, Reading
from ved.canbus.source import SourceLoss
from ved.errors import CorruptDataError
from ved.model.frames import FrameColumns
from ved.model.records import LossPlace


class MqttReader:
    """One bus. The numbers of its frames outlive a connection: what a broker kept, or brings twice, is told apart."""

    trouble: Final = None

    def __init__(self, bus: int, interface: str, settings: MqttSettings) -> None:
        self.bus = bus
        self.interface = interface
        self._settings = settings
        self._inbox: MqttInbox | None = None
        self._watch = NumberWatch()
        self._clock, self._life = RemoteClock(), -1
        self._origin_ns = 0
        self._last_us = 0
        self.alive_us = 0

    @property
    def is_open(self) -> bool:
        """True once the broker has granted the subscription."""
        return self._inbox is not None and self._inbox.opened_ns > 0

    @property
    def opened_us(self) -> int:
        """When it did."""
        return (self._inbox.opened_ns - self._origin_ns) // 1000 if self._inbox is not None else 0

    def open(self, origin_mono_ns: int) -> None:
        """Let a thread connect."""
        self._origin_ns = origin_mono_ns
        self._inbox = MqttInbox(self._settings)
        self.alive_us = max(self.alive_us, (self._inbox.heard_ns - origin_mono_ns) // 1000)

    def fileno(self) -> int:
        """An eventfd that the thread sets."""
        return self._inbox.fd if self._inbox is not None else -1

    def read(self) -> Reading:
        """What the thread has received."""
        if self._inbox is None:
            raise BusDownError(f"{self.interface}: is not open")
        failure = self._inbox.failure  # before the rest is taken: nothing comes after it
        messages, dropped = self._inbox.take()
        if failure is not None and not messages:
            raise BusDownError(f"{self.interface}: {failure}")
        parts: list[FrameColumns] = []
        losses: list[SourceLoss] = []
        refused = sum(self._take(message, parts, losses) for message in messages)
        heard_us = max(self.alive_us, (self._inbox.heard_ns - self._origin_ns) // 1000, self._last_us)
        if dropped:
            losses.append(SourceLoss(LossPlace.SOURCE_QUEUE, self.bus, -1, self.alive_us, heard_us))
        self.alive_us = heard_us
        return Reading(FrameColumns.concatenate(parts), tuple(losses), refused)

    def close(self) -> tuple[SourceLoss, ...]:
        """Disconnect."""
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None
        return ()

    def _take(self, message: MqttMessage, parts: list[FrameColumns], losses: list[SourceLoss]) -> int:
        """Returns how much of it was refused: payloads that are none, frames that came before."""
        if message.is_old:
            return 1
        try:
            found = parse_mqtt_frames(message.payload)
        except CorruptDataError:
            return 1
        told = self._watch.skip(found)
        if told is None:
            return len(found.frames)
        lost, known = told
        frames = take_from(found.frames, known)
        if not len(frames):
            return known
        arrived_us = max((message.mono_ns - self._origin_ns) // 1000, self._last_us)
        if found.life != self._life:
            self._clock, self._life = RemoteClock(), found.life
        t_us = np.maximum(self._clock.to_local(frames.stamps_us, arrived_us), self._last_us)
        if lost:
            losses.append(SourceLoss(LossPlace.WAY, self.bus, lost, self._last_us, int(t_us[0])))
        self._last_us = int(t_us[-1])
        parts.append(frames.columns(self.bus, t_us))
        return known
