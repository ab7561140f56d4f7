"""Sensor values through an MQTT broker."""

import time
from typing import Final

from ved.canbus.network.mqttclient import MqttInbox, MqttMessage, MqttSettings
from ved.canbus.reader import BusDownError, SampleReading
from ved.canbus.source import SourceLoss
from ved.errors import CorruptDataError
from ved.model.records import ALL_BUSES, LossPlace
from ved.sensors.jsonvalues import TopicPattern, add_json_value
from ved.sensors.values import Placer, ValueList


class MqttSensor:
    """All topics of one pattern at one broker. What the broker kept from before (retained) is refused."""

    trouble: Final = None
    bus: Final = ALL_BUSES

    def __init__(self, interface: str, settings: MqttSettings, pattern: TopicPattern) -> None:
        self.interface = interface
        self._settings = settings
        self._pattern = pattern
        self._placer = Placer()
        self._inbox: MqttInbox | None = None
        self._origin_ns = 0
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

    def read(self) -> SampleReading:
        """What the thread has received."""
        if self._inbox is None:
            raise BusDownError(f"{self.interface}: is not open")
        failure = self._inbox.failure  # before the rest is taken: nothing comes after it
        messages, dropped = self._inbox.take()
        if failure is not None and not messages:
            raise BusDownError(f"{self.interface}: {failure}")
        found, refused = ValueList(), 0
        now_ns, utc_us = time.monotonic_ns(), time.time_ns() // 1000
        for message in messages:
            found.age_us = (now_ns - message.mono_ns) // 1000
            refused += message.is_old or not self._add(message, found)
        rows, out_of_place = self._placer.place(found.values(), (now_ns - self._origin_ns) // 1000, utc_us)
        losses: tuple[SourceLoss, ...] = ()
        heard_us = max(self.alive_us, (self._inbox.heard_ns - self._origin_ns) // 1000)
        if dropped:
            losses = (SourceLoss(LossPlace.SOURCE_QUEUE, self.bus, dropped, self.alive_us, heard_us),)
        self.alive_us = heard_us
        return SampleReading(rows, losses, refused + out_of_place)

    def _add(self, message: MqttMessage, found: ValueList) -> bool:
        try:
            add_json_value(message.payload, self._pattern.channel(message.topic), found)
        except CorruptDataError:
            return False
        return True

    def close(self) -> tuple[SourceLoss, ...]:
        """Disconnect."""
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None
        return ()
