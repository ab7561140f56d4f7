"""The SocketCAN reader on a real datagram socket: content, times, exact drops, a bus that fails, several buses."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.canbus import watchedbus
from ved.canbus.merged import MergedSource
from ved.canbus.reader import BusDownError
from ved.canbus.recvmmsg import SO_RCVBUFFORCE, prepare
from ved.canbus.socketcan import SocketCanReader
from ved.canbus.source import LossySource, SourceLoss
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.records import ClockSource, LossPlace

sys.path.insert(0, str(Path(__file__).parent))
from canbus_helpers import UdpBus, can_frame, canfd_frame, covers, kernel_stamps, numbered

DEADLINE_S = 20.0


@pytest.fixture
def bus() -> Iterator[UdpBus]:
    bus = UdpBus()
    yield bus
    bus.close()


def reader_of(bus: UdpBus, number: int = 0) -> SocketCanReader:
    return SocketCanReader(number, f"udp{number}", bus.open_socket)


def read_all(reader: SocketCanReader, count: int) -> tuple[FrameColumns, list[SourceLoss]]:
    """Until `count` frames have come or been counted as lost."""
    parts: list[FrameColumns] = []
    losses: list[SourceLoss] = []
    deadline_s = time.monotonic() + DEADLINE_S
    while sum(map(len, parts)) + sum(max(0, loss.count) for loss in losses) < count:
        assert time.monotonic() < deadline_s, "frames neither came nor were counted"
        reading = reader.read()
        parts.append(reading.frames)
        losses += reading.losses
    return FrameColumns.concatenate(parts), losses


def numbers(frames: FrameColumns) -> list[int]:
    return [int(number) for number in np.ascontiguousarray(frames.payload[:, :8]).view("<u8")[:, 0]]


def test_frames_come_whole_in_order_and_with_the_kernel_times(bus: UdpBus) -> None:
    """Classic and CAN FD, standard and extended, remote and error frames; more than fit one system call."""
    reader = reader_of(bus)
    origin_ns = time.monotonic_ns()
    reader.open(origin_ns)
    special = [
        can_frame(0x123, b"\x01\x02"),
        can_frame(0x9234_5678, bytes(range(8))),
        can_frame(0x4000_0001, b""),
        can_frame(0x2000_0004, bytes([0, 8, 0, 0, 0, 0, 0, 0])),
        canfd_frame(0x321, bytes(range(64)), 0b101),
    ]
    times = bus.transmit(special)
    frames, losses = read_all(reader, 5)
    assert losses == []
    assert frames.arbitration_id.tolist() == [0x123, 0x1234_5678, 1, 4, 0x321]
    assert frames.flags.tolist() == [
        0,
        FrameFlag.EXTENDED,
        FrameFlag.REMOTE,
        FrameFlag.ERROR,
        FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH,
    ]
    assert frames.length.tolist() == [2, 8, 0, 8, 64]
    assert frames.payload[4].tobytes() == bytes(range(64))
    origin_us = origin_ns // 1000
    for (before_us, after_us), t_us in zip(times, frames.t_us.tolist(), strict=True):
        assert before_us - 2 <= t_us + origin_us <= after_us + 2
    bus.transmit([numbered(number) for number in range(5_000)])
    frames, losses = read_all(reader, 5_000)
    assert losses == []
    assert numbers(frames) == list(range(5_000))
    assert (np.diff(frames.t_us) >= 0).all()
    assert reader.close() == ()
    assert reader.close() == ()


def test_what_waited_for_a_second_keeps_its_times(bus: UdpBus) -> None:
    """The reader stood still: 3,000 frames in one reading, of which one system call takes 1,024."""
    reader = reader_of(bus)
    origin_ns = time.monotonic_ns()
    reader.open(origin_ns)
    times: list[tuple[int, int]] = []
    with kernel_stamps():
        for burst in range(30):
            times += bus.transmit([numbered(burst * 100 + number) for number in range(100)])
            time.sleep(0.035)
    frames = reader.read().frames
    reader.close()
    assert numbers(frames) == list(range(3_000))
    sent_us = np.array(times) - origin_ns // 1000
    slack_us = 2_000  # by which the machine's two clocks may part in a second
    assert (frames.t_us >= sent_us[:, 0] - slack_us).all()
    assert (frames.t_us <= sent_us[:, 1] + slack_us).all()


def test_drops_after_a_second_of_waiting_are_told_where_they_were() -> None:
    """More than one system call takes is in the socket when it overflows; then room is made for one more frame."""
    bus = UdpBus()
    reader = reader_of(bus)
    origin_ns = time.monotonic_ns()
    reader.open(origin_ns)
    assert bus.receiver is not None
    with kernel_stamps():
        bus.transmit([numbered(number) for number in range(1_100)])
    bus.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    (lost,) = bus.transmit([numbered(1_100)])
    time.sleep(0.5)
    prepare(bus.receiver, 4 << 20)
    bus.transmit([numbered(1_101)])
    reading = reader.read()
    reader.close()
    bus.close()
    assert numbers(reading.frames) == [*range(1_100), 1_101]
    assert [loss.count for loss in reading.losses] == [1]
    assert covers(reading.losses, lost, origin_ns // 1000)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(min_size=16, max_size=16) | st.binary(min_size=72, max_size=72), min_size=1, max_size=30))
def test_any_structs_through_the_socket(structs: list[bytes]) -> None:
    """No bytes of one frame, nor of an earlier reading, show in another."""
    bus = UdpBus()
    reader = reader_of(bus)
    reader.open(time.monotonic_ns())
    bus.transmit([canfd_frame(0, b"\xff" * 64)] * 40)
    read_all(reader, 40)
    bus.transmit(structs)
    frames, _ = read_all(reader, len(structs))
    for row, sent in enumerate(structs):
        size = 0 if frames.flags[row] & FrameFlag.REMOTE else int(frames.length[row])
        assert frames.payload[row].tobytes().rstrip(b"\0") == sent[8 : 8 + size].rstrip(b"\0")
        assert bool(frames.flags[row] & FrameFlag.FD) == (len(sent) == 72)
        mask = 0x1FFF_FFFF if sent_id(sent) & 0xA000_0000 else 0x7FF
        assert frames.arbitration_id[row] == sent_id(sent) & mask
    reader.close()
    bus.close()


def sent_id(struct_bytes: bytes) -> int:
    return int.from_bytes(struct_bytes[:4], sys.byteorder)


def test_what_the_kernel_drops_is_counted_exactly_and_lies_within_the_intervals() -> None:
    """A small buffer overflows three times, with readings in between; the last drops are told of by no later frame."""
    bus = UdpBus(buffer_bytes=16 << 10)
    reader = reader_of(bus)
    origin_ns = time.monotonic_ns()
    reader.open(origin_ns)
    sent = 0
    times: list[tuple[int, int]] = []
    got: set[int] = set()
    losses: list[SourceLoss] = []
    for count in (500, 3, 700, 900):
        times += bus.transmit([numbered(number) for number in range(sent, sent + count)])
        sent += count
        frames, lost = read_all(reader, count)
        got.update(numbers(frames))
        losses += lost
    reader.close()
    bus.close()
    assert len(got) < 500
    assert sum(loss.count for loss in losses) == sent - len(got)
    assert {(loss.place, loss.bus) for loss in losses} == {(LossPlace.KERNEL, 0)}
    assert len(losses) >= 3
    for number in set(range(sent)) - got:
        assert covers(losses, times[number], origin_ns // 1000), f"frame {number} is missing and not declared"


def test_drops_between_frames_are_told_between_these_frames() -> None:
    bus = UdpBus(buffer_bytes=16 << 10)
    reader = reader_of(bus)
    reader.open(time.monotonic_ns())
    bus.transmit([numbered(number) for number in range(300)])
    frames, losses = read_all(reader, 300)
    assert len(losses) == 1
    assert losses[0].t_from_us == frames.t_us[-1]
    bus.transmit([numbered(number) for number in range(300)])
    assert bus.receiver is not None
    for _ in range(len(frames) // 2):  # taken behind the reader's back: room for the frame that brings the counter
        bus.receiver.recv(72)
    bus.transmit([numbered(777)])
    after, losses = read_all(reader, 301 - len(frames) // 2)
    assert numbers(after)[-1] == 777
    assert [(loss.t_from_us, loss.t_to_us) for loss in losses] == [(after.t_us[-2], after.t_us[-1])]
    reader.close()
    bus.close()


def test_drops_that_nobody_read_are_told_at_the_end() -> None:
    bus = UdpBus(buffer_bytes=16 << 10)
    reader = reader_of(bus)
    reader.open(time.monotonic_ns())
    bus.transmit([numbered(number) for number in range(300)])
    (loss,) = reader.close()
    assert 0 < loss.count < 300
    bus.close()


def test_a_datagram_that_is_no_frame_is_lost_and_counted(bus: UdpBus) -> None:
    reader = reader_of(bus)
    reader.open(time.monotonic_ns())
    bus.transmit([numbered(1), b"x", numbered(2), bytes(73), bytes(17)])
    frames, losses = read_all(reader, 5)
    assert numbers(frames) == [1, 2]
    assert sum(loss.count for loss in losses) == 3
    reader.close()


def test_the_receive_buffer_is_large(bus: UdpBus) -> None:
    """A full bus for a second: nothing is dropped while nobody reads."""
    reader = reader_of(bus)
    reader.open(time.monotonic_ns())
    bus.transmit([numbered(number) for number in range(8_000)])
    frames, losses = read_all(reader, 8_000)
    assert (len(frames), losses) == (8_000, [])
    reader.close()


def fail(bus: UdpBus) -> None:
    """Make the bus's socket fail for good: under the reader's descriptor now is a socket that cannot receive."""
    assert bus.receiver is not None
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as broken:
        os.dup2(broken.fileno(), bus.receiver.fileno())


def test_a_bus_that_fails_stops_no_other_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchedbus, "RETRY_S", 0.02)
    good, bad = UdpBus(), UdpBus()
    source = MergedSource([reader_of(good), reader_of(bad, 1)])
    assert isinstance(source, LossySource)
    origin_ns = time.monotonic_ns()
    source.open(origin_ns)
    got: dict[int, list[int]] = {0: [], 1: []}

    def read_until(is_done: object) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not is_done():  # type: ignore[operator]
            assert time.monotonic() < deadline_s
            frames = source.read(0.01)
            for one in (0, 1):
                got[one] += numbers(frames.take(frames.bus == one))

    bad.transmit([numbered(0), numbered(1)])
    good.transmit([numbered(0)])
    read_until(lambda: (len(got[0]), len(got[1])) == (1, 2))
    assert [state.is_up for state in source.bus_states()] == [True, True]
    bad.is_there = False
    fail(bad)
    read_until(lambda: not source.bus_states()[1].is_up)
    gone_us = time.monotonic_ns() // 1000
    assert source.bus_states()[0].is_up
    assert "udp1" in str(source.bus_states()[1].trouble)
    good.transmit([numbered(1)])
    read_until(lambda: len(got[0]) == 2)
    opened = bad.opened
    read_until(lambda: "No such device" in str(source.bus_states()[1].trouble))
    bad.is_there = True
    back_us = time.monotonic_ns() // 1000
    read_until(lambda: source.bus_states()[1].is_up)
    assert bad.opened == opened + 1
    bad.transmit([numbered(2)])
    read_until(lambda: len(got[1]) == 3)
    source.close()
    losses = source.losses()
    assert {(loss.place, loss.bus, loss.count) for loss in losses} == {(LossPlace.BUS_DOWN, 1, -1)}
    origin_us = origin_ns // 1000
    assert min(loss.t_from_us for loss in losses) + origin_us <= gone_us
    assert max(loss.t_to_us for loss in losses) + origin_us >= back_us
    assert got == {0: [0, 1], 1: [0, 1, 2]}
    assert source.losses() == []
    for one in (good, bad):
        one.close()


def test_frames_that_waited_when_the_bus_failed_still_come(bus: UdpBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells a socket's error once, before the frames that came earlier."""
    reader = reader_of(bus)
    reader.open(time.monotonic_ns())
    bus.transmit([numbered(1), numbered(2)])
    receive = reader._buffer.receive
    errors = [OSError(100, "Network is down")]
    monkeypatch.setattr(reader._buffer, "receive", lambda fd: raise_(errors.pop()) if errors else receive(fd))
    frames = reader.read().frames
    assert numbers(frames) == [1, 2]
    with pytest.raises(BusDownError, match="udp0: Network is down"):
        reader.read()
    assert reader.alive_us == frames.t_us[-1]
    reader.close()


