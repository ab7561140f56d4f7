"""The verdict: what the store holds against the truth, frame by frame."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.faults.torture.oracle import read_truth, rows_of

from ved.broker.open import open_journal
from ved.codec.records import decode_record
from ved.db.database import Database
from ved.db.epochs import list_losses
from ved.lake.lake import Lake
from ved.model.frames import FrameBatch
from ved.model.intervals import Intervals
from ved.model.records import Arrival, Lane, Loss, Preview

VEHICLE = "fs"
ALL_BUSES = 255


@dataclass
class LifeVerdict:
    """One life of the car: `missing` are its true rows that the lake lacks."""

    life: int
    epoch: bytes | None
    frames: int
    stored: int
    missing: NDArray[np.void]
    losses: list[Loss]
    tail: int = 0
    """Missing rows at the end of the life, after the last stored one: a killed program's last moment."""
    counted: int = 0
    """Frames that the car says it lost, where it knows how many: what it names and what came nevertheless is not."""

    @property
    def tail_us(self) -> int:
        """From the last stored frame to the last true one (0 when that one is stored)."""
        if not self.tail:
            return 0
        rows = self.missing[-self.tail :]
        return int(rows["t_us"][-1] - rows["t_us"][0])

    @property
    def undeclared(self) -> int:
        """Missing rows that lie in no declared interval."""
        return int((~self._is_declared()).sum())

    @property
    def undeclared_before_tail(self) -> int:
        return int((~self._is_declared()[: len(self.missing) - self.tail]).sum())

    def _is_declared(self) -> NDArray[np.bool_]:
        out = np.zeros(len(self.missing), bool)
        for loss in self.losses:
            t_us, bus = self.missing["t_us"], self.missing["bus"]
            inside = (t_us >= loss.t_from_us) & (t_us <= loss.t_to_us)
            out |= inside & ((bus == loss.bus) | (loss.bus == ALL_BUSES))
        return out


