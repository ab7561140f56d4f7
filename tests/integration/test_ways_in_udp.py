"""cannelloni and python-can's multicast through real sockets: content, losses, and everything that should not come."""

import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import can
import numpy as np
import pytest

from ved.canbus.network import datagrams
from ved.model.records import LossPlace

sys.path.insert(0, str(Path(__file__).parent))
from canbus_helpers import kernel_stamps
from ways_helpers import Reading


def datagram(sequence: int, numbers: list[int]) -> bytes:
    """Classic frames whose data is a number of the sender's."""
    frames = b"".join(struct.pack(">IBI", 0x100 + number % 50, 4, number) for number in numbers)
    return struct.pack(">BBBH", 2, 0, sequence % 256, len(numbers)) + frames


def numbers_of(reading: Reading) -> list[int]:
    out: list[int] = np.ascontiguousarray(reading.frames.payload[:, :4]).view(">u4")[:, 0].tolist()
    return out


class Sender:
    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((address, 0))
        self._to = ("127.0.0.1", port)

    def __call__(self, *datagrams: bytes) -> None:
        for one in datagrams:
            self._sock.sendto(one, self._to)

    def close(self) -> None:
        self._sock.close()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def sender(port: int) -> Iterator[Sender]:
    sender = Sender(port)
    yield sender
    sender.close()


def test_cannelloni_frames_come_with_their_bus_and_arrival(port: int, sender: Sender) -> None:
    reading = Reading("cannelloni://127.0.0.1:1", f"cannelloni://127.0.0.1:{port}")
    before_us = reading.now_us
    fd = struct.pack(">BBBHIBB", 2, 0, 1, 1, 0x9234_5678, 12 | 0x80, 1) + bytes(range(12))
    sender(datagram(0, [7, 8]), fd)
    reading.until(lambda: reading.count == 3)
    reading.close()
    frames = reading.frames
    assert frames.bus.tolist() == [1, 1, 1]
    assert frames.arbitration_id.tolist() == [0x107, 0x108, 0x1234_5678]
    assert frames.payload[2, :12].tolist() == list(range(12))
    assert before_us <= frames.t_us.min() <= frames.t_us.max() <= reading.now_us
    assert [loss for loss in reading.losses if loss.bus == 1] == []
    # The other bus could not be bound (a port below 1024), or is just silent: it held up nothing.
    assert reading.state(1).refused == 0


def test_what_waited_for_a_second_keeps_its_times(port: int, sender: Sender) -> None:
    """The reader stood still: one system call takes 64 datagrams, one reading 1,024."""
    reading = Reading(f"cannelloni://127.0.0.1:{port}")
    sent_us: list[tuple[int, int]] = []
    with kernel_stamps():
        for burst in range(30):
            before_us = reading.now_us
            sender(*(datagram(number, [number]) for number in range(burst * 100, burst * 100 + 100)))
            sent_us += [(before_us, reading.now_us)] * 100
            time.sleep(0.035)
    reading.until(lambda: reading.count == 3_000)
    reading.close()
    assert numbers_of(reading) == list(range(3_000))
    first_us, last_us = np.array(sent_us).T
    slack_us = 2_000  # by which the machine's two clocks may part in a second
    assert (reading.frames.t_us >= first_us - slack_us).all()
    assert (reading.frames.t_us <= last_us + slack_us).all()


