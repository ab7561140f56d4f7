"""Any interface of python-can, for hardware without SocketCAN. python-can is imported when a bus is opened.

Its drivers block and make an object for each frame, so each bus has a thread of its own, and the columns are built
when a chunk is taken. The thread uses the bus's `recv` and `shutdown`, and nothing that sends. An adapter takes part in
a bus nevertheless (it acknowledges frames) unless it is asked to listen only, so each kind that can be asked is.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.reader import BusDownError, Reading
from ved.canbus.source import SourceLoss
from ved.canbus.stamps import StampClock
from ved.errors import UserError
from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, FrameColumns, FrameFlag
from ved.model.records import LossPlace

if TYPE_CHECKING:
    from can import BusABC, Message

QUEUE_FRAMES: Final = 65_536
_RECEIVE_S: Final = 0.1
_JOIN_S: Final = 2.0
_ID_MASK: Final = 0x1FFF_FFFF
_WITHOUT_WIRES: Final = ("udp_multicast", "virtual")

_log: Final = logging.getLogger("ved.canbus")


class PythonCanReader:
    """One bus of python-can's interface `kind` (`pcan`, `kvaser`, `slcan`...); `make_bus` stands in for `can.Bus`.

    Times are the driver's where it stamps in UTC, else those of the moment when the thread got the frame.
    """

    trouble: Final = None

    def __init__(
        self,
        bus: int,
        kind: str,
        channel: str,
        bitrate_hz: int,
        make_bus: "Callable[[], BusABC] | None" = None,
    ) -> None:
        self.bus = bus
        self._kind, self._channel, self._bitrate_hz = kind, channel, bitrate_hz
        self.interface = f"{kind}:{channel}"
        self._make_bus = make_bus or self._make
        self._pump: _Pump | None = None
        self._clock = StampClock()
        self._is_warned = False
        self._origin_ns = 0
        self._last_us = 0
        self.alive_us = 0

    @property
    def is_open(self) -> bool:
        """True once the driver has opened the bus."""
        return self._pump is not None and self._pump.opened_ns > 0

    @property
    def opened_us(self) -> int:
        """When the driver had opened the bus."""
        return (self._pump.opened_ns - self._origin_ns) // 1000 if self._pump is not None else 0

    def open(self, origin_mono_ns: int) -> None:
        """Let a thread open the bus, which may take a while. UserError when python-can knows no such kind."""
        import can

        if self._kind not in can.VALID_INTERFACES:
            known = ", ".join(sorted(can.VALID_INTERFACES))
            raise UserError(f"bus {self.interface}: python-can knows no {self._kind!r}; use one of {known}")
        self._warn_of_acknowledging()
        self._origin_ns = origin_mono_ns
        self._clock = StampClock()
        self._pump = _Pump(self._make_bus)
        self.alive_us = self._alive_us(self._pump)

    def fileno(self) -> int:
        """An eventfd that the thread sets."""
        return self._pump.fd if self._pump is not None else -1

    def read(self) -> Reading:
        """What the thread has received."""
        if self._pump is None:
            raise BusDownError(f"{self.interface}: is not open")
        failure = self._pump.failure  # before the rest is taken: nothing comes after it
        received, lost = self._pump.take()
        self._clock.sample()
        frames = self._columns(received)
        self.alive_us = self._alive_us(self._pump)
        if failure is not None and not received:
            raise BusDownError(f"{self.interface}: {failure}")
        return Reading(frames, self._losses(lost))

    def close(self) -> tuple[SourceLoss, ...]:
        """Stop the thread, which closes the bus."""
        if self._pump is None:
            return ()
        self._pump.stop()
        _, lost = self._pump.take()
        self._pump.release()
        self._pump = None
        return self._losses(lost)

    def _make(self) -> "BusABC":
        import can

        asked = listen_only(self._kind)
        return can.Bus(self._channel, self._kind, ignore_config=True, bitrate=self._bitrate_hz, **asked)

    def _warn_of_acknowledging(self) -> None:
        if not self._is_warned and self._kind not in _WITHOUT_WIRES and not listen_only(self._kind):
            _log.warning(
                "bus %s: python-can cannot ask this kind of adapter to listen only: it acknowledges frames, "
                "unless it is set so itself",
                self.interface,
            )
        self._is_warned = True

    def _alive_us(self, pump: "_Pump") -> int:
        return max(self.alive_us, self._last_us, (pump.alive_ns - self._origin_ns) // 1000)

    def _losses(self, lost: "_Overflow | None") -> tuple[SourceLoss, ...]:
        if lost is None:
            return ()
        from_us, to_us = (lost.from_ns - self._origin_ns) // 1000, (lost.to_ns - self._origin_ns) // 1000
        return (SourceLoss(LossPlace.SOURCE_QUEUE, self.bus, lost.count, from_us, to_us),)

    def _columns(self, received: "list[tuple[Message, int]]") -> FrameColumns:
        if not received:
            return FrameColumns.empty()
        messages = [message for message, _ in received]
        stamps_ns = np.array([message.timestamp for message in messages]) * 1e9
        received_ns = np.array([mono_ns for _, mono_ns in received], np.int64)
        mono_ns = self._clock.to_mono_ns(stamps_ns.astype(np.int64), received_ns)
        t_us = np.maximum((mono_ns - self._origin_ns) // 1000, self._last_us)
        self._last_us = int(t_us[-1])
        return message_columns(messages, self.bus, t_us)


def listen_only(kind: str) -> dict[str, Any]:
    """What python-can's class of this kind must be given so that the adapter listens only; empty where it cannot be."""
    import can

    asked: dict[str, dict[str, Any]] = {
        "cantact": {"monitor": True},
        "kvaser": {"driver_mode": False},
        "nixnet": {"listen_only": True},
        "pcan": {"state": can.BusState.PASSIVE},
        "seeedstudio": {"operation_mode": "silent"},
        "slcan": {"listen_only": True},
        "systec": {"state": can.BusState.PASSIVE},
        "vector": {"listen_only": True},
    }
    return asked.get(kind, {})


