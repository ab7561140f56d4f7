"""The link on an uplink that is slow: the live lane goes first, the backlog is paced."""

import asyncio
import sys
import time
from pathlib import Path

import numpy as np

from ved.agent.agent import AgentProgress, AgentReport, AgentSettings, run_agent
from ved.broker.open import open_stream
from ved.codec.records import decode_record
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, Lane, Preview, Record

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import DESCRIPTION, ListSource, Site, SlowUplink, stored_frames


class NoisySource(ListSource):
    """A live bus whose payloads hardly compress, so that a slow uplink is one: about 9 bytes per frame."""

    def __init__(self, frames_per_s: int) -> None:
        super().__init__(10**9, chunk=frames_per_s // 50, interval_s=0.02, is_realtime=True)
        self._origin_ns = 0

    def open(self, origin_mono_ns: int) -> None:
        self._origin_ns = origin_mono_ns
        super().open(origin_mono_ns)

    def read(self, timeout_s: float) -> FrameColumns | None:
        frames = super().read(timeout_s)
        if frames is not None and len(frames):
            noise = np.random.default_rng(self.sent).integers(0, 256, (len(frames), 5), dtype=np.uint8)
            frames.payload[:, :5] = noise
            frames.t_us[:] = (time.monotonic_ns() - self._origin_ns) // 1000
        return frames


class Agent:
    """An agent in this event loop, watched through its progress."""

    def __init__(self, state_dir: Path, source: ListSource) -> None:
        self.source = source
        self.stop = asyncio.Event()
        self.last: AgentProgress | None = None
        run = run_agent(AgentSettings(state_dir, "fs"), source, DESCRIPTION, self.stop, self._note)
        self.task = asyncio.create_task(run)

    def _note(self, progress: AgentProgress) -> None:
        self.last = progress

    async def until(self, condition) -> None:
        async with asyncio.timeout(60):
            while self.last is None or not condition(self.last):
                await asyncio.sleep(0.01)

    async def end(self) -> AgentReport:
        self.stop.set()
        return await self.task


def arrivals(site: Site) -> list[tuple[Arrival, Record]]:
    async def read() -> list[tuple[Arrival, Record]]:
        reader = open_stream(site.data, "frames").reader("earliest")
        out: list[tuple[Arrival, Record]] = []
        while entries := await reader.read(timeout_s=0):
            out += [(entry.arrival, decode_record(entry.record)) for entry in entries]
        reader.close()
        return out

    return asyncio.run(read())


def test_a_backlog_goes_beside_the_live_lane_and_all_arrives(tmp_path: Path) -> None:
    site = Site(tmp_path / "data")
    site.prepare("fs")

    async def go() -> tuple[AgentReport, AgentReport]:
        async with site.serving(), SlowUplink(site.port, 60_000) as uplink:
            site.enrol_here(tmp_path / "car", port=1)  # a dead zone
            offline = Agent(tmp_path / "car", NoisySource(4_000))
            await offline.until(lambda now: now.frames > 4_000)
            before = await offline.end()
            site.enrol_here(tmp_path / "car", port=uplink.port)
            online = Agent(tmp_path / "car", NoisySource(2_000))
            await online.until(lambda now: now.stored_frames > 2_000 and now.journal_bytes < 60_000)
            online.source.allowed = online.source.sent
            await online.until(lambda now: now.stored_frames == now.frames == online.source.sent)
            return before, await online.end()

    before, after = asyncio.run(go())
    came = [(arrival, record) for arrival, record in arrivals(site) if isinstance(record, FrameBatch)]
    assert {arrival.lane for arrival, record in came if record.epoch == before.epoch} == {Lane.BACKFILL}
    _, seqs = stored_frames([record for _, record in came], before.epoch)
    assert seqs.runs() == [(1, before.frames)]
    live = [record for arrival, record in came if arrival.lane == Lane.LIVE]
    _, seqs = stored_frames([record for _, record in came], after.epoch)
    assert seqs.runs() == [(1, after.frames)]
    # The live lane did not stand still for the backlog: nearly all of this epoch came over it, in order.
    assert sum(record.count for record in live) > 0.8 * after.frames
    assert [record.first_seq for record in live] == sorted(record.first_seq for record in live)


def test_an_uplink_slower_than_the_stream_gets_previews_and_all_comes_later(tmp_path: Path) -> None:
    site = Site(tmp_path / "data")
    site.prepare("fs")

    async def go() -> AgentReport:
        async with site.serving(), SlowUplink(site.port, 10_000) as uplink:
            site.enrol_here(tmp_path / "car", port=uplink.port)
            agent = Agent(tmp_path / "car", NoisySource(4_000))
            await agent.until(lambda now: now.frames > 24_000)
            agent.source.allowed = agent.source.sent
            uplink.rate = 1_000_000  # back in the pits
            await agent.until(lambda now: now.stored_frames == now.frames == agent.source.sent)
            return await agent.end()

    report = asyncio.run(go())
    came = arrivals(site)
    previews = [record for _, record in came if isinstance(record, Preview)]
    assert len(previews) >= 5
    assert [one.number for one in previews] == list(range(1, len(previews) + 1))
    latest_us = [int(one.frames.t_us.max()) for one in previews]
    assert latest_us == sorted(latest_us)
    for one in previews:
        ids = list(zip(one.frames.bus.tolist(), one.frames.arbitration_id.tolist(), strict=True))
        assert len(set(ids)) == len(ids) <= 60
    _, seqs = stored_frames([record for _, record in came], report.epoch)
    assert seqs.runs() == [(1, report.frames)]
