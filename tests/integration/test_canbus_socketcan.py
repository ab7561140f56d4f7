"""The SocketCAN reader on a kernel with CAN: virtual interfaces that go down, vanish and come back. Needs root."""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ved.canbus import watchedbus
from ved.canbus.merged import MergedSource, merge_buses
from ved.canbus.recvmmsg import prepare
from ved.canbus.socketcan import SocketCanReader, open_interface
from ved.errors import UserError
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.records import LossPlace
from ved.model.vehicle import VehicleBus

sys.path.insert(0, str(Path(__file__).parent))
from canbus_helpers import can_frame, canfd_frame, covers, numbered

DEADLINE_S = 20.0
NAMES = ("vedcan0", "vedcan1")


def ip(*words: str) -> None:
    subprocess.run(["ip", "link", *words], check=True, capture_output=True)


def has_can() -> bool:
    try:
        socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW).close()
    except OSError:
        return False
    return True


def make_interface(name: str) -> None:
    ip("add", "dev", name, "mtu", "72", "type", "vcan")
    ip("set", name, "up")


@pytest.fixture
def interfaces() -> Iterator[tuple[str, str]]:
    """Two virtual interfaces that are up; skips where the kernel has none."""
    if not has_can():
        pytest.skip("this kernel has no CAN")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("making a CAN interface needs root and iproute2")
    try:
        make_interface(NAMES[0])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this kernel makes no vcan interface: {error.stderr.decode().strip()}")
    make_interface(NAMES[1])
    yield NAMES
    for name in NAMES:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("del", name)


@contextlib.contextmanager
def node(interface: str) -> Iterator[socket.socket]:
    """Another program on the bus."""
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as sock:
        sock.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
        sock.bind((interface,))
        yield sock


def read_until(source: MergedSource, is_done: Callable[[FrameColumns], bool]) -> FrameColumns:
    frames = FrameColumns.empty()
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_done(frames):
        assert time.monotonic() < deadline_s
        frames = FrameColumns.concatenate([frames, source.read(0.01)])
    return frames


def vehicle_bus(index: int, interface: str) -> VehicleBus:
    return VehicleBus(index, f"bus{index}", 500_000, interface, (), ())


def test_where_the_kernel_has_no_can_the_person_is_told() -> None:
    if has_can():
        pytest.skip("this kernel has CAN")
    source = merge_buses([vehicle_bus(0, "can0")])
    with pytest.raises(UserError, match="bus can0: this kernel has no CAN"):
        source.open(time.monotonic_ns())
    source.close()


def test_frames_of_all_kinds_come_whole_and_in_time(interfaces: tuple[str, str]) -> None:
    source = merge_buses([vehicle_bus(0, interfaces[0]), vehicle_bus(4, interfaces[1])])
    origin_ns = time.monotonic_ns()
    source.open(origin_ns)
    with node(interfaces[0]) as first, node(interfaces[1]) as second:
        before_us = (time.monotonic_ns() - origin_ns) // 1000
        first.send(can_frame(0x123, b"\x01\x02"))
        second.send(can_frame(0x9234_5678, bytes(range(8))))
        first.send(can_frame(0x4000_0001, b""))
        second.send(struct.pack("=IB3x8s", 0x2000_0004, 8, b"\0\x08"))
        first.send(canfd_frame(0x321, bytes(range(64)), 1))
        after_us = (time.monotonic_ns() - origin_ns) // 1000
        frames = read_until(source, lambda frames: len(frames) >= 5)
        first.send(numbered(1))
    source.close()
    assert frames.arbitration_id.tolist() == [0x123, 0x1234_5678, 1, 4, 0x321]
    assert frames.bus.tolist() == [0, 4, 0, 4, 0]
    sent_here = FrameFlag.TRANSMITTED
    assert frames.flags.tolist() == [
        sent_here,
        FrameFlag.EXTENDED | sent_here,
        FrameFlag.REMOTE | sent_here,
        FrameFlag.ERROR | sent_here,
        FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH | sent_here,
    ]
    assert frames.length.tolist() == [2, 8, 0, 8, 64]
    assert frames.payload[4].tobytes() == bytes(range(64))
    assert (frames.t_us >= before_us - 2).all()
    assert (frames.t_us <= after_us + 2).all()
    assert source.losses() == []


