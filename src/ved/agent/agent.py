"""The agent: frames from a source into the car's journal, and from there over the link until the server has them."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

from ved.agent.capture import Capture
from ved.agent.framequeue import FrameQueue
from ved.agent.keeper import Keeper, KeeperEvents
from ved.agent.life import BEAT_S, Life, boot_id, epoch_ends, save_lives
from ved.agent.packer import Packer, PackerSettings
from ved.agent.state import JOURNAL_FOLDER, State, open_state
from ved.canbus.source import Source
from ved.codec.link import FEATURE_PREVIEWS, FEATURE_SAMPLES, FEATURE_WIRE, NO_TIME, Hello, Space
from ved.codec.records import RecordHeader, encode_record, peek
from ved.errors import StorageError, UserError
from ved.link.credentials import Credentials, load_credentials
from ved.link.uplink import Uplink, UplinkSettings
from ved.model.gpsclock import GpsSignals
from ved.model.records import Description, Lane, Loss
from ved.sensors.source import SampleSource

MAX_IN_FLIGHT_BYTES: Final = 4 << 20
"""How much of a patient source (a recording) may be between its reader and the server."""

FLUSH_S: Final = 2.0
PROGRESS_S: Final = 0.2

_log: Final = logging.getLogger("ved.agent")


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """`state_dir` holds the credentials, the boot counter and the journal (at most `journal_bytes` of a live source).

    `queue_frames` bounds what waits between reading and packing. `key_dir`: where the credentials are, if elsewhere.
    `gps`: where UTC stands in the frames.
    """

    state_dir: Path
    vehicle: str
    batch_s: float = 0.1
    journal_bytes: int = 1 << 30
    max_batch_frames: int = 8192
    queue_frames: int = 131_072
    key_dir: Path | None = None
    gps: GpsSignals | None = None


@dataclass(frozen=True, slots=True)
class AgentProgress:
    """Where things stand: `frames` were read, `stored_frames` are on the server's disk, `lost_frames` are lost.

    `trouble` is what a person should know (the server refuses, the disk is full), or None.
    """

    epoch: bytes
    frames: int
    stored_frames: int
    lost_frames: int
    journal_bytes: int
    is_connected: bool
    is_ended: bool
    rtt_us: int | None
    trouble: str | None


@dataclass(frozen=True, slots=True)
class AgentReport:
    """How a run ended. seqs 1..`stored_seq` are all on the server's disk; `is_complete`: everything is."""

    vehicle: str
    epoch: bytes
    frames: int
    stored_frames: int
    stored_seq: int
    lost_frames: int
    is_complete: bool


async def run_agent(
    settings: AgentSettings,
    source: Source | SampleSource,
    description: Description | None,
    stop: asyncio.Event,
    progress: Callable[[AgentProgress], None] | None = None,
) -> AgentReport:
    """Run one epoch, of frames, or of samples: these have no `description`, and all that is said of frames holds for
    them. `description` needs no epoch and number: they are given here.

    A recording returns when the server has stored all of it; a live source runs until `stop`, then flushes for two
    seconds. UserError when the car is not enrolled, the source cannot be opened, or another agent runs in `state_dir`;
    LinkRefusedError when the server refuses a recording; StorageError when the state cannot be written (a live source
    goes on in memory).
    """
    run = await _Run.prepare(settings, source, description)
    return await run.to_the_end(stop, progress)


