"""The link when something breaks: nothing is lost, nothing is stored twice."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from ved.agent.agent import AgentProgress, AgentReport, AgentSettings, run_agent
from ved.broker.journal import JournalStream
from ved.broker.open import open_journal
from ved.codec.records import decode_record
from ved.errors import StorageError
from ved.journal.reader import JournalReader
from ved.link import watchdog
from ved.link.holes import POSTHUMOUS
from ved.link.watchdog import STALL_S
from ved.metrics import BATCHES_DUPLICATE_TOTAL, RECORDS_DROPPED_TOTAL, Counters
from ved.model.frames import FrameBatch
from ved.model.records import Arrival, Loss, LossPlace

sys.path.insert(0, str(Path(__file__).parent))
from link_helpers import DESCRIPTION, ListSource, Relay, ServerProcess, Site, make_frames, stored_frames

TOTAL = 30_000


class Run:
    """An agent on a slow recording, watched through its progress."""

    def __init__(self, state_dir: Path, *, batch_s: float = 0.02) -> None:
        self.settings = AgentSettings(state_dir, "fs", batch_s=batch_s)
        self.source = ListSource(TOTAL, chunk=100, interval_s=0.005)
        self.last: AgentProgress | None = None

    async def to_the_end(self) -> AgentReport:
        run = run_agent(self.settings, self.source, DESCRIPTION, asyncio.Event(), self._note)
        return await asyncio.wait_for(run, 90)

    def _note(self, progress: AgentProgress) -> None:
        self.last = progress

    async def reached(self, stored_frames: int) -> None:
        while self.last is None or self.last.stored_frames < stored_frames:
            await asyncio.sleep(0.01)


def check_whole(site: Site, report: AgentReport, total: int = TOTAL) -> None:
    assert report.is_complete
    assert report.stored_seq == report.frames == total
    frames, seqs = stored_frames(site.records(), report.epoch)
    assert seqs.runs() == [(1, total)]
    assert frames.equals(make_frames(1, total))


def test_server_killed_twice_in_mid_stream(tmp_path: Path) -> None:
    site = Site(tmp_path / "data")
    site.prepare("fs")

    async def go(server: ServerProcess) -> AgentReport:
        site.enrol_here(tmp_path / "car")
        run = Run(tmp_path / "car")
        run.source.allowed = 0
        agent = asyncio.create_task(run.to_the_end())
        for stored in (4_000, 12_000):
            run.source.allowed = stored + 6_000
            await asyncio.wait_for(run.reached(stored), 60)
            await asyncio.to_thread(server.end, signal.SIGKILL)
            assert not agent.done()
            await asyncio.to_thread(server.start)
        run.source.allowed = TOTAL
        return await agent

    with ServerProcess(site) as server:
        report = asyncio.run(go(server))
        assert server.end(signal.SIGTERM) == 0
    check_whole(site, report)


def test_connection_cut_again_and_again(tmp_path: Path) -> None:
    site = Site(tmp_path / "data")
    site.prepare("fs")

    async def go() -> AgentReport:
        async with site.serving(), Relay(site.port) as relay:
            site.enrol_here(tmp_path / "car", port=relay.port)
            run = Run(tmp_path / "car")
            relay.cut_after_bytes = 12_000
            agent = asyncio.create_task(run.to_the_end())
            await asyncio.wait_for(run.reached(6_000), 60)
            assert relay.accepted >= 2
            relay.cut_after_bytes = None
            return await agent

    check_whole(site, asyncio.run(go()))


def test_lost_acknowledgements_trip_the_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LATE_SERVER_S", 0.0)  # the relay's TCP acknowledges what the server's would not
    site = Site(tmp_path / "data")
    site.prepare("fs")
    counters = Counters()

    async def go() -> AgentReport:
        async with site.serving(counters), Relay(site.port) as relay:
            site.enrol_here(tmp_path / "car", port=relay.port)
            run = Run(tmp_path / "car")
            agent = asyncio.create_task(run.to_the_end())
            await asyncio.wait_for(run.reached(2_000), 60)
            before = relay.accepted
            relay.is_deaf = True
            while relay.accepted == before:  # the watchdog ends the connection and the car comes back
                await asyncio.sleep(0.01)
            relay.is_deaf = False
            relay.cut()
            return await agent

    check_whole(site, asyncio.run(go()))
    # The server said at the new connection what it has, so nothing crossed the link twice.
    assert counters[BATCHES_DUPLICATE_TOTAL] == 0


def test_a_proxy_before_a_server_that_is_gone_is_left_for_one_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy's TCP acknowledges all that the car sends, and nothing ever comes back."""
    monkeypatch.setattr(watchdog, "LATE_SERVER_S", 3600.0)
    monkeypatch.setattr(watchdog, "LATE_DOUBT_S", 0.2)
    site = Site(tmp_path / "data")
    site.prepare("fs")

    async def go() -> AgentReport:
        async with site.serving(), Relay(site.port) as relay:
            site.enrol_here(tmp_path / "car", port=relay.port)
            run = Run(tmp_path / "car")
            agent = asyncio.create_task(run.to_the_end())
            await asyncio.wait_for(run.reached(2_000), 60)
            relay.lose_server()
            return await asyncio.wait_for(agent, 60)

    check_whole(site, asyncio.run(go()))


