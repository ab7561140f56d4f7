"""The role influx: the stream `frames`, decoded, into an InfluxDB for Grafana. The lake keeps the truth."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

import numpy as np

from ved.api.unpack import decode_entry
from ved.broker.base import Stream, StreamEntry
from ved.broker.open import open_stream
from ved.codec.records import peek
from ved.db.database import Database
from ved.errors import CorruptDataError, StorageError
from ved.influx.backfill import LakeLines
from ved.influx.client import InfluxClient
from ved.influx.epochs import Epochs, WrittenStore
from ved.influx.lines import Lines, LineWriter, Source
from ved.influx.rewrite import Rewriter
from ved.influx.sender import Sender
from ved.influx.settings import InfluxSettings
from ved.lake.lake import Lake
from ved.metrics import LAG, QUEUE, RECORDS_CORRUPT_TOTAL, Counters
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Clock, Description, RecordKind
from ved.model.samples import SampleBatch

CURSOR: Final = "influx"
STATE_FOLDER: Final = "influx"
WANTED: Final = (RecordKind.BATCH, RecordKind.SAMPLES, RecordKind.CLOCK, RecordKind.DESCRIPTION)
"""Previews are not: their frames come again in a batch."""

_log = logging.getLogger(__name__)
_READ_BYTES: Final = 1 << 16
_READ_S: Final = 0.1
_MOST_ROWS: Final = 8192
_FLUSH_S: Final = 0.5
_RETRY_S: Final = 1.0
_FINISH_S: Final = 4.0


@dataclass(slots=True)
class _Chunk:
    """Batches that were read and are not written yet."""

    batches: list[FrameBatch | SampleBatch] = field(default_factory=list)
    rows: int = 0
    began_s: float = 0.0
    oldest_utc_us: int | None = None

    def add(self, batch: FrameBatch | SampleBatch, utc_us: int) -> None:
        """One more."""
        if not self.batches:
            self.began_s, self.oldest_utc_us = time.monotonic(), utc_us
        self.batches.append(batch)
        self.rows += batch.count

    @property
    def is_due(self) -> bool:
        """True when it is large or old enough."""
        return self.rows >= _MOST_ROWS or (bool(self.batches) and time.monotonic() - self.began_s >= _FLUSH_S)


async def run_influx(
    settings: InfluxSettings,
    ready: Callable[[dict[str, object]], None],
    stop: asyncio.Event,
    counters: Counters | None = None,
) -> None:
    """Write until `stop`, then what is left, trying once. UserError when the address is none."""
    counters = counters or Counters()
    client = InfluxClient(settings.target)
    db = Database(settings.db_url)
    connector = None
    try:
        stream = open_stream(settings.data, "frames", settings.kafka, share=CURSOR)
        connector = _Connector(settings, stream, db, client, counters, stop)
        ready({})
        await connector.run()
    finally:
        if connector is not None:
            await connector.close()
        await client.close()
        db.close()


class _Connector:
    def __init__(
        self,
        settings: InfluxSettings,
        stream: Stream,
        db: Database,
        client: InfluxClient,
        counters: Counters,
        stop: asyncio.Event,
    ) -> None:
        target = settings.target
        store = WrittenStore(settings.data / STATE_FOLDER)
        lake = Lake(settings.lake_url)
        self._stream, self._stop, self._counters = stream, stop, counters
        self._can_delete = target.api == "v1"
        self._sender = Sender(client, counters, stop)
        self._writer = LineWriter(target.rate_hz)
        self._epochs = Epochs(db, store)
        lake_lines = LakeLines(lake, db, store, target.rate_hz)
        lake_lines.writer.refused = self._writer.refused
        self._rewriter = Rewriter(self._epochs, lake, lake_lines, client, self._sender)
        start = stream.cursor(CURSOR)
        self._reader = stream.reader("earliest" if start is None else start)
        self._cursor = self._written = self._reader.position
        self._entries: deque[StreamEntry] = deque()
        self._chunk = _Chunk()
        self._skipped = 0
        counters.gauge(QUEUE, lambda: self._chunk.rows)
        counters.gauge(LAG, self._lag_ms)

    async def run(self) -> None:
        """Read and write; what the disk refuses is tried again."""
        while not self._stop.is_set():
            try:
                await self._read(_READ_S)
                if self._chunk.is_due:
                    await self._write()
                elif not self._chunk.batches:
                    self._written = self._taken
                await self._commit()
                await self._rewriter.turn(can_delete=self._can_delete)
            except StorageError as error:
                _log.warning("waiting for the disk: %s", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _RETRY_S)
        try:
            await self._finish()
        except StorageError as error:
            _log.warning("stopped before all was written, the next start goes on from there: %s", error)

    async def close(self) -> None:
        """Give everything back."""
        await self._rewriter.close()
        self._reader.close()

    async def _finish(self) -> None:
        until_s = time.monotonic() + _FINISH_S
        while await self._write() and time.monotonic() < until_s and await self._read(0.0):
            pass
        await self._commit()

    @property
    def _taken(self) -> int:
        """The position of the first entry that was not taken yet."""
        return self._entries[0].position if self._entries else self._reader.position

    async def _read(self, timeout_s: float) -> bool:
        """Take what comes next; False when there is nothing. StorageError: what was read is taken next time.

        Until that is taken, and while a chunk waits to be written, no more is read: memory stays bounded.
        """
        if not self._entries and not self._chunk.is_due:
            self._entries.extend(await self._reader.read(max_bytes=_READ_BYTES, timeout_s=timeout_s))
        is_more = bool(self._entries)
        await asyncio.to_thread(self._take)
        return is_more

    def _take(self) -> None:
        while self._entries:
            self._take_one(self._entries[0])
            self._entries.popleft()
        if self._reader.skipped != self._skipped:
            count = self._reader.skipped - self._skipped
            _log.error("%d stream entries were gone before they were written; 'ved influx backfill' brings them", count)
            self._skipped = self._reader.skipped

    def _take_one(self, entry: StreamEntry) -> None:
        try:
            if peek(entry.record).kind not in WANTED:
                return
            record = decode_entry(entry.record)
        except CorruptDataError as error:
            self._counters.add(RECORDS_CORRUPT_TOTAL)
            _log.warning("frames %d: %s", entry.position, error)
            return
        if isinstance(record, FrameBatch | SampleBatch):
            if record.count:
                self._chunk.add(record, entry.arrival.utc_us)
        elif isinstance(record, Clock):
            if self._epochs.clock(record):
                self._rewriter.want((record.vehicle, record.epoch))
        elif isinstance(record, Description):
            self._epochs.description(record)

    async def _write(self) -> bool:
        """Write the chunk; True when the database has it, or told that it never takes it."""
        chunk, position = self._chunk, self._taken
        if chunk.batches and not await self._sender.send(lambda: self._lines(chunk), self._writer.refused):
            return False
        self._chunk = _Chunk()
        self._written = position
        return True

    def _lines(self, chunk: _Chunk) -> Lines:
        lines = Lines()
        now_us = time.monotonic_ns() // 1000
        for key, group in groupby(chunk.batches, key=lambda one: (one.vehicle, one.epoch)):
            offset_us = self._epochs.offset_us(key)
            if offset_us is None:
                continue
            source = Source(*key, offset_us, self._epochs.buses(key))
            for batches in _runs(list(group)):
                self._batches(source, batches, now_us, lines)
        return lines

    def _batches(self, source: Source, batches: Sequence[FrameBatch | SampleBatch], now_us: int, lines: Lines) -> None:
        """Batches of one kind that follow one another in one epoch."""
        key = (source.vehicle, source.epoch)
        for batch in batches:
            self._epochs.note_seqs(key, batch.first_seq, batch.last_seq)
        seq = np.concatenate([np.arange(one.first_seq, one.last_seq + 1) for one in batches])
        first = batches[0]
        if isinstance(first, SampleBatch):
            columns = (seq, first.samples.t_us, first.samples.channel, first.samples.value)
            self._writer.samples(source, columns, first.channels, lines)
            return
        frames = FrameColumns.concatenate([one.frames for one in batches if isinstance(one, FrameBatch)])
        decoding = self._epochs.decoding(key, now_us)
        utc_us = frames.t_us + source.offset_us
        for part in decoding.between(int(utc_us.min()), int(utc_us.max()) + 1):
            here = (utc_us >= part.utc_from_us) & (utc_us < part.utc_to_us)
            if here.all():
                self._writer.frames(source, seq, frames, part.decoder, lines)
            elif here.any():
                self._writer.frames(source, seq[here], frames.take(here), part.decoder, lines)

    async def _commit(self) -> None:
        """The cursor moves only over what the database has, and what survives a power cut here."""
        before = min(self._reader.durable_position(), self._written)
        if before > self._cursor:
            await asyncio.to_thread(self._stream.commit_cursor, CURSOR, before)
            self._cursor = before

    def _lag_ms(self) -> float:
        oldest_us = self._chunk.oldest_utc_us
        return 0.0 if oldest_us is None else max(0.0, time.time() * 1000 - oldest_us / 1000)


def _runs(batches: Sequence[FrameBatch | SampleBatch]) -> Iterator[list[FrameBatch | SampleBatch]]:
    """Batches of frames together where they follow one another in time, batches of samples each alone."""
    run: list[FrameBatch | SampleBatch] = []
    for batch in batches:
        last = run[-1] if run else None
        if last is not None and not (
            isinstance(last, FrameBatch)
            and isinstance(batch, FrameBatch)
            and batch.frames.t_us[0] >= last.frames.t_us[-1]
        ):
            yield run
            run = []
        run.append(batch)
    if run:
        yield run