class _Run:
    """The parts of one epoch, wired: capture -> packer -> (uplink, keeper) -> server."""

    def __init__(
        self,
        settings: AgentSettings,
        source: Source | SampleSource,
        description: Description | None,
        trust: Credentials,
        state: State,
    ) -> None:
        self._settings = settings
        self._source = source
        self._state = state
        self._journal = journal = state.journal
        self._lives = state.lives
        self._epoch = epoch = state.epoch
        self._features = FEATURE_PREVIEWS | FEATURE_WIRE
        if description is None:
            self._features |= FEATURE_SAMPLES
        self._loop = asyncio.get_running_loop()
        self._origin_ns = time.monotonic_ns()
        self._ended = asyncio.Event()
        self._failed = asyncio.Event()
        self._queue = FrameQueue(settings.queue_frames)
        self._capture = Capture(source, self._queue, self._origin_ns, self._on_end)
        self._uplink = Uplink(
            UplinkSettings(
                trust,
                epoch,
                state.folder / JOURNAL_FOLDER,
                journal.first_position,
                journal.next_position,
                source.is_realtime,
                self._hello,
                self._time_us,
                epoch_ends(self._lives),
                self._declare,
            )
        )
        events = KeeperEvents(self._on_kept, self._give_up, self._queue.put_note, self._on_failure)
        self._keeper = Keeper(journal, state.journal_bytes if source.is_realtime else None, events)
        self._uplink.on_trim = self._keeper.trim
        self._packer = Packer(
            self._queue,
            PackerSettings(
                settings.vehicle,
                epoch,
                description,
                settings.batch_s,
                settings.max_batch_frames,
                self._may_go_on,
                self._emit,
                self._on_failure,
                settings.gps,
            ),
        )

    @staticmethod
    async def prepare(
        settings: AgentSettings, source: Source | SampleSource, description: Description | None
    ) -> "_Run":
        """Read the credentials, open the journal, begin an epoch."""
        credentials = await asyncio.to_thread(load_credentials, settings.key_dir or settings.state_dir)
        if credentials.vehicle != settings.vehicle:
            raise UserError(
                f"{settings.key_dir or settings.state_dir} is enrolled for vehicle {credentials.vehicle!r}, "
                f"not {settings.vehicle!r}; name that vehicle, or enrol this car again"
            )
        state = await asyncio.to_thread(
            open_state, settings.state_dir, settings.vehicle, settings.journal_bytes, may_be_memory=source.is_realtime
        )
        if description is not None:
            description = replace(description, vehicle=settings.vehicle, epoch=state.epoch, number=0)
        return _Run(settings, source, description, credentials, state)

    async def to_the_end(self, stop: asyncio.Event, progress: Callable[[AgentProgress], None] | None) -> AgentReport:
        """Start everything, wait for the end, and take it down in order."""
        _log.info("epoch %s of %s begins", self._epoch.hex(), self._settings.vehicle)
        if self._source.is_realtime:
            await self._try_to_tell_life()
        self._keeper.start()
        self._packer.start()
        self._capture.start()
        uplink = asyncio.create_task(self._uplink.run())
        others = [asyncio.create_task(self._report(progress)), asyncio.create_task(self._beat())]
        try:
            await self._wait_for_end(stop, uplink)
            is_complete = await self._flush(stop, uplink)
        finally:
            await self._stop_threads()
            for task in (uplink, *others):
                task.cancel()
            await asyncio.wait((uplink, *others))
        for failure in (self._capture.failure, self._packer.failure, self._keeper.failure):
            if failure is not None:
                raise failure
        if self._source.is_realtime and not self._keeper.waiting_bytes:
            await self._tell_life(self._journal.next_position)
        if progress is not None:
            progress(self._progress())
        received = self._uplink.ledger.epoch(self._epoch).stored[Space.SEQ]
        runs = received.runs()
        return AgentReport(
            self._settings.vehicle,
            self._epoch,
            self._capture.frames,
            received.count(),
            runs[0][1] if runs and runs[0][0] == 1 else 0,
            self._packer.lost_frames,
            is_complete,
        )

    async def _wait_for_end(self, stop: asyncio.Event, uplink: "asyncio.Task[None]") -> None:
        """Return when the source ends, `stop` is set or a thread failed; raises what the uplink failed with."""
        async with _waiting(stop, self._ended, self._failed) as events:
            await asyncio.wait([uplink, *events], return_when=asyncio.FIRST_COMPLETED)
        if uplink.done():
            await uplink

    async def _flush(self, stop: asyncio.Event, uplink: "asyncio.Task[None]") -> bool:
        """Get everything out: a recording takes as long as it takes, but two seconds after `stop`. True when stored."""
        self._capture.stop()
        drained = asyncio.create_task(self._drain())
        try:
            async with _waiting(stop, self._failed) as events:
                await asyncio.wait([drained, uplink, *events], return_when=asyncio.FIRST_COMPLETED)
            if uplink.done():
                await uplink
            if not drained.done():
                self._packer.is_hurried.set()
                await asyncio.wait([drained], timeout=FLUSH_S)
            return drained.done()
        finally:
            drained.cancel()

    async def _drain(self) -> None:
        """Return when everything that was read is stored."""
        await asyncio.to_thread(self._capture.join)
        await asyncio.to_thread(self._packer.join)
        await asyncio.to_thread(self._keeper.wait_kept)
        await asyncio.sleep(0)  # let what the keeper said last come in
        await self._uplink.wait_settled()

    async def _stop_threads(self) -> None:
        self._capture.stop()
        self._packer.is_hurried.set()
        self._queue.close()
        await asyncio.to_thread(self._capture.join)
        await asyncio.to_thread(self._packer.join)
        await asyncio.to_thread(self._keeper.stop)

    async def _report(self, progress: Callable[[AgentProgress], None] | None) -> None:
        """The watchdog hangs on it: what goes wrong with telling is no reason to tell no more."""
        told: str | None = None
        while progress is not None:
            try:
                progress(self._progress())
            except Exception as error:  # noqa: BLE001  # the task's top: said once, tried again
                if told != repr(error):
                    told = repr(error)
                    _log.warning("cannot tell how the agent does", exc_info=error)
            await asyncio.sleep(PROGRESS_S)

    async def _beat(self) -> None:
        """Now and then say how far this life is, so that it is known what should be there."""
        while self._source.is_realtime:
            await asyncio.sleep(BEAT_S)
            await self._try_to_tell_life()

    async def _try_to_tell_life(self) -> None:
        try:
            await self._tell_life()
        except StorageError as error:
            _log.warning("%s", error)

    async def _tell_life(self, end_position: int = 0) -> None:
        """Enter this life into the file of lives, with its end when it is over. StorageError when refused."""
        life = Life(
            self._settings.vehicle,
            self._epoch,
            self._origin_ns,
            boot_id(),
            self._packer.next_seq - 1,
            self._time_us(),
            end_position,
        )
        await asyncio.to_thread(save_lives, self._state.folder, [*self._lives, life])

    def _progress(self) -> AgentProgress:
        rtt_s = self._uplink.rtt_s
        return AgentProgress(
            self._epoch,
            self._capture.frames,
            self._uplink.ledger.epoch(self._epoch).stored[Space.SEQ].count(),
            self._packer.lost_frames,
            self._keeper.size_bytes,
            self._uplink.is_up,
            self._ended.is_set(),
            None if rtt_s is None else int(rtt_s * 1e6),
            self._keeper.trouble or self._state.trouble or self._uplink.trouble,
        )

    def _hello(self, lane: Lane) -> Hello:
        return Hello(
            lane,
            self._settings.vehicle,
            f"ved {version('ved')}",
            self._epoch,
            self._packer.next_seq,
            self._packer.next_note,
            self._time_us(),
            self._features,
        )

    def _time_us(self) -> int:
        """This moment in the epoch; recordings have a time of their own, which no clock here knows."""
        return (time.monotonic_ns() - self._origin_ns) // 1000 if self._source.is_realtime else NO_TIME

    def _on_failure(self) -> None:
        self._loop.call_soon_threadsafe(self._failed.set)

    def _on_end(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)

    def _may_go_on(self) -> bool:
        """Asked in the packer's thread: only a recording is ever held back."""
        if self._source.is_realtime:
            return True
        in_flight = self._uplink.pending_bytes + self._keeper.waiting_bytes
        return in_flight < MAX_IN_FLIGHT_BYTES and self._keeper.size_bytes < self._state.journal_bytes

    def _emit(self, record: bytes, header: RecordHeader) -> None:
        """Called in the packer's thread: neither the link nor the disk waits for the other."""
        self._loop.call_soon_threadsafe(self._uplink.offer, record, header)
        self._keeper.put(record, header)

    def _on_kept(self, kept: list[tuple[int, RecordHeader]]) -> None:
        for position, header in kept:
            self._loop.call_soon_threadsafe(self._uplink.note_kept, position, header)

    def _give_up(self, headers: list[RecordHeader]) -> list[bool]:
        """Called in the keeper's thread, which waits; see `KeeperEvents`."""

        async def give_up() -> list[bool]:
            return [self._uplink.give_up(header) for header in headers]

        return asyncio.run_coroutine_threadsafe(give_up(), self._loop).result()

    def _declare(self, loss: Loss) -> None:
        """The journal lost records. What says so goes its own way: the source may have ended long ago."""
        what = f"frames {loss.first_seq} to {loss.last_seq}" if loss.first_seq else "notes"
        _log.warning("%s of epoch %s cannot be read", what, loss.epoch.hex())
        record = encode_record(loss)
        self._keeper.put(record, peek(record))


@contextlib.asynccontextmanager
async def _waiting(*events: asyncio.Event) -> AsyncIterator[Sequence["asyncio.Task[bool]"]]:
    """A task for each event that ends when the event is set; they are gone at the end."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
