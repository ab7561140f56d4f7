"""What the error frames of a SocketCAN interface say of frames that never came (<linux/can/error.h>)."""

from typing import Final

import numpy as np

from ved.canbus.source import SourceLoss
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.records import LossPlace

_CONTROLLER: Final = 0x004
_BUS_OFF: Final = 0x040
_RESTARTED: Final = 0x100
_RX_OVERFLOW: Final = 0x01
"""In byte 1 of a controller error: its receive buffer ran over."""


class ControllerWatch:
    """Follows one controller. While it is off the bus, `is_bus_off` is True: it then receives nothing."""

    def __init__(self, bus: int) -> None:
        self._bus = bus
        self._off_us = 0
        self.is_bus_off = False

    def note(self, frames: FrameColumns, since_us: int) -> list[SourceLoss]:
        """The losses that these frames tell of; `since_us` is the time of the frame before them."""
        is_error = (frames.flags & np.uint8(FrameFlag.ERROR)) != 0
        if not self.is_bus_off and not is_error.any():
            return []
        told = np.flatnonzero(is_error)
        if self.is_bus_off and not is_error.all():
            told = np.union1d(told, np.argmin(is_error))
        losses: list[SourceLoss] = []
        for row in told:
            t_us = int(frames.t_us[row])
            before_us = int(frames.t_us[row - 1]) if row else since_us
            kind = int(frames.arbitration_id[row]) if is_error[row] else _RESTARTED
            if kind & _CONTROLLER and frames.payload[row, 1] & _RX_OVERFLOW:
                losses.append(SourceLoss(LossPlace.KERNEL, self._bus, -1, before_us, t_us))
            if kind & _BUS_OFF and not self.is_bus_off:
                self.is_bus_off, self._off_us = True, t_us
                losses.append(SourceLoss(LossPlace.BUS_DOWN, self._bus, -1, before_us, t_us))
            elif kind & _RESTARTED and self.is_bus_off:
                losses.append(self._back(t_us))
        return losses

    def end(self, now_us: int) -> list[SourceLoss]:
        """The socket is closed: what is still open ends."""
        return [self._back(now_us)] if self.is_bus_off else []

    def _back(self, t_us: int) -> SourceLoss:
        self.is_bus_off = False
        return SourceLoss(LossPlace.BUS_DOWN, self._bus, -1, self._off_us, t_us)