def raise_(error: OSError) -> int:
    raise error


def test_without_the_privilege_the_buffer_is_as_large_as_allowed() -> None:
    class Unprivileged(socket.socket):
        def setsockopt(self, level: int, option: int, value: int) -> None:  # type: ignore[override]
            if option == SO_RCVBUFFORCE:
                raise PermissionError(1, "Operation not permitted")
            super().setsockopt(level, option, value)

    with Unprivileged(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        prepare(sock, 1 << 30)
        allowed = int(Path("/proc/sys/net/core/rmem_max").read_text())
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * allowed


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**33), st.lists(st.lists(st.integers(0, 2**20), min_size=1, max_size=5), max_size=6))
def test_the_drop_counter_may_wrap(start: int, readings: list[list[int]]) -> None:
    reader = SocketCanReader(0, "wrap", lambda: raise_(OSError(19, "")))  # type: ignore[arg-type, return-value]
    reader._drops = total = start
    t_us = counted = 0
    for steps in readings:
        counters = np.cumsum([total, *steps])[1:]
        times = np.arange(t_us + 1, t_us + 1 + len(steps))
        losses = reader._drops_between(times, (counters % 2**32).astype(np.uint32))
        assert [loss.count for loss in losses] == [step for step in steps if step]
        assert [loss.t_to_us for loss in losses] == [
            int(time_us) for time_us, step in zip(times, steps, strict=True) if step
        ]
        assert all(loss.t_from_us == loss.t_to_us - 1 for loss in losses)
        total, counted, t_us = int(counters[-1]), counted + sum(steps), int(times[-1])
        reader._last_us = t_us
        assert reader._drops_between(times[:1], (counters[:1] % 2**32).astype(np.uint32)) == []  # told before
    assert reader._drops == start + counted


