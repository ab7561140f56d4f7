"""A better clock came for an epoch that is written already: its points are deleted, and written anew from the lake."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from ved.errors import StorageError
from ved.influx.backfill import LakeLines, Slice, Span, delete_statement
from ved.influx.client import InfluxClient, InfluxRefusedError
from ved.influx.epochs import EpochKey, Epochs, Written
from ved.influx.names import quoted_text
from ved.influx.sender import Sender
from ved.lake.lake import Lake, ReorganisedError
from ved.model.intervals import Intervals

SETTLE_S: Final = 10.0
"""So long a clock must not have changed again before its epoch is written anew."""
_LAKE_S: Final = 30.0
_AGAIN_S: Final = 300.0
_LOOK_S: Final = 0.25
_log = logging.getLogger(__name__)


class Rewriter:
    """Writes epochs anew, one after the other."""

    def __init__(self, epochs: Epochs, lake: Lake, lake_lines: LakeLines, client: InfluxClient, sender: Sender) -> None:
        self._epochs, self._lake, self._lines = epochs, lake, lake_lines
        self._client, self._sender = client, sender
        self._due_s: dict[EpochKey, float] = dict.fromkeys(epochs.store.due(), 0.0)
        self._task: asyncio.Task[None] | None = None

    def want(self, key: EpochKey) -> None:
        """This epoch is to be written anew, once its clock has settled."""
        self._due_s[key] = time.monotonic() + SETTLE_S

    async def turn(self, *, can_delete: bool) -> None:
        """Begin what is due. While this waits, nothing else may write: the lake catches up, then points are deleted."""
        if self._task is not None:
            if not self._task.done():
                return
            ended, self._task = self._task, None
            ended.result()
        now_s = time.monotonic()
        key = next((key for key, due_s in self._due_s.items() if due_s <= now_s), None)
        if key is not None:
            with self._or_later(key):
                await self._begin(key, can_delete=can_delete)

    async def close(self) -> None:
        """Stop; what is not done is done after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @contextlib.contextmanager
    def _or_later(self, key: EpochKey) -> Iterator[None]:
        """What lake, database or disk refuse is begun again later: live writing does not wait for it."""
        try:
            yield
        except StorageError as error:
            self._due_s[key] = time.monotonic() + _AGAIN_S
            _log.warning(
                "vehicle %s: a better clock came, but its points cannot be written anew; tried again in %.0f s: %s",
                key[0],
                _AGAIN_S,
                error,
            )

    async def _begin(self, key: EpochKey, *, can_delete: bool) -> None:
        written = self._epochs.written(key)
        if written is None or not written.is_due:
            del self._due_s[key]
            return
        if not await self._is_in_lake(key[0]):
            self._due_s[key] = time.monotonic() + _AGAIN_S
            return
        spans = self._spans(key, written)
        if not await self._delete(key[0], spans[:-1], can_delete=can_delete):
            return
        del self._due_s[key]
        pieces = await asyncio.to_thread(self._lines.plan, key[0], spans)
        _log.info("vehicle %s: a better clock came; its points are written anew", key[0])
        self._task = asyncio.create_task(self._write(key, written, pieces))

    async def _delete(self, vehicle: str, spans: Sequence[Span], *, can_delete: bool) -> bool:
        """Delete a vehicle's points at former times, or say why they stay; False when told to stop."""
        why = "v2 cannot delete"
        if can_delete:
            try:
                for span in spans:
                    text = delete_statement(quoted_text(vehicle), span)
                    if not await self._sender.patiently(partial(self._client.query, text)):
                        return False
                return True
            except InfluxRefusedError as error:
                why = f"{error}, then run 'ved influx backfill --vehicle {vehicle} --replace'"
        if spans:
            _log.warning("vehicle %s: a better clock came, and its points at the former times stay: %s", vehicle, why)
        return True

    async def _write(self, key: EpochKey, written: Written, pieces: Sequence[Slice]) -> None:
        with self._or_later(key):
            for piece in pieces:
                if not await self._send(piece):
                    return
            await asyncio.to_thread(self._epochs.done, key, written)

    async def _send(self, piece: Slice) -> bool:
        while True:
            with contextlib.suppress(ReorganisedError):  # merged meanwhile
                return await self._sender.send(partial(self._lines.lines, piece), self._lines.writer.refused)

    async def _is_in_lake(self, vehicle: str) -> bool:
        """True once the lake has all that was written of a vehicle in this run; False after a while."""
        until_s = time.monotonic() + _LAKE_S
        while True:
            await asyncio.to_thread(self._lake.refresh)
            if all(self._holds(key, seqs) for key, seqs in self._epochs.seqs(vehicle)):
                return True
            if time.monotonic() > until_s or self._sender.is_stopping:
                return False
            await asyncio.sleep(_LOOK_S)

    def _holds(self, key: EpochKey, seqs: Intervals) -> bool:
        here = (self._lake.intervals(*key), self._lake.samples.intervals(*key))
        return all(any(one.contains(first, last) for one in here) for first, last in seqs)

    def _spans(self, key: EpochKey, written: Written) -> list[tuple[int, int]]:
        """Where points of the epoch stand, and last where they belong."""
        found = self._lines.range_us(key)
        if found is None:
            return [(0, 0)]
        return [(found[0] + offset, found[1] + offset + 1) for offset in (*written.former_us, written.offset_us)]
