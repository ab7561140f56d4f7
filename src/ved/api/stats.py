"""Exact counts of what is stored."""

from collections import defaultdict

import numpy as np

from ved.api.decoding import decoding_of
from ved.api.framekeys import frame_key
from ved.api.history import all_of
from ved.api.registry import load_registry
from ved.db.database import Database
from ved.db.epochs import clock_pairs, list_epochs
from ved.db.sessions import count_sessions
from ved.dbc.decode import Decoder
from ved.lake.lake import Lake
from ved.lake.reading import FrameKey, Where
from ved.model.clockmap import ClockMap


def lake_stats(lake: Lake, db: Database) -> dict[str, int]:
    """frames, samples, bytes (live Parquet files), vehicles, sessions, channels (that have at least a sample).

    A channel counts once per vehicle, whatever the epochs. Multiplexed and too short frames count for the signals
    that they really carry.
    """
    lake.refresh()
    stats = lake.stats()
    vehicles = {vehicle for vehicle, _ in (*lake.epochs(), *lake.samples.epochs())}
    return {
        "frames": stats.frames,
        "samples": stats.samples,
        "bytes": stats.bytes,
        "vehicles": stats.vehicles,
        "sessions": count_sessions(db),
        "channels": sum(len(channels_with_samples(lake, db, vehicle)) for vehicle in vehicles),
    }


def channels_with_samples(lake: Lake, db: Database, vehicle: str) -> set[str]:
    """Names of the channels of a vehicle that have at least one sample in the lake."""
    registry = load_registry(db, vehicle)
    buses = {row.epoch: row.buses for row in list_epochs(db, vehicle)}
    found: set[str] = set()
    for owner, epoch in lake.epochs():
        span = lake.time_range(vehicle, epoch) if owner == vehicle else None
        if span is not None:
            offset_us = ClockMap.best(clock_pairs(db, vehicle, epoch)).offset_us
            decoding = decoding_of(registry, buses.get(epoch, ()))
            for piece in decoding.between(span[0] + offset_us, span[1] + offset_us + 1):
                limits = (piece.utc_from_us - offset_us, piece.utc_to_us - offset_us)
                _find_in_piece(lake, (vehicle, epoch), limits, piece.decoder, found)
    found.update(one.name for one in lake.samples.channels(vehicle))
    return {name for name in found if not registry.aliases.is_former(name, found)}


def _find_in_piece(
    lake: Lake, epoch: tuple[str, bytes], t_us: tuple[int, int], decoder: Decoder, found: set[str]
) -> None:
    missing: defaultdict[FrameKey | None, list[int]] = defaultdict(list)
    for index, channel in enumerate(decoder.channels):
        if channel.name not in found:
            missing[frame_key(decoder, index)].append(index)
    for key, indexes in missing.items():
        left = np.zeros(len(decoder.channels), np.bool_)
        left[indexes] = True
        for rows in lake.parts(*epoch, Where(keys=all_of([key]), t_from_us=t_us[0], t_to_us=t_us[1])):
            counts = np.diff(decoder.decode(rows.frames, left).starts)
            found.update(decoder.channels[index].name for index in np.flatnonzero(counts).tolist())
            left[counts > 0] = False
            if not left.any():
                break
