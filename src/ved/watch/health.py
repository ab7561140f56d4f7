"""Health as channels: the figures of each vehicle's link and buses and of the server's roles, in the stream `events`.

They are samples of an epoch of watch's own (docs/spec/health.md). The figures of the roles are copied to every
vehicle that was heard lately: so they stand beside its signals, in charts and in rules.
"""

import secrets
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from sqlalchemy import Connection

from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.health import (
    RoleRow,
    VehicleRow,
    bus_bitrates,
    read_health,
    read_vehicle_health,
    write_vehicle_health,
)
from ved.model.clockmap import ClockMap
from ved.model.frames import EPOCH_BYTES
from ved.model.health import BY_NAME, channel_of
from ved.model.records import Arrival, Clock, ClockSource, Lane
from ved.model.samples import SampleBatch, SampleColumns
from ved.watch.ledger import LedgerKeeper
from ved.watch.parts import Append, Now, Taken
from ved.watch.vehiclehealth import Figures, VehicleHealth

EVERY_US: Final = 1_000_000
FORGET_US: Final = 3_600_000_000
"""A vehicle that was silent for so long has no figures any more."""
BACKLOG_US: Final = 600_000_000
"""What an epoch lacks is a backlog while something of it comes; later it is known as missing."""
STEP_US: Final = 500_000
_HOST: Final = ClockSource.HOST


class Listener(Protocol):
    """A part of watch that looks at health figures as it does at other records."""

    def take(self, taken: Taken) -> None:
        """Fold one record in."""


class HealthWatcher:
    """A part of watch; see `WatchPart`. `listeners` are given each vehicle's figures when they are made."""

    def __init__(self, db: Database, now: Now, ledger: LedgerKeeper, listeners: Sequence[Listener] = ()) -> None:
        self._now = now
        self._ledger = ledger
        self._listeners = listeners
        self._vehicles: dict[str, VehicleHealth] = {}
        self._unread: set[str] = set()
        self._roles: list[RoleRow] = []
        self._measured_us = now.mono_us
        self._unpublished: list[SampleBatch] = []
        self._unsaved: dict[str, VehicleRow] = {}
        self._begin(now)
        with db.engine.connect() as connection:
            for row in read_vehicle_health(connection):  # a car that was silent before watch began goes on ageing
                self._vehicles[row.vehicle] = VehicleHealth()
                self._vehicles[row.vehicle].hear(Arrival(0, row.heard_utc_us, Lane.LIVE))
                self._unread.add(row.vehicle)

    def take(self, taken: Taken) -> None:
        """Note what came."""
        vehicle = taken.record.vehicle
        if vehicle not in self._vehicles:
            self._vehicles[vehicle] = VehicleHealth()
            self._unread.add(vehicle)
        self._vehicles[vehicle].take(taken, self._now)

    def tick(self, now: Now) -> None:
        """Make the figures, once per second."""
        self._now = now
        if now.mono_us - self._measured_us < EVERY_US:
            return
        self._measured_us = now.mono_us
        if abs(now.utc_us - now.mono_us - self._offset_us) > STEP_US:
            self._begin(now)  # the server's clock was set: its times go on in a new epoch
        roles = self._role_figures(now)
        for name, vehicle in list(self._vehicles.items()):
            heard_us = vehicle.heard_us(now)
            if heard_us is None or now.mono_us - heard_us > FORGET_US:
                continue
            for epoch, us in list(vehicle.epochs.items()):
                if now.mono_us - us > BACKLOG_US:
                    del vehicle.epochs[epoch]
            backlog = sum(self._ledger.missing(name, epoch) for epoch in vehicle.epochs)
            figures = vehicle.figures(now, backlog)
            heard_utc_us = now.utc_us - (now.mono_us - heard_us)
            named = {channel.name: value for channel, value in figures.items()}
            self._unsaved[name] = VehicleRow(name, now.utc_us, heard_utc_us, named)
            self._tell(name, {**figures, **roles}, now)

    def publish(self, append: Append, now: Now) -> None:
        """Append the figures, and before the first ones of a vehicle the clock that places them."""
        batches, self._unpublished = self._unpublished, []
        arrival = Arrival(now.mono_us, now.utc_us, Lane.LIVE)
        for batch in batches:
            if batch.first_seq == 1:
                clock = Clock(batch.vehicle, batch.epoch, 0, self._t0_us, self._t0_us + self._offset_us, _HOST, 0)
                append(arrival, encode_record(clock))
            append(arrival, encode_record(batch))

    def save(self, connection: Connection) -> None:
        """Write the newest figures; read how the roles are, and what is known of new vehicles' buses."""
        rows, self._unsaved = self._unsaved, {}
        for row in rows.values():
            write_vehicle_health(connection, row)
        self._roles = read_health(connection)
        while self._unread:
            name = self._unread.pop()
            for index, (bus, bitrate_hz) in bus_bitrates(connection, name).items():
                self._vehicles[name].bus_names[index] = bus
                self._vehicles[name].bitrates_hz[index] = bitrate_hz

    def _begin(self, now: Now) -> None:
        self._epoch = secrets.token_bytes(EPOCH_BYTES)
        self._t0_us = now.mono_us
        self._offset_us = now.utc_us - now.mono_us
        self._next_seq: dict[str, int] = {}

    def _tell(self, vehicle: str, figures: Figures, now: Now) -> None:
        count = len(figures)
        first_seq = self._next_seq.get(vehicle, 1)
        self._next_seq[vehicle] = first_seq + count
        samples = SampleColumns(
            np.full(count, now.mono_us, np.int64),
            np.arange(count, dtype=np.uint16),
            np.fromiter(figures.values(), np.float64, count),
        )
        batch = SampleBatch(vehicle, self._epoch, first_seq, tuple(figures), samples)
        self._unpublished.append(batch)
        clock = ClockMap(self._offset_us, _HOST)
        taken = Taken(-1, Arrival(now.mono_us, now.utc_us, Lane.LIVE), batch, clock)
        for listener in self._listeners:
            listener.take(taken)

    def _role_figures(self, now: Now) -> Figures:
        out: Figures = {}
        for row in self._roles:
            age_s = max(0, now.utc_us - row.utc_us) / 1e6
            out[channel_of("role", "age", row.role)] = age_s
            for name, value in row.figures.items():
                if ("role", name) in BY_NAME and age_s < 2 * EVERY_US / 1e6 + 1:
                    out[channel_of("role", name, row.role)] = value
        return out
