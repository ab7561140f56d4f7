"""Sensor values through an MQTT broker."""

import time
from typing import Final

from ved.canbus.network.mqttclient import MqttMessage, MqttSettings, MqttSubscriber
from ved.canbus.reader import SampleReading
from ved.canbus.source import SourceLoss
from ved.errors import CorruptDataError
from ved.model.records import ALL_BUSES, LossPlace
from ved.sensors.jsonvalues import TopicPattern, add_json_value
from ved.sensors.values import Placer, ValueList


class MqttSensor(MqttSubscriber):
    """All topics of one pattern at one broker. What the broker kept from before (retained) is refused."""

    bus: Final = ALL_BUSES

    def __init__(self, interface: str, settings: MqttSettings, pattern: TopicPattern) -> None:
        super().__init__(interface, settings)
        self._pattern = pattern
        self._placer = Placer()

    def read(self) -> SampleReading:
        """What the thread has received."""
        messages, dropped = self._messages()
        found, refused = ValueList(), 0
        now_ns, utc_us = time.monotonic_ns(), time.time_ns() // 1000
        for message in messages:
            found.age_us = (now_ns - message.mono_ns) // 1000
            refused += message.is_old or not self._add(message, found)
        rows, out_of_place = self._placer.place(found.values(), (now_ns - self._origin_ns) // 1000, utc_us)
        losses: tuple[SourceLoss, ...] = ()
        heard_us = self._heard_us()
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
