"""Whether a vehicle moves: by the channels of its speed."""

import functools
from typing import Final

import numpy as np

from ved.analysis.positions import find_speed_channels, speed_factor
from ved.api.decoding import MAX_DECODERS
from ved.dbc.decode import Decoder
from ved.watch.parts import Taken

MOVING_MPS: Final = 1.0


def is_moving(taken: Taken) -> bool | None:
    """True when a speed in a batch goes above a walk; None when the batch does not say."""
    if taken.decoder is None:
        return None
    moves = None
    for number, factor in _speeds_of(taken.decoder):
        values = taken.decoded.column(number)[1]
        if len(values):
            moves = bool(moves) or bool(np.nanmax(np.abs(values), initial=0.0) * factor > MOVING_MPS)
    return moves


@functools.lru_cache(maxsize=MAX_DECODERS)
def _speeds_of(decoder: Decoder) -> list[tuple[int, float]]:
    """Numbers of the channels of speed, and the factors to m/s."""
    numbers = decoder.dbc_set.numbers
    return [(numbers[one.name], speed_factor(one.unit)) for one in find_speed_channels(decoder.channels)]
