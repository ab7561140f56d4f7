"""A bus whose frames come through an MQTT broker, in the payloads of docs/spec/mqtt.md."""

import numpy as np

from ved.canbus.network.mqttclient import MqttMessage, MqttSettings, MqttSubscriber
from ved.canbus.network.mqttframes import NumberWatch, parse_mqtt_frames, take_from
from ved.canbus.network.remoteclock import RemoteClock
from ved.canbus.reader import Reading
from ved.canbus.source import SourceLoss
from ved.errors import CorruptDataError
from ved.model.frames import FrameColumns
from ved.model.records import LossPlace


class MqttReader(MqttSubscriber):
    """One bus. The numbers of its frames outlive a connection: what a broker kept, or brings twice, is told apart."""

    def __init__(self, bus: int, interface: str, settings: MqttSettings) -> None:
        super().__init__(interface, settings)
        self.bus = bus
        self._watch = NumberWatch()
        self._clock, self._life = RemoteClock(), -1
        self._last_us = 0

    def read(self) -> Reading:
        """What the thread has received."""
        messages, dropped = self._messages()
        parts: list[FrameColumns] = []
        losses: list[SourceLoss] = []
        refused = sum(self._take(message, parts, losses) for message in messages)
        heard_us = max(self._heard_us(), self._last_us)
        if dropped:
            losses.append(SourceLoss(LossPlace.SOURCE_QUEUE, self.bus, -1, self.alive_us, heard_us))
        self.alive_us = heard_us
        return Reading(FrameColumns.concatenate(parts), tuple(losses), refused)

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