def test_drops_are_counted_exactly_and_declared(interfaces: tuple[str, str]) -> None:
    def open_small() -> socket.socket:
        sock = open_interface(interfaces[0])
        prepare(sock, 16 << 10)
        return sock

    reader = SocketCanReader(0, interfaces[0], open_small)
    origin_ns = time.monotonic_ns()
    reader.open(origin_ns)
    sent, times = 0, []
    got, losses = set(), []
    with node(interfaces[0]) as car:
        for count in (500, 3, 700):
            for _ in range(count):
                before_us = time.monotonic_ns() // 1000
                car.send(numbered(sent))
                times.append((before_us, time.monotonic_ns() // 1000 + 1))
                sent += 1
            time.sleep(0.05)
            reading = reader.read()
            got.update(np.ascontiguousarray(reading.frames.payload).view("<u8")[:, 0].tolist())
            losses += reading.losses
    losses += reader.close()
    assert len(got) < 500
    assert sum(loss.count for loss in losses) == sent - len(got)
    for number in set(range(sent)) - got:
        assert covers(losses, times[number], origin_ns // 1000)


@pytest.mark.parametrize("how", ["down", "deleted"])
def test_an_interface_that_goes_away_is_declared_and_comes_back(
    interfaces: tuple[str, str], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchedbus, "RETRY_S", 0.05)
    source = merge_buses([vehicle_bus(index, name) for index, name in enumerate(interfaces)])
    origin_ns = time.monotonic_ns()
    source.open(origin_ns)

    def is_up(expected: bool) -> Callable[[FrameColumns], bool]:
        return lambda _: source.bus_states()[1].is_up == expected

    with node(interfaces[0]) as well, node(interfaces[1]) as ill:
        ill.send(numbered(1))
        if how == "down":
            ip("set", interfaces[1], "down")
        else:
            ip("del", interfaces[1])
        assert len(read_until(source, is_up(False))) == 1  # what came before is not lost with the interface
        gone_us = (time.monotonic_ns() - origin_ns) // 1000
        well.send(numbered(2))
        assert read_until(source, lambda frames: len(frames) == 1).bus.tolist() == [0]
        assert source.bus_states()[0].is_up
    if how == "down":
        ip("set", interfaces[1], "up")
    else:
        make_interface(interfaces[1])
    back_us = (time.monotonic_ns() - origin_ns) // 1000
    read_until(source, is_up(True))
    with node(interfaces[1]) as back:
        back.send(numbered(3))
        assert read_until(source, lambda frames: len(frames) == 1).bus.tolist() == [1]
    source.close()
    losses = source.losses()
    assert {(loss.place, loss.bus, loss.count) for loss in losses} == {(LossPlace.BUS_DOWN, 1, -1)}
    assert min(loss.t_from_us for loss in losses) <= gone_us
    assert max(loss.t_to_us for loss in losses) >= back_us - 1_000_000


def test_an_interface_that_is_not_there_yet_or_is_down_is_waited_for(
    interfaces: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchedbus, "RETRY_S", 0.05)
    ip("del", interfaces[1])
    ip("set", interfaces[0], "down")
    source = merge_buses([vehicle_bus(index, name) for index, name in enumerate(interfaces)])
    source.open(time.monotonic_ns())
    assert [state.trouble for state in source.bus_states()] == [
        f"{interfaces[0]}: Network is down",
        f"{interfaces[1]}: No such device",
    ]
    ip("set", interfaces[0], "up")
    make_interface(interfaces[1])
    read_until(source, lambda _: all(state.is_up for state in source.bus_states()))
    source.close()
    assert {(loss.bus, loss.place) for loss in source.losses()} == {(0, LossPlace.BUS_DOWN), (1, LossPlace.BUS_DOWN)}
