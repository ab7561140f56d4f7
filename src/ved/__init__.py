"""Télémétrie VED: from CAN frames to a live page and a long-term store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ved.api.opened import OpenedLake

__all__ = ["open"]


def open(data: str | Path | None = None, config: str | Path | None = None) -> OpenedLake:  # noqa: A001
    """A data folder's sessions, for reading: `ved.open("ved-data").sessions(vehicle="fs")[-1]`.

    `data` None: as the settings say (file `config`, environment VED_…, else `ved-data`). A server may run meanwhile.
    Raises ved.errors.UserError when there is no data there.
    """
    from ved.api.opened import open_lake

    return open_lake(data, config)
