"""python-can's `udp_multicast`: one message a datagram, a msgpack map of the fields of `can.Message`.

Read here, and not through python-can, whose bus fails on the first datagram that is none of its own.
"""

import math
from typing import Final

from ved.canbus.network.rawframes import (
    BIT_RATE_SWITCH,
    ERROR,
    ERROR_STATE,
    EXTENDED,
    NO_STAMP,
    REMOTE,
    FrameList,
    RawFrames,
)
from ved.errors import CorruptDataError

_MAX_SECONDS: Final = 1e11
_FLAGS: Final = (
    "is_extended_id",
    "is_remote_frame",
    "is_error_frame",
    "is_fd",
    "bitrate_switch",
    "error_state_indicator",
)


def parse_multicast(datagram: bytes) -> RawFrames:
    """The one frame of a datagram, with the sender's stamp; CorruptDataError when it is none."""
    import msgpack

    try:
        found = msgpack.unpackb(datagram, raw=False, max_str_len=64, max_bin_len=64, max_map_len=16, max_array_len=0)
    except (ValueError, msgpack.UnpackException) as error:  # ValueError covers all that a wrong text or size raises
        raise CorruptDataError(f"no msgpack: {error}") from None
    if not isinstance(found, dict):
        raise CorruptDataError("no map")
    number, length, data = found.get("arbitration_id"), found.get("dlc"), found.get("data")
    flags = [found.get(name, False) for name in _FLAGS]
    if not (isinstance(number, int) and isinstance(length, int) and isinstance(data, bytes)):
        raise CorruptDataError("no arbitration_id, dlc or data")
    if not all(isinstance(flag, bool) for flag in flags) or number < 0 or length < 0:
        raise CorruptDataError("a field of another type")
    extended, remote, error_frame, is_fd, switch, state = flags
    if number > (0x1FFF_FFFF if extended or error_frame else 0x7FF):
        raise CorruptDataError("an id that cannot exist")
    raw_id = number | (EXTENDED if extended else 0) | (ERROR if error_frame else 0)
    raw_id |= REMOTE if remote and not error_frame else 0
    fd_flags = (BIT_RATE_SWITCH if switch else 0) | (ERROR_STATE if state else 0) if is_fd else None
    frames = FrameList()
    if not frames.add(raw_id, length if remote else len(data), data, fd_flags, _stamp_us(found.get("timestamp"))):
        raise CorruptDataError("a frame that cannot exist")
    return frames.take()


def _stamp_us(seconds: object) -> int:
    """python-can's stamp, seconds; 0 and what cannot be a time are none."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds) or not 0 < seconds < _MAX_SECONDS:
        return NO_STAMP
    return round(seconds * 1e6)