def test_a_server_that_stands_still_keeps_its_car(tmp_path: Path) -> None:
    """Its machine takes what comes: a new connection would have to wait as well, and cost more."""
    site = Site(tmp_path / "data")
    site.prepare("fs")

    async def go(server: ServerProcess) -> tuple[AgentReport, int, int]:
        async with Relay(site.port) as relay:
            site.enrol_here(tmp_path / "car", port=relay.port)
            run = Run(tmp_path / "car")
            run.source.allowed = 10_000
            agent = asyncio.create_task(run.to_the_end())
            await asyncio.wait_for(run.reached(10_000), 60)
            before = relay.accepted
            assert server.process is not None
            server.process.send_signal(signal.SIGSTOP)
            run.source.allowed = TOTAL
            await asyncio.sleep(2.5 * STALL_S)
            assert not agent.done()
            assert run.last is not None
            assert run.last.stored_frames == 10_000
            server.process.send_signal(signal.SIGCONT)
            return await agent, before, relay.accepted

    with ServerProcess(site) as server:
        report, before, after = asyncio.run(go(server))
    assert after == before
    check_whole(site, report)


_AGENT = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[1])
from link_helpers import DESCRIPTION, ListSource
from ved.agent.agent import AgentSettings, run_agent

settings = AgentSettings(pathlib.Path(sys.argv[2]), "fs", batch_s=0.02)
source = ListSource(10**9, chunk=60, interval_s=0.01, is_realtime=True)
say = lambda progress: print(progress.frames, progress.stored_frames, flush=True)
asyncio.run(run_agent(settings, source, DESCRIPTION, asyncio.Event(), say))
"""


def start_agent(state_dir: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _AGENT, str(Path(__file__).parent), str(state_dir)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_agent_after(process: "subprocess.Popen[str]", frames: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if int(line.split()[0]) >= frames:
            break
    process.kill()
    process.wait(20)
    process.stdout.close()


def batches_in_journal(state_dir: Path) -> dict[tuple[bytes, int], FrameBatch]:
    reader = JournalReader(state_dir / "journal", 0)
    out: dict[tuple[bytes, int], FrameBatch] = {}
    while entries := reader.read():
        for record in (decode_record(entry.payload) for entry in entries):
            if isinstance(record, FrameBatch):
                out[(record.epoch, record.first_seq)] = record
    reader.close()
    return out


def test_agent_killed_offline_and_online_brings_everything_later(tmp_path: Path) -> None:
    """What the car's journal held at each kill is on the server in the end, once, under its own epoch."""
    site = Site(tmp_path / "data")
    site.prepare("fs")
    with ServerProcess(site):
        site.enrol_here(tmp_path / "car")
    kill_agent_after(start_agent(tmp_path / "car"), 3_000)  # no server: everything stays in the journal
    kept = batches_in_journal(tmp_path / "car")
    assert sum(batch.count for batch in kept.values()) >= 2_000

    with ServerProcess(site) as server:
        kill_agent_after(start_agent(tmp_path / "car"), 6_000)
        kept |= batches_in_journal(tmp_path / "car")

        async def bring_the_rest() -> AgentReport:
            return await asyncio.wait_for(
                run_agent(AgentSettings(tmp_path / "car", "fs"), ListSource(10), DESCRIPTION, asyncio.Event()), 60
            )

        report = asyncio.run(bring_the_rest())
        assert report.is_complete
        assert server.end(signal.SIGTERM) == 0
    records = site.records()
    epochs = {epoch for epoch, _ in kept}
    assert len(epochs) == 2
    stored = {(one.epoch, one.first_seq): one for one in records if isinstance(one, FrameBatch)}
    for name, batch in kept.items():
        assert stored[name].frames.equals(batch.frames)
    for epoch in epochs:
        frames, seqs = stored_frames(records, epoch)
        assert seqs.runs()[0][0] == 1
        assert len(seqs.runs()) == 1
        assert frames.equals(make_frames(1, seqs.count()))
        [crash] = [one for one in records if isinstance(one, Loss) and one.epoch == epoch]
        assert (crash.place, crash.count) == (LossPlace.CAR_CRASH, -1)
        # From the end of what the journal held on: what went out before it was written is stored as well.
        last = max((one for (name, _), one in kept.items() if name == epoch), key=lambda one: one.first_seq)
        assert last.first_seq + last.count - 1 <= seqs.count()
        assert crash.number == POSTHUMOUS + last.first_seq + last.count
        assert crash.t_from_us == int(last.frames.t_us.max())
        assert crash.t_to_us >= crash.t_from_us


