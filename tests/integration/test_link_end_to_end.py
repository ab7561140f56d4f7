"""Agent, car journal, TLS link, ingest and server journal together."""

import asyncio
import sys
from pathlib import Path

from ved.agent.agent import AgentSettings, run_agent
from ved.model.records import Description

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import DESCRIPTION, ListSource, Site, make_frames, notes, stored_frames


def test_recording_arrives_whole(tmp_path: Path) -> None:
    site = Site(tmp_path / "data")
    site.prepare("fs")

    async def go():
        async with site.serving():
            site.enrol_here(tmp_path / "car")
            settings = AgentSettings(tmp_path / "car", "fs")
            return await asyncio.wait_for(run_agent(settings, ListSource(65_296), DESCRIPTION, asyncio.Event()), 60)

    report = asyncio.run(go())
    assert report.is_complete
    assert report.frames == report.stored_frames == report.stored_seq == 65_296
    frames, seqs = stored_frames(site.records(), report.epoch)
    assert seqs.runs() == [(1, 65_296)]
    assert frames.equals(make_frames(1, 65_296))
    assert any(isinstance(one, Description) for one in notes(site.records(), report.epoch))
