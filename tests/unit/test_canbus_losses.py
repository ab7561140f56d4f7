"""Losses of a bus: joined into few notes, told by error frames, declared while a bus is down."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from ved.canbus.errorframes import ControllerWatch
from ved.canbus.losses import LossBook
from ved.canbus.reader import BusDownError, Reading
from ved.canbus.source import SourceLoss
from ved.canbus.watchedbus import DECLARE_S, RETRY_S, WatchedBus
from ved.errors import UserError
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.records import LossPlace

S = 1_000_000
KERNEL, DOWN = LossPlace.KERNEL, LossPlace.BUS_DOWN


def frames(t_us: list[int], ids: list[int] | None = None, errors: list[bool] | None = None) -> FrameColumns:
    n = len(t_us)
    flags = np.where(errors if errors is not None else [False] * n, FrameFlag.ERROR, 0).astype(np.uint8)
    return FrameColumns(
        np.array(t_us, np.int64),
        np.zeros(n, np.uint8),
        np.array(ids or [0x100] * n, np.uint32),
        flags,
        np.full(n, 8, np.uint8),
        np.zeros((n, 8), np.uint8),
    )


def test_losses_of_a_quarter_second_become_one_note() -> None:
    book = LossBook()
    book.add(SourceLoss(KERNEL, 0, 3, 100, 200), 1_000)
    book.add(SourceLoss(KERNEL, 0, 4, 150, 300), 2_000)
    book.add(SourceLoss(KERNEL, 0, -1, 5, 6), 2_000)
    book.add(SourceLoss(KERNEL, 1, 1, 7, 8), 2_000)
    book.add(SourceLoss(KERNEL, 0, 0, 0, 999), 2_000)
    assert book.take(250_999) == []
    assert book.take(251_000) == [SourceLoss(KERNEL, 0, 7, 100, 300)]
    assert book.take(None) == [SourceLoss(KERNEL, 0, -1, 5, 6), SourceLoss(KERNEL, 1, 1, 7, 8)]
    assert book.take(None) == []


def test_a_receive_overflow_is_a_loss_before_the_error_frame() -> None:
    told = frames([10, 20, 30], [0x100, 0x004, 0x100], [False, True, False])
    told.payload[1, 1] = 0x01
    assert ControllerWatch(0).note(told, 5) == [SourceLoss(KERNEL, 0, -1, 10, 20)]
    told.payload[1, 1] = 0x20  # error passive: nothing was lost
    assert ControllerWatch(0).note(told, 5) == []
    told.payload[1, 1] = 0x01
    assert ControllerWatch(0).note(told.take(slice(1, 2)), 5) == [SourceLoss(KERNEL, 0, -1, 5, 20)]


@pytest.mark.parametrize(("last_id", "is_error"), [(0x100, True), (0x123, False)])
def test_bus_off_is_declared_until_the_controller_is_back(last_id: int, is_error: bool) -> None:
    """Back: the controller says so, or a frame proves it."""
    watch = ControllerWatch(2)
    assert watch.note(frames([10, 20], [0x1, 0x040], [False, True]), 0) == [SourceLoss(DOWN, 2, -1, 10, 20)]
    assert watch.is_bus_off
    assert watch.note(frames([30, 40], [0x040, 0x008], [True, True]), 20) == []
    assert watch.is_bus_off
    assert watch.note(frames([50, 60], [last_id, 0x1], [is_error, False]), 40) == [SourceLoss(DOWN, 2, -1, 20, 50)]
    assert not watch.is_bus_off
    assert watch.end(70) == []


def test_bus_off_and_back_within_one_reading_and_bus_off_at_the_end() -> None:
    watch = ControllerWatch(0)
    told = frames([10, 20, 30, 40], [0x1, 0x040, 0x100, 0x040], [False, True, True, True])
    losses = [(10, 20), (20, 30), (30, 40)]
    assert watch.note(told, 0) == [SourceLoss(DOWN, 0, -1, *interval) for interval in losses]
    assert watch.end(90) == [SourceLoss(DOWN, 0, -1, 40, 90)]


class ScriptedReader:
    """Plays what a test gives it; `script` brings a Reading, or a text: the bus went away."""

    bus = 0
    interface = "scripted"
    trouble: str | None = None

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self.script: Iterator[Reading | str] = iter(())
        self.is_there = True
        self.is_slow = False
        self.is_open = False
        self.alive_us = self.opened_us = 0
        self.tries = 0

    def open(self, origin_mono_ns: int) -> None:
        assert not self.is_open
        self.tries += 1
        self.alive_us = max(self.alive_us, self._clock.us)
        if not self.is_there:
            raise BusDownError("no such device")
        self.come() if not self.is_slow else None

    def come(self) -> None:
        self.is_open, self.opened_us = True, self._clock.us

    def fileno(self) -> int:
        return 0

    def read(self) -> Reading:
        step = next(self.script, Reading(FrameColumns.empty()))
        if isinstance(step, str):
            raise BusDownError(step)
        self.alive_us = self._clock.us
        return step

    def close(self) -> tuple[SourceLoss, ...]:
        self.is_open = False
        return (SourceLoss(KERNEL, 0, 5, 1, 2),)


class Clock:
    us = 0

    def mono_ns(self) -> int:
        return self.us * 1000


def make() -> tuple[Clock, ScriptedReader, WatchedBus]:
    clock = Clock()
    reader = ScriptedReader(clock)
    return clock, reader, WatchedBus(reader, FrameColumns.empty(), clock.mono_ns)


def downs(bus: WatchedBus) -> list[tuple[int, int]]:
    return [(loss.t_from_us, loss.t_to_us) for loss in bus.losses() if loss.place == DOWN]


def test_a_bus_that_goes_away_is_declared_from_when_it_was_last_well_until_it_is_back() -> None:
    clock, reader, bus = make()
    reader.script = iter([Reading(frames([5])), "network is down"])
    bus.open(0)
    assert bus.losses() == []
    clock.us = 10
    assert len(bus.read()) == 1
    assert bus.state.is_up
    clock.us = 20
    assert len(bus.read()) == 0
    assert not bus.state.is_up
    assert bus.state.trouble == "network is down"
    assert bus.fileno() is None
    clock.us = 300_000
    assert sorted(bus.losses(), key=lambda loss: loss.count) == [
        SourceLoss(DOWN, 0, -1, 10, 20),
        SourceLoss(KERNEL, 0, 5, 1, 2),  # what the socket still knew when it was closed
    ]
    reader.is_there = False
    clock.us = round(RETRY_S * S) + 20
    bus.read()
    assert reader.tries == 2
    bus.read()
    assert reader.tries == 2  # not before the pause is over
    reader.is_there = True
    clock.us += round(RETRY_S * S)
    bus.read()
    assert reader.tries == 3
    assert bus.state.is_up
    assert bus.state.trouble is None
    clock.us += S
    assert downs(bus) == [(20, 2 * round(RETRY_S * S) + 20)]
    bus.close()
    assert downs(bus) == []
    assert bus.state.frames == 1
    assert bus.state.lost_frames == 15  # each close brought 5


def test_a_bus_that_is_not_there_is_declared_piece_by_piece_from_the_beginning() -> None:
    clock, reader, bus = make()
    reader.is_there = False
    clock.us = 7
    bus.open(0)
    told: list[tuple[int, int]] = []
    while clock.us < 35 * S:
        clock.us += S // 2
        bus.read()
        told += downs(bus)
    bus.close()
    told += downs(bus)
    assert told[0] == (7, 7)
    assert told[-1][1] == clock.us
    assert all(left[1] == right[0] for left, right in itertools.pairwise(told))
    assert 3 <= len(told) - 1 <= 35 / DECLARE_S + 1


def test_a_slow_driver_is_no_loss_unless_it_fails() -> None:
    clock, reader, bus = make()
    reader.is_slow = True
    clock.us = 5
    bus.open(0)
    bus.read()
    assert not bus.state.is_up
    clock.us = 1_000
    reader.come()
    bus.read()
    assert bus.state.is_up
    clock.us = S
    assert bus.losses() == []
    reader.script = iter(["unplugged"])
    bus.read()
    clock.us += 2 * S
    bus.read()
    clock.us += S // 2
    reader.come()
    bus.read()
    clock.us += S
    assert downs(bus) == [(1_000, reader.opened_us)]


def test_a_bus_that_can_never_be_there_is_an_error_of_the_person() -> None:
    _, reader, bus = make()

    def refuse(origin_mono_ns: int) -> None:
        raise UserError("no CAN")

    reader.open = refuse  # type: ignore[method-assign]
    with pytest.raises(UserError):
        bus.open(0)
    bus.close()