class FullDisk:
    """The server's stream on a disk that is full while `is_full`."""

    def __init__(self) -> None:
        self.is_full = False

    def open_journal(self, data: Path, name: Literal["frames", "events"]) -> JournalStream:
        disk, stream = self, open_journal(data, name)
        open_writer = stream.writer

        class Writer:
            def __init__(self) -> None:
                self._writer = open_writer()

            def append(self, arrival: Arrival, record: bytes) -> int:
                if disk.is_full:
                    raise StorageError("no space left on device")
                return self._writer.append(arrival, record)

            def __getattr__(self, name: str) -> object:
                return getattr(self._writer, name)

        stream.writer = Writer  # type: ignore[method-assign,assignment]
        return stream


def test_full_server_disk_keeps_everything_in_the_car(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More comes than the server can hold in memory: it lets go of it, and the car sends it again."""
    site = Site(tmp_path / "data")
    site.prepare("fs")
    disk, counters = FullDisk(), Counters()
    monkeypatch.setattr("ved.ingest.role.open_journal", disk.open_journal)
    monkeypatch.setattr("ved.ingest.store.MAX_PENDING_BYTES", 10_000)

    async def go() -> AgentReport:
        async with site.serving(counters):
            site.enrol_here(tmp_path / "car")
            run = Run(tmp_path / "car")
            run.source.allowed = 4_000
            agent = asyncio.create_task(run.to_the_end())
            await asyncio.wait_for(run.reached(2_000), 60)
            disk.is_full = True
            run.source.allowed = 20_000
            while counters[RECORDS_DROPPED_TOTAL] < 5:
                await asyncio.sleep(0.01)
            assert run.last is not None
            assert run.last.is_connected  # "received" goes on, so the watchdog is content
            assert run.last.trouble is not None
            assert "cannot store" in run.last.trouble
            disk.is_full = False
            run.source.allowed = TOTAL
            return await agent

    check_whole(site, asyncio.run(go()))
