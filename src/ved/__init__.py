"""Télémétrie VED: from CAN frames to a live page and a long-term store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ved.api.opened import OpenedLake
    from ved.api.play import Played
    from ved.api.recorded import Lap, RecordedSession

__all__ = ["open", "play"]


def open(data: str | Path | None = None, config: str | Path | None = None) -> OpenedLake:  # noqa: A001
    """A data folder's sessions, for reading: `ved.open("ved-data").sessions(vehicle="fs")[-1]`.

    `data` None: as the settings say (file `config`, environment VED_…, else `ved-data`). A server may run meanwhile.
    Raises ved.errors.UserError when there is no data there.
    """
    from ved.api.opened import open_lake

    return open_lake(data, config)


def play(
    run: RecordedSession | Lap, channels: Sequence[str], *, speed: float = 1.0, rate_hz: float | None = None
) -> Iterator[Played]:
    """Hand out a session or lap once more at its own pace times `speed`, for hardware in the loop: see ved.api.play.

    `for instant in ved.play(session.laps[3], ["speed", "torque"]): rig.set(instant.values)`
    """
    from ved.api.play import play as play_run

    return play_run(run, channels, speed=speed, rate_hz=rate_hz)
