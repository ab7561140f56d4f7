"""The car's journal when it is full or the disk refuses: live goes on, and what is lost is said exactly."""

import asyncio
import sys
from pathlib import Path

from ved.agent.agent import AgentProgress, AgentReport, AgentSettings, run_agent
from ved.model.frames import FrameBatch
from ved.model.intervals import Intervals
from ved.model.records import Description, Loss, LossPlace, Record

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import DESCRIPTION, ListSource, Site, make_frames, stored_frames


def _known(records: list[Record]) -> Intervals:
    """The seqs that are stored or declared lost."""
    known = Intervals()
    for one in records:
        if isinstance(one, FrameBatch):
            known.add(one.first_seq, one.first_seq + one.count - 1)
        elif isinstance(one, Loss):
            known.add(one.first_seq, one.last_seq)
    return known


def test_a_full_journal_loses_its_oldest_part_and_declares_it(tmp_path: Path) -> None:
    """Offline until the journal overflows, then online: every seq is stored or declared lost.

    What was on its way when the journal let go of it may be both (docs/spec/records.md): it is stored then.
    """
    site = Site(tmp_path / "data")
    site.prepare("fs")
    site.port = 1
    settings = AgentSettings(tmp_path / "car", "fs", batch_s=0.005, journal_bytes=64 << 10)
    source = ListSource(10**9, chunk=50, interval_s=0.005, is_realtime=True)
    source.allowed = 0
    last: list[AgentProgress] = []

    async def go() -> AgentReport:
        async with site.serving():
            site.enrol_here(tmp_path / "car")
        stop = asyncio.Event()
        agent = asyncio.create_task(run_agent(settings, source, DESCRIPTION, stop, last.append))
        source.allowed = 10**9
        while not last or last[-1].lost_frames < 2_000:
            await asyncio.sleep(0.01)
        source.allowed = source.sent
        async with site.serving():
            while _known(await asyncio.to_thread(site.records)).runs() != [(1, source.sent)]:
                await asyncio.sleep(0.1)
            stop.set()
            return await agent

    site.port = 0
    report = asyncio.run(go())
    records = site.records()
    assert any(isinstance(one, Description) and one.epoch == report.epoch for one in records)
    frames, seqs = stored_frames(records, report.epoch)
    losses = [one for one in records if isinstance(one, Loss)]
    assert losses
    lost = Intervals()
    for loss in losses:
        assert loss.place == LossPlace.CAR_DISK
        assert loss.count == loss.last_seq - loss.first_seq + 1
        assert not lost.overlaps(loss.first_seq, loss.last_seq)
        lost.add(loss.first_seq, loss.last_seq)
        first, last_frame = make_frames(loss.first_seq, 1), make_frames(loss.last_seq, 1)
        assert (loss.t_from_us, loss.t_to_us) == (first.t_us[0], last_frame.t_us[0])
    assert lost.count() == report.lost_frames >= 2_000
    assert report.stored_frames == seqs.count()
    assert report.frames == source.sent
    number = frames.payload.view("<u8").ravel()
    for first_seq, last_seq in seqs:
        kept = (number >= first_seq) & (number <= last_seq)
        assert frames.take(kept).equals(make_frames(first_seq, last_seq - first_seq + 1))


def test_what_fails_to_be_told_is_told_again(tmp_path: Path) -> None:
    """The watchdog hangs on the progress: one that raises does not end it."""
    site = Site(tmp_path / "data")
    site.prepare("fs")
    source = ListSource(10**9, chunk=5, interval_s=0.005, is_realtime=True)
    calls: list[int] = []

    async def go() -> AgentReport:
        stop = asyncio.Event()

        def tell(now: AgentProgress) -> None:
            calls.append(now.frames)
            if len(calls) < 3:
                raise ConnectionRefusedError("nobody listens")
            stop.set()

        async with site.serving():
            site.enrol_here(tmp_path / "car")
            return await run_agent(AgentSettings(tmp_path / "car", "fs"), source, DESCRIPTION, stop, tell)

    report = asyncio.run(go())
    assert report.frames >= max(calls[:3]) > 0
