"""A better clock came for an epoch that is written already: its points are deleted, and written anew from the lake."""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from ved.influx.backfill import LakeLines, Slice, delete_statement
from ved.influx.client import InfluxClient
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
            self._task.result()
            self._task = None
        now_s = time.monotonic()
        key = next((key for key, due_s in self._due_s.items() if due_s <= now_s), None)
        if key is None:
            return
        written = self._epochs.written(key)
        if written is None or not written.is_due:
            del self._due_s[key]
            return
        if not await self._is_in_lake(key[0]):
            self._due_s[key] = now_s + _AGAIN_S
            return
        spans = self._spans(key, written)
        if can_delete:
            for span in spans[:-1]:
                text = delete_statement(quoted_text(key[0]), span)
                if not await self._sender.patiently(partial(self._client.query, text)):
                    return
        elif len(spans) > 1:
            _log.warning(
                "vehicle %s: a better clock came, and its points at the former times stay: v2 cannot delete", key[0]
            )
        del self._due_s[key]
        pieces = await asyncio.to_thread(self._lines.plan, key[0], spans)
        _log.info("vehicle %s: a better clock came; its points are written anew", key[0])
        self._task = asyncio.create_task(self._write(key, written, pieces))

    async def close(self) -> None:
        """Stop; what is not done is done after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _write(self, key: EpochKey, written: Written, pieces: Sequence[Slice]) -> None:
        for piece in pieces:
            while True:
                try:
                    is_sent = await self._sender.send(partial(self._lines.lines, piece), self._lines.writer.refused)
                except ReorganisedError:
                    continue  # merged meanwhile
                break
            if not is_sent:
                return
        await asyncio.to_thread(self._epochs.done, key, written)

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
