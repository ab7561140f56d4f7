"""Rollups in the background: of epochs that grow no more, made anew when a DBC, a clock or the frames changed."""

import logging
from collections.abc import Callable

from ved.api.decoding import decoding_of
from ved.api.registry import load_registry
from ved.api.rolling import key_of, make_rollup
from ved.db.database import Database
from ved.db.epochs import list_epochs, vehicle_clocks
from ved.lake.lake import Lake, ReorganisedError
from ved.lake.log import EpochKey
from ved.lake.rollups import Rollups
from ved.model.clockmap import ClockMap

_log = logging.getLogger(__name__)


def make_rollups(
    lake: Lake, db: Database, is_quiet: Callable[[EpochKey], bool], stop: Callable[[], bool] = lambda: False
) -> int:
    """Make what is missing, delete what no longer fits; how many were made. A kill leaves whole files or none.

    None of an epoch with a broken file: the rollup would stay when that is put back. StorageError.
    """
    lake.refresh()
    rollups = Rollups(lake.url)
    current: dict[EpochKey, str] = {}
    made = 0
    for vehicle in sorted({vehicle for vehicle, _ in lake.epochs()}):
        registry, clocks = load_registry(db, vehicle), vehicle_clocks(db, vehicle)
        for row in list_epochs(db, vehicle):
            key = (vehicle, row.epoch)
            clock = ClockMap.best(clocks.get(row.epoch, []))
            if clock.source is None or lake.time_range(*key) is None:
                continue
            decoding = decoding_of(registry, row.buses)
            name = current[key] = key_of(lake, *key, decoding, clock)
            if rollups.has(*key, name) or not is_quiet(key) or not lake.frame_rows.is_whole(*key):
                continue
            try:
                found = make_rollup(lake, key, decoding, clock, stop)
            except ReorganisedError:
                continue  # merged meanwhile: the next turn makes it
            if found is None:
                return made
            if not lake.frame_rows.is_whole(*key):
                continue
            rollups.write(*key, name, found)
            made += 1
    rollups.keep_only(current)
    return made
