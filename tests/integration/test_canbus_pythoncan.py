"""Buses through python-can: its virtual interface, its UDP multicast interface, and drivers that fail."""

import importlib
import inspect
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import can
import numpy as np
import pytest

from ved.canbus import pythoncan, watchedbus
from ved.canbus.merged import MergedSource
from ved.canbus.pythoncan import PythonCanReader, listen_only, message_columns
from ved.canbus.source import SourceLoss
from ved.errors import UserError
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.records import LossPlace

DEADLINE_S = 20.0


def messages() -> list[can.Message]:
    return [
        can.Message(arbitration_id=0x123, data=[1, 2, 3], is_extended_id=False),
        can.Message(arbitration_id=0x1234_5678, data=range(8), is_extended_id=True),
        can.Message(arbitration_id=0x7FF, is_remote_frame=True, dlc=4, is_extended_id=False),
        can.Message(arbitration_id=0x321, data=range(64), is_fd=True, bitrate_switch=True, is_extended_id=False),
        can.Message(arbitration_id=4, data=[0, 8], is_error_frame=True, is_extended_id=False),
    ]


def check_special(frames: FrameColumns) -> None:
    assert frames.arbitration_id.tolist() == [0x123, 0x1234_5678, 0x7FF, 0x321, 4]
    assert frames.flags.tolist() == [
        0,
        FrameFlag.EXTENDED,
        FrameFlag.REMOTE,
        FrameFlag.FD | FrameFlag.BIT_RATE_SWITCH,
        FrameFlag.ERROR,
    ]
    assert frames.length.tolist() == [3, 8, 4, 64, 2]
    assert [row.tobytes().rstrip(b"\0") for row in frames.payload] == [
        b"\1\2\3",
        bytes(range(8)),
        b"",
        bytes(range(64)),
        b"\0\x08",
    ]


def read_until(source: MergedSource, is_done: Callable[[list[FrameColumns]], bool]) -> FrameColumns:
    parts: list[FrameColumns] = []
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_done(parts):
        assert time.monotonic() < deadline_s
        parts.append(source.read(0.01))
    return FrameColumns.concatenate(parts)


def have(count: int) -> Callable[[list[FrameColumns]], bool]:
    return lambda parts: sum(map(len, parts)) >= count


def up(source: MergedSource) -> Callable[[list[FrameColumns]], bool]:
    return lambda _: source.bus_states()[0].is_up


def down(source: MergedSource) -> Callable[[list[FrameColumns]], bool]:
    return lambda _: not source.bus_states()[0].is_up


def test_frames_of_the_virtual_interface_come_whole_in_order_and_in_time() -> None:
    with can.Bus("ved-whole", "virtual") as car:
        source = MergedSource([PythonCanReader(3, "virtual", "ved-whole", 500_000)])
        origin_ns = time.monotonic_ns()
        source.open(origin_ns)
        read_until(source, up(source))
        before_us = (time.monotonic_ns() - origin_ns) // 1000
        for message in messages():
            car.send(message)
        after_us = (time.monotonic_ns() - origin_ns) // 1000
        frames = read_until(source, have(5))
        check_special(frames)
        assert set(frames.bus) == {3}
        assert (frames.t_us >= before_us - 5).all()
        assert (frames.t_us <= after_us + 5).all()
        for number in range(2_000):
            car.send(can.Message(arbitration_id=1, data=number.to_bytes(8, "little"), is_extended_id=False))
        frames = read_until(source, have(2_000))
        assert np.ascontiguousarray(frames.payload).view("<u8")[:, 0].tolist() == list(range(2_000))
        assert (np.diff(frames.t_us) >= 0).all()
        source.close()
        assert source.losses() == []
    assert "python-can" not in {thread.name for thread in threading.enumerate()}