def test_several_buses_are_one_sequence_by_time() -> None:
    buses = [UdpBus() for _ in range(3)]
    source = MergedSource([reader_of(bus, 2 * number) for number, bus in enumerate(buses)])
    source.open(time.monotonic_ns())
    for number in range(300):
        buses[number * 7 % 3].transmit([numbered(number)])
    frames = source.read(0.05)
    assert numbers(frames) == list(range(300))
    assert frames.bus.tolist() == [2 * (number * 7 % 3) for number in range(300)]
    assert [state.frames for state in source.bus_states()] == [100, 100, 100]
    assert len(source.read(0.0)) == 0
    source.close()
    source.close()
    for bus in buses:
        bus.close()


def test_the_clock_is_the_machine_s(bus: UdpBus) -> None:
    source = MergedSource([reader_of(bus)])
    assert source.is_realtime
    origin_ns = time.monotonic_ns()
    source.open(origin_ns)
    before_us = time.time_ns() // 1000
    pair = source.clock(time.monotonic_ns())
    after_us = time.time_ns() // 1000
    assert pair is not None
    assert before_us <= pair.utc_us <= after_us
    assert 0 <= pair.t_us <= (time.monotonic_ns() - origin_ns) // 1000
    assert pair.source in (ClockSource.HOST, ClockSource.NTP)
    source.close()
