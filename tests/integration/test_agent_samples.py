"""An agent with sensors: values over HTTP become samples, with the promises that frames have, beside frames."""

import asyncio
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from ved.agent.agent import AgentProgress, AgentSettings, run_agent
from ved.agent.life import Life, crash_loss
from ved.canbus.merged import MergedSource
from ved.canbus.network.readers import network_reader
from ved.codec.records import encode_record
from ved.journal.journal import Journal
from ved.link.holes import POSTHUMOUS
from ved.model.records import ALL_BUSES, Clock, Incident, LinkState, Loss, LossPlace, Record
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns
from ved.sensors.influxsource import InfluxSensor
from ved.sensors.source import MergedSensors

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import DESCRIPTION, Site, stored_frames


def stored_samples(records: list[Record], epoch: bytes) -> list[tuple[int, str, float]]:
    """(seq, channel, value) in order; an AssertionError when a seq came twice or is missing."""
    batches = sorted((one for one in records if isinstance(one, SampleBatch)), key=lambda one: one.first_seq)
    out: list[tuple[int, str, float]] = []
    for batch in batches:
        assert batch.epoch == epoch
        assert batch.first_seq == len(out) + 1
        names = [batch.channels[number].name for number in batch.samples.channel.tolist()]
        values = batch.samples.value.tolist()
        seqs = range(batch.first_seq, batch.first_seq + batch.count)
        out += zip(seqs, names, values, strict=True)
    return out


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def test_frames_and_samples_of_one_agent_survive_the_server(tmp_path: Path) -> None:
    """One key, two epochs: the server goes away and comes back in between, and nothing is lost or doubled."""
    site = Site(tmp_path / "data")
    site.prepare("fs")
    listener = InfluxSensor("influx://127.0.0.1:0", ("127.0.0.1", 0), "")
    sensors = MergedSensors([listener])
    buses = MergedSource([network_reader(0, "cannelloni://127.0.0.1:0")])
    told: dict[str, AgentProgress] = {}
    points = 0

    async def post(client: httpx.AsyncClient, count: int) -> None:
        nonlocal points
        for _ in range(count):
            lines = "".join(f"pack temperature={points + row}\n" for row in range(10))
            answer = await client.post(f"http://127.0.0.1:{listener.port}/write", content=lines)
            assert answer.status_code == 204
            points += 10
            await asyncio.sleep(0.005)

    async def go() -> tuple[bytes, bytes]:
        stop = asyncio.Event()
        async with httpx.AsyncClient(trust_env=False) as client:
            async with site.serving():
                site.enrol_here(tmp_path / "car")
                (tmp_path / "car" / "sensors").mkdir()
                frames = AgentSettings(tmp_path / "car", "fs", batch_s=0.02)
                samples = AgentSettings(tmp_path / "car" / "sensors", "fs", batch_s=0.02, key_dir=tmp_path / "car")
                runs = [
                    asyncio.create_task(
                        run_agent(frames, buses, DESCRIPTION, stop, lambda now: told.update(frames=now))
                    ),
                    asyncio.create_task(run_agent(samples, sensors, None, stop, lambda now: told.update(samples=now))),
                ]
                await until(lambda: listener.port and len(told) == 2)
                await post(client, 20)
                send_frames(buses, 50)
                await until(lambda: told["samples"].stored_frames == 200 and told["frames"].stored_frames == 50)
                await asyncio.sleep(3.5)  # two agents of one key would have been noticed by now
            await post(client, 20)
            async with site.serving():
                await post(client, 5)
                await until(lambda: told["samples"].stored_frames == 450)
                stop.set()
                reports = await asyncio.gather(*runs)
        assert all(report.is_complete and not report.lost_frames for report in reports)
        return reports[0].epoch, reports[1].epoch

    frames_epoch, samples_epoch = asyncio.run(go())
    records = site.records()
    rows = stored_samples(records, samples_epoch)
    assert rows == [(seq, "pack.temperature", float(seq - 1)) for seq in range(1, 451)]
    assert len(stored_frames(records, frames_epoch)[0]) == 50
    assert not [one for one in records if isinstance(one, Incident)]
    assert {one.epoch for one in records if isinstance(one, LinkState)} == {frames_epoch}
    clocks = [one for one in records if isinstance(one, Clock) and one.epoch == samples_epoch]
    batch = next(one for one in records if isinstance(one, SampleBatch))
    own = next(one for one in clocks if one.number)
    assert abs(int(batch.samples.t_us[0]) + own.utc_us - own.t_us - time.time() * 1e6) < 120e6