def test_frames_of_the_multicast_interface() -> None:
    """Another process's bus, over a real socket: where loopback multicast works."""
    group, kind = "239.74.163.9", "udp_multicast"
    try:
        car = can.Bus(group, kind, port=43_117)
    except (can.CanError, OSError) as error:
        pytest.skip(f"no multicast bus here (python-can needs msgpack for it): {error}")

    def make() -> can.BusABC:
        return can.Bus(group, kind, ignore_config=True, port=43_117)

    with car:
        source = MergedSource([PythonCanReader(0, kind, group, 500_000, make)])
        source.open(time.monotonic_ns())
        read_until(source, up(source))
        for message in messages():
            car.send(message)
        check_special(read_until(source, have(5)))
        source.close()
        assert source.losses() == []


def test_a_driver_that_fails_is_opened_again_and_its_absence_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchedbus, "RETRY_S", 0.02)
    opened: list[can.BusABC] = []
    is_plugged = True

    def make() -> can.BusABC:
        if not is_plugged:
            raise can.CanInitializationError("no adapter")
        opened.append(can.Bus("ved-fails", "virtual"))
        return opened[-1]

    with can.Bus("ved-fails", "virtual") as car:
        source = MergedSource([PythonCanReader(0, "virtual", "ved-fails", 500_000, make)])
        origin_ns = time.monotonic_ns()
        source.open(origin_ns)
        read_until(source, up(source))
        car.send(messages()[0])
        read_until(source, have(1))
        is_plugged = False
        opened[0].shutdown()
        read_until(source, down(source))
        gone_us = (time.monotonic_ns() - origin_ns) // 1000
        read_until(source, lambda _: "no adapter" in str(source.bus_states()[0].trouble))
        is_plugged = True
        back_us = (time.monotonic_ns() - origin_ns) // 1000
        read_until(source, up(source))
        assert source.bus_states()[0].trouble is None
        car.send(messages()[1])
        assert read_until(source, have(1)).arbitration_id.tolist() == [0x1234_5678]
        source.close()
    losses = source.losses()
    assert {(loss.place, loss.bus, loss.count) for loss in losses} == {(LossPlace.BUS_DOWN, 0, -1)}
    assert min(loss.t_from_us for loss in losses) <= gone_us
    assert max(loss.t_to_us for loss in losses) >= back_us


def test_a_full_queue_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythoncan, "QUEUE_FRAMES", 100)
    with can.Bus("ved-full", "virtual") as car:
        reader = PythonCanReader(1, "virtual", "ved-full", 500_000)
        reader.open(time.monotonic_ns())
        deadline_s = time.monotonic() + DEADLINE_S
        while not reader.is_open:
            assert time.monotonic() < deadline_s
            time.sleep(0.001)
        got, losses = 0, list[SourceLoss]()
        for number in range(1_000):
            car.send(can.Message(arbitration_id=number))
        while got + sum(loss.count for loss in losses) < 1_000:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)  # let the thread fill its queue
            reading = reader.read()
            got += len(reading.frames)
            losses += reading.losses
        losses += reader.close()
    assert got < 1_000
    assert got + sum(loss.count for loss in losses) == 1_000
    assert {(loss.place, loss.bus) for loss in losses} == {(LossPlace.SOURCE_QUEUE, 1)}
    assert all(0 <= loss.t_from_us <= loss.t_to_us for loss in losses)


def test_own_frames_are_marked_and_narrow_payloads_stay_narrow() -> None:
    sent = can.Message(arbitration_id=1, data=[9], is_rx=False)
    frames = message_columns([sent], 0, np.array([7]))
    assert frames.flags.tolist() == [FrameFlag.EXTENDED | FrameFlag.TRANSMITTED]
    assert frames.payload.shape == (1, 8)


LISTENING = {
    "cantact": ("monitor", True),
    "kvaser": ("driver_mode", False),
    "nixnet": ("listen_only", True),
    "pcan": ("state", can.BusState.PASSIVE),
    "seeedstudio": ("operation_mode", "silent"),
    "slcan": ("listen_only", True),
    "systec": ("state", can.BusState.PASSIVE),
    "vector": ("listen_only", True),
}


