"""The drive that all cars of a load test send: made, cut into batches and coded for the wire once, beforehand."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ved.canbus.simulator import simulate_columns
from ved.codec.batch import decode_batch, encode_batch
from ved.codec.learn import LayoutBook
from ved.codec.link import WireData, encode_message
from ved.codec.wire import WireEncoder
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.vehicle import Vehicle

BATCH_US: Final = 100_000
"""As agents cut them."""

MAX_FRAMES: Final = 8192


@dataclass(frozen=True, slots=True)
class Part:
    """One batch: its seqs, when it is cut (µs of the drive), the record, and its message on a connection's first way.

    The message names no vehicle: it is every car's. It holds only if all messages before it went over the connection.
    """

    first_seq: int
    last_seq: int
    due_us: int
    record: bytes
    message: bytes | None

    def record_of(self, vehicle: str) -> bytes:
        """The record as this vehicle's car has it."""
        return encode_batch(replace(decode_batch(self.record), vehicle=vehicle))


@dataclass(frozen=True, slots=True)
class Drive:
    """The batches of one epoch, in order."""

    epoch: bytes
    parts: tuple[Part, ...]

    @property
    def frames(self) -> int:
        """How many frames there are in all."""
        return self.parts[-1].last_seq


def make_drive(vehicle: Vehicle, epoch: bytes, frames_per_s: int, seconds: float, seed: int) -> Drive:
    """A simulated drive of `vehicle`, played faster or slower so that it has so many frames per second."""
    frames = _simulated(vehicle, frames_per_s * seconds, seed)
    span_us = seconds * 1e6 - 1
    t_us = (frames.t_us - frames.t_us[0]).astype(np.float64)
    scaled = replace(frames, t_us=(t_us * (span_us / max(float(t_us[-1]), 1.0))).astype(np.int64))
    encoder = WireEncoder(LayoutBook())
    parts, is_whole = [], True
    for first, last, due_us in _cuts(scaled):
        batch = FrameBatch(vehicle.name, epoch, first + 1, scaled.take(slice(first, last)))
        body = encoder.encode(batch) if is_whole else None
        is_whole = body is not None  # what cannot be coded in its turn ends the run of messages
        message = None if body is None else encode_message(WireData(body))
        parts.append(Part(first + 1, last, due_us, encode_batch(batch), message))
    return Drive(epoch, tuple(parts))


def _simulated(vehicle: Vehicle, count: float, seed: int) -> FrameColumns:
    chunks, have = [], 0
    for chunk in simulate_columns(vehicle, 86_400, seed):
        chunks.append(chunk)
        have += len(chunk)
        if have >= count:
            break
    return FrameColumns.concatenate(chunks).take(slice(0, round(count)))


def _cuts(frames: FrameColumns) -> Iterable[tuple[int, int, int]]:
    """(first row, row after the last, when it is cut) of each batch."""
    ticks = frames.t_us // BATCH_US
    edges = [0, *(np.flatnonzero(np.diff(ticks)) + 1).tolist(), len(frames)]
    for first, last in itertools.pairwise(edges):
        for begin in range(first, last, MAX_FRAMES):
            yield begin, min(begin + MAX_FRAMES, last), (int(ticks[first]) + 1) * BATCH_US