def test_gaps_in_the_sequence_are_declared_where_they_lie(port: int, sender: Sender) -> None:
    reading = Reading(f"cannelloni://127.0.0.1:{port}")
    for sequence in range(600):
        if sequence % 100 != 50:
            sender(datagram(sequence, [sequence]))
        if sequence % 60 == 0:
            reading.until(lambda at=sequence: reading.count >= at - at // 100 - 1)
    reading.until(lambda: reading.count == 594)
    reading.close()
    assert numbers_of(reading) == [number for number in range(600) if number % 100 != 50]
    gaps = [loss for loss in reading.losses if loss.place == LossPlace.WAY]
    assert gaps
    assert {loss.count for loss in gaps} == {-1}
    numbers, t_us = np.array(numbers_of(reading)), reading.frames.t_us
    for missing in range(50, 600, 100):
        first, last = t_us[numbers == missing - 1][0], t_us[numbers == missing + 1][0]
        assert any(loss.t_from_us <= first and last <= loss.t_to_us for loss in gaps), missing


def test_what_is_no_cannelloni_or_comes_twice_or_from_others_is_refused(port: int, sender: Sender) -> None:
    reading = Reading(f"cannelloni://127.0.0.1:{port}?from=127.0.0.1")
    other = Sender(port, "127.0.0.2")
    good = [datagram(sequence, [sequence]) for sequence in range(4)]
    sender(good[0], b"", b"\xff" * 40, good[1][:-1], good[1] + b"x", bytes(datagrams.MAX_DATAGRAM + 10))
    other(*(datagram(sequence, [99]) for sequence in range(1, 50)))
    sender(good[1], good[0], good[1], good[2], good[3])
    reading.until(lambda: reading.count == 4 and reading.state().refused == 5 + 49 + 2)
    reading.close()
    other.close()
    assert numbers_of(reading) == [0, 1, 2, 3]
    assert reading.losses == []


def test_a_flood_from_elsewhere_costs_declared_losses_and_no_other_bus(port: int, sender: Sender) -> None:
    """More rubbish than the socket can hold, while another bus goes on."""
    quiet_port = free_port()
    reading = Reading(f"cannelloni://127.0.0.1:{port}", f"cannelloni://127.0.0.1:{quiet_port}")
    quiet = Sender(quiet_port)
    rubbish = bytes(8_000)
    for round_number in range(30):
        sender(*[rubbish] * 100)
        quiet(datagram(round_number, [round_number]))
    reading.until(lambda: np.count_nonzero(reading.frames.bus == 1) == 30)
    sender(datagram(0, [5]))
    reading.until(lambda: np.count_nonzero(reading.frames.bus == 0) == 1)
    reading.close()
    quiet.close()
    state = reading.state()
    kernel = [loss for loss in reading.losses if loss.place == LossPlace.KERNEL and loss.bus == 0]
    assert state.refused + bool(kernel) > 0
    assert state.refused == 3_000 or kernel, "rubbish was neither refused nor dropped with notice"
    assert [loss for loss in reading.losses if loss.bus == 1] == []


def test_a_port_that_is_taken_is_tried_again(port: int, sender: Sender) -> None:
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("127.0.0.1", port))
    reading = Reading(f"cannelloni://127.0.0.1:{port}")
    reading.until(lambda: "in use" in (reading.state().trouble or ""))
    taken.close()
    reading.until(lambda: reading.state().is_up)
    sender(datagram(0, [1]))
    reading.until(lambda: reading.count == 1)
    reading.close()
    (down,) = {(loss.place, loss.count) for loss in reading.losses}
    assert down == (LossPlace.BUS_DOWN, -1)


def test_multicast_against_python_can_itself() -> None:
    """Its bus sends, ours receives, over the loopback interface; rubbish in between does not take the bus down."""
    group, port = "239.74.163.99", free_port()
    try:
        bus = can.Bus(f"{group}", "udp_multicast", port=port, hop_limit=0, fd=True, ignore_config=True)
    except (OSError, can.CanError) as error:
        pytest.skip(f"no multicast on this machine: {error}")
    reading = Reading(f"udp_multicast://{group}:{port}")
    rubbish = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sent = [can.Message(arbitration_id=0x123, data=[number], is_extended_id=False) for number in range(200)]
    wide = can.Message(arbitration_id=0x1ABCDEF, data=bytes(range(48)), is_fd=True, bitrate_switch=True)
    try:
        for message in sent:
            bus.send(message)
            rubbish.sendto(b"\x81\xa1x\x01", (group, port))
        bus.send(wide)
        reading.until(lambda: reading.count == 201 and reading.state().refused == 200)
    finally:
        bus.shutdown()
        rubbish.close()
        reading.close()
    frames = reading.frames
    assert frames.payload[:200, 0].tolist() == [number % 256 for number in range(200)]
    assert frames.payload[200, :48].tolist() == list(range(48))
    assert (np.diff(frames.t_us) >= 0).all()
    assert reading.losses == []