def send_frames(buses: MergedSource, count: int) -> None:
    port = buses_port(buses)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(count):
            datagram = struct.pack(">BBBHIB", 2, 0, number % 256, 1, 0x100 + number, 1) + b"\x05"
            sock.sendto(datagram, ("127.0.0.1", port))


def buses_port(buses: MergedSource) -> int:
    fd = buses._buses[0].fileno()
    assert fd is not None
    with socket.socket(fileno=socket.dup(fd)) as sock:
        return int(sock.getsockname()[1])


def test_samples_that_do_not_fit_the_cars_journal_are_declared(tmp_path: Path) -> None:
    """No server for long: the oldest samples go, exactly declared, and what is left arrives."""
    site = Site(tmp_path / "data")
    site.prepare("fs")
    listener = InfluxSensor("influx://127.0.0.1:0", ("127.0.0.1", 0), "")
    told: list[AgentProgress] = []
    count = 60_000

    async def go() -> tuple[bytes, int]:
        site.enrol_here(tmp_path / "car")
        (tmp_path / "car" / "sensors").mkdir()
        stop = asyncio.Event()
        settings = AgentSettings(
            tmp_path / "car" / "sensors", "fs", batch_s=0.01, journal_bytes=40_000, key_dir=tmp_path / "car"
        )
        run = asyncio.create_task(run_agent(settings, MergedSensors([listener]), None, stop, told.append))
        await until(lambda: listener.port and told)
        async with httpx.AsyncClient(trust_env=False) as client:
            for first in range(0, count, 10_000):
                lines = "".join(
                    f"a v={(one * 7919) % 1000003}.{one % 977:03}\n" for one in range(first, first + 10_000)
                )
                answer = await client.post(f"http://127.0.0.1:{listener.port}/write", content=lines, timeout=60)
                assert answer.status_code == 204
                await until(lambda at=first: told[-1].frames >= at + 10_000)
        async with site.serving():
            await until(lambda: told[-1].frames == count and told[-1].stored_frames + told[-1].lost_frames >= count)
            await until(lambda: told[-1].lost_frames + told[-1].stored_frames == count)
            stop.set()
            report = await run
        return report.epoch, report.lost_frames

    site.port = free_port()
    epoch, _ = asyncio.run(go())
    records = site.records()
    losses = [one for one in records if isinstance(one, Loss) and one.epoch == epoch]
    assert losses
    assert {(one.place, one.bus) for one in losses} == {(LossPlace.CAR_DISK, ALL_BUSES)}
    stored = sum(one.count for one in records if isinstance(one, SampleBatch))
    assert stored + sum(one.count for one in losses) == count


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("last_t_us", [5_000_000, -7])
def test_a_crashed_agents_samples_are_declared_from_the_last_one_kept(tmp_path: Path, last_t_us: int) -> None:
    epoch = b"e" * 16
    import numpy as np

    columns = SampleColumns(np.array([-9, last_t_us]), np.zeros(2, np.uint16), np.array([1.0, 2.0]))
    journal = Journal.open(tmp_path / "journal")
    journal.append(encode_record(SampleBatch("fs", epoch, 41, (SampleChannel("a.b"),), columns)))
    journal.sync()
    loss, at = crash_loss(journal, Life("fs", epoch, 0, "boot", 42, 0), 9_000_000_000, "boot")
    journal.close()
    assert at is None
    assert (loss.number, loss.place, loss.t_from_us) == (POSTHUMOUS + 43, LossPlace.CAR_CRASH, max(0, last_t_us))
    assert loss.t_to_us == 9_000_000
