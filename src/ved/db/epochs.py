"""What record notes of each epoch: its start, its buses and DBCs, its clocks, its losses. All calls are idempotent."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, select, update

from ved.db.database import Database
from ved.db.dbcs import get_dbc, put_dbc
from ved.db.insert import insert_if_new
from ved.db.tables import clocks, epochs, losses
from ved.model.clockmap import SET_US, ClockPair
from ved.model.records import MAX_NUMBER, BusDescription, Clock, ClockSource, Description, Loss, LossPlace

_WITHIN = tuple(one.between(-MAX_NUMBER, MAX_NUMBER) for one in (clocks.c.t_us, clocks.c.utc_us))
"""Of the clock pairs those that a record may tell; versions before that limit kept any."""


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One life of an agent; `buses` is empty until its Description has come."""

    vehicle: str
    epoch: bytes
    first_arrival_utc_us: int
    buses: tuple[BusDescription, ...]


def note_epoch(db: Database, vehicle: str, epoch: bytes, first_arrival_utc_us: int) -> None:
    """Keep the first arrival of an epoch."""
    with db.engine.begin() as connection:
        _ensure_epoch(connection, vehicle, epoch, first_arrival_utc_us)


def note_description(db: Database, description: Description, arrival_utc_us: int) -> None:
    """Keep the buses of an epoch and their DBC texts (by content); the first description of an epoch counts."""
    buses = [
        {
            "index": bus.index,
            "name": bus.name,
            "digests": [put_dbc(db, f"{description.vehicle}.{bus.name}.dbc", text) for text in bus.dbc_texts],
        }
        for bus in description.buses
    ]
    with db.engine.begin() as connection:
        _ensure_epoch(connection, description.vehicle, description.epoch, arrival_utc_us)
        here = (epochs.c.vehicle == description.vehicle) & (epochs.c.epoch == description.epoch)
        known = connection.execute(select(epochs.c.buses).where(here)).scalar_one()
        if not known:
            connection.execute(update(epochs).where(here).values(buses=buses))


def note_clock(db: Database, clock: Clock) -> None:
    """Keep a clock pair. Of the server's own pairs one is kept: see `is_better`."""
    values = {
        "vehicle": clock.vehicle,
        "epoch": clock.epoch,
        "source": int(clock.source),
        "number": clock.number,
        "t_us": clock.t_us,
        "utc_us": clock.utc_us,
        "error_us": clock.error_us,
    }
    with db.engine.begin() as connection:
        is_new = insert_if_new(connection, clocks, values)
        if not is_new and clock.source == ClockSource.SERVER:
            offset_us = clocks.c.utc_us - clocks.c.t_us
            new_us = clock.utc_us - clock.t_us
            connection.execute(
                update(clocks)
                .where(
                    clocks.c.vehicle == clock.vehicle,
                    clocks.c.epoch == clock.epoch,
                    clocks.c.source == int(clock.source),
                    clocks.c.number == clock.number,
                    or_(offset_us > new_us, offset_us < new_us - SET_US),
                )
                .values(t_us=clock.t_us, utc_us=clock.utc_us, error_us=clock.error_us)
            )


def note_loss(db: Database, loss: Loss) -> None:
    """Keep a declared loss."""
    with db.engine.begin() as connection:
        insert_if_new(
            connection,
            losses,
            {
                "vehicle": loss.vehicle,
                "epoch": loss.epoch,
                "number": loss.number,
                "place": int(loss.place),
                "bus": loss.bus,
                "frames": loss.count,
                "t_from_us": loss.t_from_us,
                "t_to_us": loss.t_to_us,
                "first_seq": loss.first_seq,
                "last_seq": loss.last_seq,
            },
        )


def list_epochs(db: Database, vehicle: str) -> list[EpochRow]:
    """The epochs of a vehicle in order of first arrival, with their buses and DBC texts."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(epochs).where(epochs.c.vehicle == vehicle).order_by(epochs.c.first_arrival_utc_us)
        ).all()
    texts: dict[str, str] = {}
    return [EpochRow(row.vehicle, row.epoch, row.first_arrival_utc_us, _buses(db, row.buses, texts)) for row in rows]


def epoch_buses(db: Database, vehicle: str, epoch: bytes) -> tuple[BusDescription, ...]:
    """The buses of one epoch with their DBC texts; none until its Description has come."""
    with db.engine.connect() as connection:
        stored = connection.execute(
            select(epochs.c.buses).where(epochs.c.vehicle == vehicle, epochs.c.epoch == epoch)
        ).scalar_one_or_none()
    return _buses(db, stored or [], {})


def clock_pairs(db: Database, vehicle: str, epoch: bytes) -> list[ClockPair]:
    """All clock pairs of an epoch, by time."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(clocks).where(clocks.c.vehicle == vehicle, clocks.c.epoch == epoch, *_WITHIN).order_by(clocks.c.t_us)
        ).all()
    return [ClockPair(row.t_us, row.utc_us, ClockSource(row.source), row.error_us) for row in rows]


def vehicle_clocks(db: Database, vehicle: str) -> dict[bytes, list[ClockPair]]:
    """All clock pairs of a vehicle, by epoch."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(clocks).where(clocks.c.vehicle == vehicle, *_WITHIN).order_by(clocks.c.t_us)
        ).all()
    out: dict[bytes, list[ClockPair]] = {}
    for row in rows:
        pair = ClockPair(row.t_us, row.utc_us, ClockSource(row.source), row.error_us)
        out.setdefault(row.epoch, []).append(pair)
    return out


def list_losses(db: Database, vehicle: str, epoch: bytes) -> list[Loss]:
    """All declared losses of an epoch, by time."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(losses).where(losses.c.vehicle == vehicle, losses.c.epoch == epoch).order_by(losses.c.t_from_us)
        ).all()
    return [
        Loss(
            row.vehicle,
            row.epoch,
            row.number,
            LossPlace(row.place),
            row.bus,
            row.frames,
            row.t_from_us,
            row.t_to_us,
            row.first_seq,
            row.last_seq,
        )
        for row in rows
    ]


def _ensure_epoch(connection: Connection, vehicle: str, epoch: bytes, first_arrival_utc_us: int) -> None:
    insert_if_new(
        connection,
        epochs,
        {"vehicle": vehicle, "epoch": epoch, "first_arrival_utc_us": first_arrival_utc_us, "buses": []},
    )


def _buses(db: Database, stored: list[dict[str, Any]], texts: dict[str, str]) -> tuple[BusDescription, ...]:
    for bus in stored:
        for digest in bus["digests"]:
            if digest not in texts:
                texts[digest] = get_dbc(db, digest).text
    return tuple(
        BusDescription(bus["index"], bus["name"], tuple(texts[digest] for digest in bus["digests"])) for bus in stored
    )
