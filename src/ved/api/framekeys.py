"""Which frames carry a channel."""

from ved.dbc.decode import Decoder
from ved.lake.reading import FrameKey


def frame_key(decoder: Decoder, number: int) -> FrameKey | None:
    """The frames that carry a channel; None where the id does not tell: a J1939 group comes under many ids."""
    if decoder.dbc_set.message_of(number).is_j1939:
        return None
    channel = decoder.channels[number]
    return FrameKey(channel.arbitration_id, channel.bus, channel.is_extended)