@dataclass
class Verdict:
    """`problems`: what must never be: false rows, rows of no life, doubles, order and seq that do not fit."""

    lives: list[LifeVerdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    duplicated: int = 0

    @property
    def frames(self) -> int:
        return sum(one.frames for one in self.lives)

    @property
    def missing(self) -> int:
        return sum(len(one.missing) for one in self.lives)

    @property
    def tail(self) -> int:
        return sum(one.tail for one in self.lives)

    @property
    def undeclared(self) -> int:
        return sum(one.undeclared for one in self.lives)

    @property
    def undeclared_before_tail(self) -> int:
        return sum(one.undeclared_before_tail for one in self.lives)

    @property
    def counted(self) -> int:
        return sum(one.counted for one in self.lives)

    def lost(self) -> set[tuple[int, int]]:
        """(life, number) of all that is missing."""
        return {(one.life, number) for one in self.lives for number in one.missing["number"].tolist()}

    def text(self) -> str:
        return (
            f"frames {self.frames}, missing {self.missing} (in tails {self.tail}, undeclared {self.undeclared}), "
            f"counted {self.counted}, duplicated {self.duplicated}, problems {self.problems[:5]}"
        )


def judge(data: Path, db_url: str, truth_dir: Path) -> Verdict:
    """Compare the lake of `data` with the truth. Physical rows of the lake count, so a double shows."""
    verdict = Verdict()
    truth = read_truth(truth_dir)
    lake = Lake(str(data / "lake"))
    stored: dict[int, list[NDArray[np.void]]] = {}
    epoch_of: dict[int, bytes] = {}
    for vehicle, epoch in lake.epochs():
        found = lake.rows(vehicle, epoch)
        if vehicle != VEHICLE:
            verdict.problems.append(f"rows of vehicle {vehicle}")
        order = np.argsort(found.seq, kind="stable")
        seq, rows = found.seq[order], rows_of(found.frames.take(order))
        if lake.intervals(vehicle, epoch).count() != len(np.unique(seq)):
            verdict.problems.append(f"{epoch.hex()}: the lake's intervals are not its rows")
        verdict.duplicated += int((np.diff(seq) == 0).sum())
        if (np.diff(rows["number"].astype(np.int64)) <= 0).any():
            verdict.problems.append(f"{epoch.hex()}: frames are not in the order of capture")
        for life in np.unique(rows["life"]):
            if int(life) in epoch_of or len(np.unique(rows["life"])) > 1:
                verdict.problems.append(f"life {life} is in more than one epoch, or an epoch holds several lives")
            epoch_of[int(life)] = epoch
            stored.setdefault(int(life), []).append(rows[rows["life"] == life])
    for life in stored:
        if life not in truth:
            verdict.problems.append(f"rows of life {life}, which never was")
    db = Database(db_url)
    try:
        for life, rows in truth.items():
            epoch_bytes = epoch_of.get(life) or _epoch_said(truth_dir, life)
            losses = list_losses(db, VEHICLE, epoch_bytes) if epoch_bytes is not None else []
            have = np.concatenate(stored[life]) if life in stored else rows[:0]
            verdict.lives.append(_judge_life(life, rows, have, verdict))
            one = verdict.lives[-1]
            one.epoch, one.losses = epoch_bytes, losses
            one.counted = _counted(losses, lake.intervals(VEHICLE, epoch_bytes or b""))
    finally:
        db.close()
    return verdict


def _counted(losses: list[Loss], stored: Intervals) -> int:
    named = Intervals()
    for loss in losses:
        if loss.count > 0 and loss.first_seq:
            for first, last in stored.missing(loss.first_seq, loss.last_seq):
                named.add(first, last)
    return named.count() + sum(loss.count for loss in losses if loss.count > 0 and not loss.first_seq)


def _epoch_said(truth_dir: Path, life: int) -> bytes | None:
    """The epoch as the car's program told it: of a life that nothing is stored of."""
    path = truth_dir / f"{life}.progress"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return bytes.fromhex(json.loads(lines[0])["epoch"]) if lines else None


def _judge_life(life: int, rows: NDArray[np.void], have: NDArray[np.void], verdict: Verdict) -> LifeVerdict:
    number = have["number"].astype(np.int64)
    false = (number < 1) | (number > len(rows))
    at = number[~false] - 1
    # Bytes, not values: every column of the row must be the true one.
    equal = have[~false].view(f"V{have.itemsize}") == rows[at].view(f"V{have.itemsize}")
    if false.any() or not equal.all():
        verdict.problems.append(f"life {life}: {int(false.sum() + (~equal).sum())} stored rows are not true")
    is_stored = np.zeros(len(rows), bool)
    is_stored[at] = True
    verdict.duplicated += len(at) - int(is_stored.sum())
    tail = len(rows) - (int(np.flatnonzero(is_stored)[-1]) + 1 if is_stored.any() else 0)
    return LifeVerdict(life, None, len(rows), int(is_stored.sum()), rows[~is_stored], [], tail)


@dataclass(frozen=True)
class Came:
    """A batch or preview as it came to the server: when (monotonic, as the car's clock on this machine), by which lane.

    A preview has no seqs: `first_seq` and `count` are 0.
    """

    mono_us: int
    lane: Lane
    epoch: bytes
    first_seq: int
    count: int
    life: int
    last_t_us: int


def _came(arrival: Arrival, record: FrameBatch | Preview) -> Came:
    life, last_us = int(rows_of(record.frames.take(slice(0, 1)))["life"][0]), int(record.frames.t_us[-1])
    first_seq, count = (record.first_seq, record.count) if isinstance(record, FrameBatch) else (0, 0)
    return Came(arrival.mono_us, arrival.lane, record.epoch, first_seq, count, life, last_us)


def arrivals(data: Path) -> list[Came]:
    """All batches and previews of the server's stream, in order."""

    async def read() -> list[Came]:
        reader = open_journal(data, "frames").reader("earliest")
        out: list[Came] = []
        try:
            while entries := await reader.read(timeout_s=0):
                for entry in entries:
                    record = decode_record(entry.record)
                    if isinstance(record, FrameBatch | Preview):
                        out.append(_came(entry.arrival, record))
        finally:
            reader.close()
        return out

    return asyncio.run(read())


def live_ages_ms(came: list[Came], truth_dir: Path, from_mono_us: int, to_mono_us: int) -> NDArray[np.float64]:
    """How old the newest frame of what came over the live lane was when it came, in the given time."""
    origins = {int(path.stem): int(path.read_text()) // 1000 for path in truth_dir.glob("*.origin")}
    return np.array(
        [
            (one.mono_us - origins[one.life] - one.last_t_us) / 1000
            for one in came
            if one.lane == Lane.LIVE and from_mono_us <= one.mono_us < to_mono_us
        ]
    )


def recovery_s(came: list[Came], truth_dir: Path, back_mono_us: int) -> float | None:
    """From `back_mono_us` (the fault is over) until the first frame that was captured after it came live."""
    origins = {int(path.stem): int(path.read_text()) // 1000 for path in truth_dir.glob("*.origin")}
    times = [
        one.mono_us
        for one in came
        if one.lane == Lane.LIVE and origins[one.life] + one.last_t_us > back_mono_us and one.mono_us > back_mono_us
    ]
    return (min(times) - back_mono_us) / 1e6 if times else None
