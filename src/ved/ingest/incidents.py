"""What a person must hear of goes into the stream as a record of its own; watch makes an alarm of it."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ved.codec.records import encode_record
from ved.model.records import Incident, IncidentKind, Lane

REPEAT_S: Final = 60.0
MAX_KNOWN: Final = 1024

_Key = tuple[str, bytes, IncidentKind]


class Incidents:
    """Writes each incident of an epoch at once, and again only a minute later when it still goes on.

    `put_own` appends a record of the server's own, and says whether it did (a full disk refuses).
    """

    def __init__(self, put_own: Callable[[bytes, Lane], bool]) -> None:
        self._put_own = put_own
        self._told_s: OrderedDict[_Key, float] = OrderedDict()

    def tell(self, vehicle: str, epoch: bytes, incident: IncidentKind, text: str) -> None:
        """It happened (or still does) at this moment."""
        key, now_s = (vehicle, epoch, incident), time.monotonic()
        told_s = self._told_s.get(key)
        if told_s is not None and now_s - told_s < REPEAT_S:
            return
        record = Incident(vehicle, epoch, incident, time.time_ns() // 1000, text)
        if not self._put_own(encode_record(record), Lane.LIVE):
            return
        self._told_s[key] = now_s
        self._told_s.move_to_end(key)
        if len(self._told_s) > MAX_KNOWN:
            self._told_s.popitem(last=False)
