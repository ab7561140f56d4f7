"""Simulated drives of the shipped vehicles for tests, read by cantools: a reader that is not ours."""

import warnings
from functools import cache, cached_property
from operator import attrgetter
from pathlib import Path

import cantools
import numpy as np

from ved.canbus.faults import Fault
from ved.canbus.simulator import simulate_columns
from ved.config.vehicle import load_vehicle
from ved.model.frames import FrameColumns, FrameFlag

VEHICLES = Path(__file__).parents[2] / "vehicles"
NAMES = ("fs", "pe", "ps")


@cache
def vehicle(name):
    return load_vehicle(VEHICLES / name)


@cache
def messages(name):
    """Bus and cantools' message by the message's name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {
            message.name: (bus, message)
            for bus in vehicle(name).buses
            for text in bus.dbc_texts
            for message in cantools.database.load_string(text, "dbc", strict=True).messages
        }


class Log:
    """The frames of a simulated drive."""

    def __init__(self, name, seconds, seed, *faults):
        self.vehicle, self.messages, self.seconds, self.seed = vehicle(name), messages(name), seconds, seed
        self._faults = [Fault.parse(fault) for fault in faults]

    @cached_property
    def frames(self):
        return FrameColumns.concatenate(list(simulate_columns(self.vehicle, self.seconds, self.seed, self._faults)))

    def of(self, name):
        """The frames of one message."""
        bus, message = self.messages[name]
        frames, extended = self.frames, int(FrameFlag.EXTENDED) if message.is_extended_frame else 0
        own = (frames.bus == bus.index) & (frames.arbitration_id == message.frame_id) & (frames.flags == extended)
        return frames.take(own)

    def values(self, name, signal):
        """Times in s and values of one signal; frames whose page lacks it are left out."""
        message, own = self.messages[name][1], self.of(name)
        assert set(own.length.tolist()) == {message.length}
        decoded = [message.decode(row[: message.length].tobytes(), decode_choices=False) for row in own.payload]
        kept = [
            (t_us / 1e6, float(row[signal]))
            for t_us, row in zip(own.t_us.tolist(), decoded, strict=True)
            if signal in row
        ]
        times, column = np.array(kept).T
        return times, column

    def some(self, name, count=60):
        """Payloads of one message, spread over the drive."""
        own, length = self.of(name), self.messages[name][1].length
        return [row[:length].tobytes() for row in own.payload[:: max(1, len(own) // count)]]


class Day:
    """The state of a simulated car, all columns end to end: `day["battery.soc"]`."""

    def __init__(self, car, seconds, step_s=0.01, chunk_s=2.0):
        self.track, self._columns = car.track, {}
        self.states = [car.run(round(chunk_s / step_s)) for _ in range(round(seconds / chunk_s))]

    def __getitem__(self, path):
        if path not in self._columns:
            of_state = attrgetter(path)
            self._columns[path] = np.concatenate([of_state(state) for state in self.states])
        return self._columns[path]


log = cache(Log)
"""The same drive for all who ask for it."""
