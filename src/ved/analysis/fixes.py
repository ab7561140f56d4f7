"""Valid positions out of the channels that place a vehicle, in any cuts."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ved.analysis.series import END_US, NEVER_US, Column, Inbox, hold, last_of
from ved.model.vehicle import MapChannels

VALID_HOLD_US: Final = 2_000_000
_NONE: Final = (NEVER_US, np.nan)


class GeoFixes(NamedTuple):
    """n valid positions in time order: `t_us` i64[n], degrees f64[n] each."""

    t_us: NDArray[np.int64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]


class FixReader:
    """Joins latitude, longitude and the flag that says whether they hold.

    A position is where a new latitude comes; longitude and flag are the last before or at that time, at most 2 s old.
    Until a flag has come for the first time, latitude and longitude that are not both zero are a position.
    """

    def __init__(self, names: MapChannels) -> None:
        self._names = names
        self.inputs = tuple(name for name in (names.latitude, names.longitude, names.valid) if name)
        self._inbox = Inbox()
        self._held = dict.fromkeys(self.inputs, _NONE)
        self._flag_us: int | None = None

    def state(self) -> dict[str, Any]:
        """What `restore` takes, in numbers that JSON can say."""
        held = {name: [t_us, None if np.isnan(value) else value] for name, (t_us, value) in self._held.items()}
        return {"held": held, "inbox": self._inbox.state(), "flag_us": self._flag_us}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another of the same channels stood."""
        for name in self.inputs:
            if name in state["held"]:
                t_us, value = state["held"][name]
                self._held[name] = t_us, np.nan if value is None else value
        self._inbox.restore(state["inbox"])
        self._flag_us = state["flag_us"]

    def step(self, columns: Mapping[str, Column], until_us: int = END_US) -> GeoFixes:
        """The positions before `until_us` that were not given yet; `columns`: the next samples of `inputs`."""
        ready = self._inbox.take(self.inputs, columns, until_us)
        t_us, latitude = ready[self._names.latitude]
        held = {name: hold(ready[name], self._held[name], t_us, VALID_HOLD_US) for name in self.inputs[1:]}
        self._held = {name: last_of(ready[name], self._held[name]) for name in self.inputs}
        longitude = held[self._names.longitude]
        is_good = np.isfinite(latitude) & np.isfinite(longitude) & (np.abs(latitude) <= 90)
        is_somewhere = (latitude != 0) | (longitude != 0)
        if self._names.valid:
            flags = ready[self._names.valid].t_us
            if self._flag_us is None and len(flags):
                self._flag_us = int(flags[0])
            is_before = t_us < (END_US if self._flag_us is None else self._flag_us)
            is_good &= np.where(is_before, is_somewhere, np.nan_to_num(held[self._names.valid]) != 0)
        else:
            is_good &= is_somewhere
        return GeoFixes(t_us[is_good], latitude[is_good], longitude[is_good])
