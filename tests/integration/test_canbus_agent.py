"""Real sockets through the whole agent: every frame sent is stored at the server or declared there as lost."""

import asyncio
import struct
import sys
import time
from pathlib import Path

import numpy as np

from ved.agent.agent import AgentProgress, AgentReport, AgentSettings, run_agent
from ved.canbus.merged import MergedSource
from ved.canbus.socketcan import SocketCanReader
from ved.cli.describe import buses_of, describe
from ved.config.vehicle import load_vehicle
from ved.model.records import Clock, ClockSource, Description, Loss, LossPlace

sys.path.insert(0, str(Path(__file__).parent))
from canbus_helpers import UdpBus, can_frame, numbered
from link_helpers import DESCRIPTION, Site, notes, stored_frames

ROUNDS = 30
BURST = 100
DEADLINE_S = 30.0


def test_what_is_sent_is_stored_or_declared_as_lost(tmp_path: Path) -> None:
    """Bus 0 loses nothing, bus 1 has too small a buffer for its bursts, bus 2 is never there."""
    site = Site(tmp_path / "data")
    site.prepare("fs")
    well, narrow, absent = UdpBus(), UdpBus(buffer_bytes=16 << 10), UdpBus()
    absent.is_there = False
    buses = (well, narrow, absent)
    source = MergedSource(
        [SocketCanReader(number, f"udp{number}", bus.open_socket) for number, bus in enumerate(buses)]
    )
    last: list[AgentProgress] = []
    sent = 0

    async def go() -> AgentReport:
        nonlocal sent
        async with site.serving():
            site.enrol_here(tmp_path / "car")
            stop = asyncio.Event()
            settings = AgentSettings(tmp_path / "car", "fs", batch_s=0.02)
            agent = asyncio.create_task(run_agent(settings, source, DESCRIPTION, stop, last.append))
            while not well.opened or not narrow.opened:
                await asyncio.sleep(0.01)
            for _ in range(ROUNDS):
                for _ in range(BURST):
                    for bus in (well, narrow):
                        bus.transmit([can_frame(0x100, struct.pack("<Q", sent))])
                    sent += 1
                await asyncio.sleep(0.01)
            while last[-1].stored_frames + source.bus_states()[1].lost_frames < 2 * sent:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)  # a loss is told when it is a quarter of a second old
            stop.set()
            return await agent

    begun_us = time.time_ns() // 1000
    report = asyncio.run(go())
    for bus in buses:
        bus.close()
    records = site.records()
    frames, _ = stored_frames(records, report.epoch)
    numbers = np.ascontiguousarray(frames.payload).view("<u8")[:, 0]
    losses = [one for one in notes(records, report.epoch) if isinstance(one, Loss)]
    assert numbers[frames.bus == 0].tolist() == list(range(sent))
    arrived = numbers[frames.bus == 1].tolist()
    assert arrived == sorted(arrived)
    assert len(set(arrived)) == len(arrived) < sent
    kernel = [loss for loss in losses if loss.place == LossPlace.KERNEL]
    assert {loss.bus for loss in kernel} == {1}
    assert sum(loss.count for loss in kernel) == sent - len(arrived) == report.lost_frames
    down = [loss for loss in losses if loss.place == LossPlace.BUS_DOWN]
    assert {(loss.bus, loss.count) for loss in down} == {(2, -1)}
    assert max(loss.t_to_us for loss in down) >= int(frames.t_us[-1])
    assert all(loss.t_from_us <= loss.t_to_us for loss in losses)
    (clock, *_) = [one for one in notes(records, report.epoch) if isinstance(one, Clock)]
    assert clock.source in (ClockSource.HOST, ClockSource.NTP)
    assert begun_us <= clock.utc_us <= time.time_ns() // 1000


VEHICLE = """
name = "fs"
title_en = "Car"
title_fr = "Voiture"
[[bus]]
index = 0
name = "powertrain"
bitrate_hz = 500000
dbc = ["car.dbc"]
"""
DBC_WITH_ZERO = b'VERSION ""\nBO_ 256 Engine: 8 ECU\n SG_ Speed : 0|64@1+ (1,0) [0|0] "" ECU\nCM_ BO_ 256 "a\0b";\n'


def test_a_zero_byte_in_a_dbc_costs_no_frame(tmp_path: Path) -> None:
    folder = tmp_path / "vehicle"
    folder.mkdir()
    (folder / "vehicle.toml").write_text(VEHICLE)
    (folder / "car.dbc").write_bytes(DBC_WITH_ZERO)
    car = load_vehicle(folder)
    site = Site(tmp_path / "data")
    site.prepare("fs")
    bus = UdpBus()
    source = MergedSource([SocketCanReader(0, "udp0", bus.open_socket)])
    last: list[AgentProgress] = []

    async def go() -> AgentReport:
        async with site.serving(), asyncio.timeout(DEADLINE_S):
            site.enrol_here(tmp_path / "car")
            stop = asyncio.Event()
            described = describe(car.name, car.title_en, buses_of(car))
            settings = AgentSettings(tmp_path / "car", "fs", batch_s=0.02)
            agent = asyncio.create_task(run_agent(settings, source, described, stop, last.append))
            while not bus.opened:
                await asyncio.sleep(0.01)
            bus.transmit([numbered(number) for number in range(50)])
            while not agent.done() and (not last or last[-1].stored_frames < 50):
                await asyncio.sleep(0.01)
            stop.set()
            return await agent

    report = asyncio.run(go())
    bus.close()
    records = site.records()
    frames, _ = stored_frames(records, report.epoch)
    assert np.ascontiguousarray(frames.payload).view("<u8")[:, 0].tolist() == list(range(50))
    (described,) = [one for one in notes(records, report.epoch) if isinstance(one, Description)]
    assert described.buses[0].dbc_texts == (DBC_WITH_ZERO.decode().replace("\0", "\ufffd"),)
