"""Agent, car journal, TLS link, ingest and server journal together."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ved.agent.agent import AgentProgress, AgentReport, AgentSettings, run_agent
from ved.broker.open import open_journal
from ved.codec.records import peek
from ved.errors import UserError
from ved.link.credentials import save_credentials
from ved.link.trust import client_context
from ved.model.records import Clock, ClockSource, Description, Lane, LinkState, Loss, LossPlace, RecordKind

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import DESCRIPTION, ListSource, Relay, Site, make_frames, notes, stored_frames


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "data")
    site.prepare("fs")
    return site


def test_recording_arrives_whole(site: Site, tmp_path: Path) -> None:
    async def go() -> AgentReport:
        async with site.serving():
            site.enrol_here(tmp_path / "car")
            settings = AgentSettings(tmp_path / "car", "fs")
            return await run_agent(settings, ListSource(65_296), DESCRIPTION, asyncio.Event())

    report = asyncio.run(go())
    assert report.is_complete
    assert report.frames == report.stored_frames == report.stored_seq == 65_296
    assert report.lost_frames == 0
    frames, seqs = stored_frames(site.records(), report.epoch)
    assert seqs.runs() == [(1, 65_296)]
    assert frames.equals(make_frames(1, 65_296))
    described, clock = notes(site.records(), report.epoch)
    assert described == replace(DESCRIPTION, epoch=report.epoch, number=1)
    assert clock == Clock("fs", report.epoch, 2, 0, 1_700_000_000_000_000, ClockSource.RECORDED, 0)
    # A recording's time is not that of the wall: the server must not pair the two.
    assert [one for one in site.records() if isinstance(one, Clock)] == [clock]


def test_the_same_recording_again_is_another_epoch(site: Site, tmp_path: Path) -> None:
    async def go() -> list[AgentReport]:
        async with site.serving():
            site.enrol_here(tmp_path / "car")
            settings = AgentSettings(tmp_path / "car", "fs")
            return [await run_agent(settings, ListSource(2_000), DESCRIPTION, asyncio.Event()) for _ in range(2)]

    first, second = asyncio.run(go())
    assert first.epoch != second.epoch
    records = site.records()
    for report in (first, second):
        assert stored_frames(records, report.epoch)[0].equals(make_frames(1, 2_000))


def test_a_live_source_runs_until_it_is_stopped(site: Site, tmp_path: Path) -> None:
    async def go() -> AgentReport:
        async with site.serving():
            site.enrol_here(tmp_path / "car")
            source = ListSource(10**9, chunk=60, interval_s=0.01, is_realtime=True)
            stop, last = asyncio.Event(), []
            settings = AgentSettings(tmp_path / "car", "fs")
            agent = asyncio.create_task(run_agent(settings, source, DESCRIPTION, stop, last.append))
            while not last or last[-1].stored_frames < 3_000 or last[-1].rtt_us is None:
                await asyncio.sleep(0.01)
            assert last[-1].is_connected
            stop.set()
            report = await agent
            assert not source.is_open
            return report

    report = asyncio.run(go())
    assert report.is_complete
    assert report.stored_seq == report.frames >= 3_000
    records = site.records()
    assert stored_frames(records, report.epoch)[0].equals(make_frames(1, report.frames))
    by_server = [one for one in records if isinstance(one, Clock) and one.source == ClockSource.SERVER]
    assert len(by_server) == 1
    assert by_server[0].number == 0
    assert 0 <= by_server[0].t_us < 60_000_000
    states = [one for one in records if isinstance(one, LinkState)]
    assert [(one.is_up, one.lane, one.epoch) for one in states] == [
        (True, Lane.LIVE, report.epoch),
        (False, Lane.LIVE, report.epoch),
    ]
    assert states[1].rtt_us > 0


def test_after_a_dead_zone_the_newest_comes_first_and_the_rest_over_backfill(site: Site, tmp_path: Path) -> None:
    async def go() -> AgentReport:
        async with site.serving(), Relay(site.port) as relay:
            site.enrol_here(tmp_path / "car", port=relay.port)
            source = ListSource(10**9, chunk=60, interval_s=0.01, is_realtime=True)
            stop, last = asyncio.Event(), []
            settings = AgentSettings(tmp_path / "car", "fs")
            agent = asyncio.create_task(run_agent(settings, source, DESCRIPTION, stop, last.append))

            async def until(condition) -> AgentProgress:
                while not last or not condition(last[-1]):
                    await asyncio.sleep(0.01)
                return last[-1]

            await until(lambda now: now.stored_frames > 1_000)
            relay.is_closed = True
            relay.cut()
            before = await until(lambda now: not now.is_connected)
            await until(lambda now: now.frames > before.frames + 12_000)
            relay.is_closed = False
            await until(lambda now: now.stored_frames > before.frames + 12_000)
            source.allowed = source.sent
            await until(lambda now: now.stored_frames == now.frames == source.sent)
            stop.set()
            return await agent

    report = asyncio.run(go())
    records = site.records()
    frames, seqs = stored_frames(records, report.epoch)
    assert seqs.runs() == [(1, report.frames)]
    assert frames.equals(make_frames(1, report.frames))
    assert report.lost_frames == 0

    async def arrivals() -> list[tuple[Lane, int]]:
        reader = open_journal(site.data, "frames").reader("earliest")
        out = []
        while entries := await reader.read(timeout_s=0):
            out += [(one.arrival.lane, peek(one.record).number) for one in entries if is_batch(one.record)]
        reader.close()
        return out

    order = asyncio.run(arrivals())
    backfilled = [seq for lane, seq in order if lane == Lane.BACKFILL]
    live = [seq for lane, seq in order if lane == Lane.LIVE]
    assert len(backfilled) > 10
    assert live == sorted(live)
    assert backfilled == sorted(backfilled)
    first_backfilled = order.index((Lane.BACKFILL, backfilled[0]))
    assert max(seq for lane, seq in order[:first_backfilled] if lane == Lane.LIVE) > backfilled[-1]


def is_batch(record: bytes) -> bool:
    return peek(record).kind == RecordKind.BATCH


def test_frames_that_overflow_the_queue_are_declared(site: Site, tmp_path: Path) -> None:
    async def go() -> AgentReport:
        async with site.serving():
            site.enrol_here(tmp_path / "car")
            source = ListSource(5_000, chunk=5_000, is_realtime=True)
            stop, last = asyncio.Event(), []
            settings = AgentSettings(tmp_path / "car", "fs", queue_frames=2_000)
            agent = asyncio.create_task(run_agent(settings, source, DESCRIPTION, stop, last.append))
            while not last or last[-1].stored_frames < 2_000:
                await asyncio.sleep(0.01)
            stop.set()
            return await agent

    report = asyncio.run(go())
    assert (report.frames, report.stored_frames, report.lost_frames) == (5_000, 2_000, 3_000)
    losses = [one for one in site.records() if isinstance(one, Loss)]
    assert sum(one.count for one in losses) == 3_000
    assert {one.place for one in losses} == {LossPlace.SOURCE_QUEUE}
    lost = make_frames(2_001, 3_000)
    for loss in losses:
        t_us = lost.t_us[lost.bus == loss.bus]
        assert (loss.count, loss.t_from_us, loss.t_to_us) == (len(t_us), t_us[0], t_us[-1])


def test_every_address_of_the_server_gets_a_turn(site: Site, tmp_path: Path) -> None:
    async def go() -> AgentReport:
        async with site.serving():
            credentials = site.credentials()
            dead = ("wss://127.0.0.1:1", "wss://no-such-host.invalid:1")
            save_credentials(tmp_path / "car", replace(credentials, server_urls=(*dead, *credentials.server_urls)))
            settings = AgentSettings(tmp_path / "car", "fs")
            return await run_agent(settings, ListSource(1_000), DESCRIPTION, asyncio.Event())

    assert asyncio.run(go()).is_complete


def test_a_recording_can_be_stopped_while_there_is_no_server(site: Site, tmp_path: Path) -> None:
    async def go() -> AgentReport:
        site.port = 1
        site.enrol_here(tmp_path / "car")
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.5, stop.set)
        settings = AgentSettings(tmp_path / "car", "fs")
        return await run_agent(settings, ListSource(5_000), DESCRIPTION, stop)

    report = asyncio.run(go())
    assert not report.is_complete
    assert (report.frames, report.stored_frames, report.lost_frames) == (5_000, 0, 0)


def test_two_agents_in_one_folder(site: Site, tmp_path: Path) -> None:
    async def go() -> None:
        async with site.serving():
            site.enrol_here(tmp_path / "car")
            settings = AgentSettings(tmp_path / "car", "fs")
            stop, last = asyncio.Event(), []
            source = ListSource(10**9, interval_s=0.01, is_realtime=True)
            first = asyncio.create_task(run_agent(settings, source, DESCRIPTION, stop, last.append))
            while not last:
                await asyncio.sleep(0.01)
            with pytest.raises(UserError):
                await run_agent(settings, ListSource(1), DESCRIPTION, asyncio.Event())
            stop.set()
            await first

    asyncio.run(go())


@pytest.mark.parametrize("offered", [None, ["ved-link.99"], ["chat", "ved-link.2"]])
def test_without_a_common_version_there_is_no_connection(site: Site, offered: list[str] | None) -> None:
    async def go() -> None:
        async with site.serving():
            tls = client_context(site.credentials().ca_pem, 0.0)
            with pytest.raises(InvalidStatus) as caught:
                await connect(f"wss://127.0.0.1:{site.port}/enrol", ssl=tls, subprotocols=offered, proxy=None)  # type: ignore[arg-type]
            assert caught.value.response.status_code == 400
            with pytest.raises(InvalidStatus) as caught:
                await connect(f"wss://127.0.0.1:{site.port}/", ssl=tls, proxy=None)
            assert caught.value.response.status_code == 404

    asyncio.run(go())


def test_description_of_another_vehicle_is_written_for_this_one(site: Site, tmp_path: Path) -> None:
    """The agent publishes for its own vehicle, whatever the description says."""

    async def go() -> AgentReport:
        async with site.serving():
            site.enrol_here(tmp_path / "car")
            settings = AgentSettings(tmp_path / "car", "fs")
            return await run_agent(settings, ListSource(10), replace(DESCRIPTION, vehicle="pe"), asyncio.Event())

    report = asyncio.run(go())
    [described] = [one for one in site.records() if isinstance(one, Description)]
    assert (described.vehicle, described.epoch) == ("fs", report.epoch)