def message_columns(messages: "Sequence[Message]", bus: int, t_us: NDArray[np.int64]) -> FrameColumns:
    """python-can's messages as columns; at least one."""
    n = len(messages)
    is_wide = any(len(message.data) > CLASSIC_WIDTH for message in messages)
    width = FD_WIDTH if is_wide else CLASSIC_WIDTH
    payload = b"".join(
        bytes(width) if message.is_remote_frame else bytes(message.data).ljust(width, b"\0") for message in messages
    )
    lengths = (message.dlc if message.is_remote_frame else len(message.data) for message in messages)
    return FrameColumns(
        t_us,
        np.full(n, bus, np.uint8),
        np.fromiter((message.arbitration_id & _ID_MASK for message in messages), np.uint32, n),
        np.fromiter(map(_flags, messages), np.uint8, n),
        np.fromiter(lengths, np.uint8, n),
        np.frombuffer(payload, np.uint8).reshape(n, width),
    )


def _flags(message: "Message") -> int:
    flags = FrameFlag.TRANSMITTED.value if not message.is_rx else 0
    if message.is_error_frame:
        return flags | FrameFlag.ERROR.value
    if message.is_extended_id:
        flags |= FrameFlag.EXTENDED.value
    if message.is_remote_frame:
        flags |= FrameFlag.REMOTE.value
    if message.is_fd:
        flags |= FrameFlag.FD.value
        flags |= FrameFlag.BIT_RATE_SWITCH.value if message.bitrate_switch else 0
        flags |= FrameFlag.ERROR_STATE.value if message.error_state_indicator else 0
    return flags


@dataclass(slots=True)
class _Overflow:
    """Frames that found the queue full."""

    count: int
    from_ns: int
    to_ns: int


class _Pump:
    """The thread of one bus: opens it, receives into a bounded queue, closes it. A failed one is not used again."""

    def __init__(self, make_bus: "Callable[[], BusABC]") -> None:
        self._make_bus = make_bus
        self._lock = threading.Lock()
        self._received: list[tuple[Message, int]] = []
        self._overflow: _Overflow | None = None
        self._is_stopping = False
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.failure: str | None = None
        self.opened_ns = 0
        self.alive_ns = time.monotonic_ns()
        self._thread = threading.Thread(target=self._run, name="python-can", daemon=True)
        self._thread.start()

    def take(self) -> "tuple[list[tuple[Message, int]], _Overflow | None]":
        """What was received, with the monotonic ns of each, and what did not fit."""
        with self._lock:
            received, self._received = self._received, []
            overflow, self._overflow = self._overflow, None
            if received or overflow:
                os.eventfd_read(self.fd)
        return received, overflow

    def stop(self) -> None:
        """End the thread; a driver that does not come back is left behind."""
        self._is_stopping = True
        self._thread.join(0.0 if self.failure is not None else _JOIN_S)

    def release(self) -> None:
        """Close the descriptor, unless a thread that was left behind could still use it."""
        if not self._thread.is_alive():
            os.close(self.fd)

    def _run(self) -> None:
        try:
            bus = self._make_bus()
            try:
                self._receive(bus)
            except Exception as error:  # noqa: BLE001  # drivers raise what they like: the bus is down
                self._fail(error)
            finally:
                bus.shutdown()
        except Exception as error:  # noqa: BLE001  # as above
            self._fail(error)

    def _receive(self, bus: "BusABC") -> None:
        self.opened_ns = time.monotonic_ns()
        while not self._is_stopping:
            before_ns = time.monotonic_ns()
            message = bus.recv(_RECEIVE_S)
            if message is not None:
                self._put(message, time.monotonic_ns())
            self.alive_ns = before_ns

    def _put(self, message: "Message", now_ns: int) -> None:
        with self._lock:
            if not self._received and self._overflow is None:
                os.eventfd_write(self.fd, 1)
            if len(self._received) < QUEUE_FRAMES:
                self._received.append((message, now_ns))
            elif self._overflow is None:
                self._overflow = _Overflow(1, now_ns, now_ns)
            else:
                self._overflow.count += 1
                self._overflow.to_ns = now_ns

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = str(error) or type(error).__name__