def opened_with(monkeypatch: pytest.MonkeyPatch, reader: PythonCanReader, kind: str) -> dict[str, Any]:
    """What python-can's class of this kind is given when the reader opens its bus, twice."""
    asked: list[dict[str, Any]] = []

    def record(channel: str, **given: Any) -> can.BusABC:
        asked.append({"channel": channel, **given})
        raise can.CanInitializationError("no adapter")

    monkeypatch.setitem(sys.modules, "recorder", SimpleNamespace(RecorderBus=record))
    monkeypatch.setitem(can.interfaces.BACKENDS, kind, ("recorder", "RecorderBus"))
    deadline_s = time.monotonic() + DEADLINE_S
    for times in (1, 2):
        reader.open(time.monotonic_ns())
        while len(asked) < times:
            assert time.monotonic() < deadline_s
            time.sleep(0.001)
        reader.close()
    return asked[-1]


@pytest.mark.parametrize("kind", sorted(LISTENING))
def test_an_adapter_is_asked_to_listen_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    name, value = LISTENING[kind]
    with caplog.at_level(logging.INFO, "ved"):
        given = opened_with(monkeypatch, PythonCanReader(0, kind, "1", 250_000), kind)
    assert given == {"channel": "1", "bitrate": 250_000, name: value}
    assert caplog.records == []


@pytest.mark.parametrize(("kind", "lines"), [("gs_usb", 1), ("ixxat", 1), ("virtual", 0), ("udp_multicast", 0)])
def test_an_adapter_that_cannot_be_asked_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str, lines: int
) -> None:
    with caplog.at_level(logging.INFO, "ved"):
        given = opened_with(monkeypatch, PythonCanReader(0, kind, "1", 250_000), kind)
    assert given == {"channel": "1", "bitrate": 250_000}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == lines
    assert all(f"bus {kind}:1: " in line and "acknowledges frames" in line for line in told)


@pytest.mark.parametrize("kind", sorted(LISTENING))
def test_the_library_knows_what_it_is_asked(kind: str) -> None:
    """Its classes take any keyword in silence: one of another name would leave the adapter active."""
    module, name = can.interfaces.BACKENDS[kind]
    bus_class = getattr(importlib.import_module(module), name)
    (keyword,) = listen_only(kind)
    is_parameter = keyword in inspect.signature(bus_class.__init__).parameters
    assert is_parameter or f'kwargs.get("{keyword}"' in inspect.getsource(bus_class.__init__)


def test_a_peak_adapter_listens_before_it_is_on_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own class, on a driver that takes down what it is told."""
    from can.interfaces.pcan import basic, pcan

    driver = MagicMock()
    driver.GetValue.return_value = (basic.PCAN_ERROR_OK, 0)
    driver.SetValue.return_value = driver.Initialize.return_value = basic.PCAN_ERROR_OK
    monkeypatch.setattr(pcan, "PCANBasic", lambda: driver)
    monkeypatch.setattr(pcan.PcanBus, "check_api_version", lambda self: None)
    monkeypatch.setattr(pcan, "HAS_EVENTS", False)
    bus = PythonCanReader(0, "pcan", "PCAN_USBBUS1", 500_000)._make()
    told = [(call[0], call[1][1:]) for call in driver.method_calls if call[0] in ("SetValue", "Initialize")]
    assert told[0] == ("SetValue", (basic.PCAN_LISTEN_ONLY, basic.PCAN_PARAMETER_ON))
    assert told[1][0] == "Initialize"
    assert not any(what[0] == basic.PCAN_LISTEN_ONLY for name, what in told[1:] if name == "SetValue")
    bus.shutdown()


def test_an_unknown_kind_of_interface_is_named() -> None:
    source = MergedSource([PythonCanReader(0, "pkan", "1", 500_000)])
    with pytest.raises(UserError, match=r"pkan:1.*'pkan'.*pcan"):
        source.open(time.monotonic_ns())
    source.close()
