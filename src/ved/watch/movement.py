"""Whether a vehicle moves: by the channel of its speed."""

import functools
from typing import Final

import numpy as np

from ved.analysis.positions import find_speed_channel, speed_factor
from ved.dbc.decode import Decoder
from ved.watch.parts import Taken

MOVING_MPS: Final = 1.0


def is_moving(taken: Taken) -> bool | None:
    """True when the speed in a batch goes above a walk; None when the batch does not say."""
    if taken.decoder is None:
        return None
    found = _speed_of(taken.decoder)
    if found is None:
        return None
    values = taken.decoded.column(found[0])[1]
    return bool(np.nanmax(np.abs(values), initial=0.0) * found[1] > MOVING_MPS) if len(values) else None


@functools.lru_cache(maxsize=64)
def _speed_of(decoder: Decoder) -> tuple[int, float] | None:
    """Number of the channel of speed, and the factor to m/s."""
    channel = find_speed_channel(decoder.channels)
    if channel is None:
        return None
    return decoder.dbc_set.numbers[channel.name], speed_factor(channel.unit)
