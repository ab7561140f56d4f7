"""The verdict of a soak: what the lake holds against what the cars wrote down, frame by frame."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.soak.car import MARK_ID, ROW, rows_of

from ved.db.database import Database
from ved.db.epochs import list_losses
from ved.lake.lake import Lake
from ved.model.records import Loss

ALL_BUSES = 255


@dataclass
class Verdict:
    """`problems` is empty when the store is the truth less what was declared lost."""

    frames: int = 0
    stored: int = 0
    missing: int = 0
    declared: int = 0
    counted_lost: int = 0
    duplicated: int = 0
    lives: int = 0
    newest_marks: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def judge(data: Path, db_url: str, truth: Path) -> Verdict:
    """Compare the lake of `data` with the truth (a folder for each vehicle). Physical rows count, so a double shows."""
    verdict = Verdict()
    lake = Lake(str(data / "lake"))
    epochs = set(lake.epochs())
    db = Database(db_url)
    try:
        for folder in sorted(truth.iterdir()):
            for file in sorted(folder.glob("*.truth"), key=lambda one: int(one.stem)):
                content = file.read_bytes()
                rows = np.frombuffer(content[: len(content) - len(content) % ROW.itemsize], ROW)
                epoch = _epoch_of(file)
                if epoch is None:
                    verdict.problems += [] if not len(rows) else [f"{file}: the life never told its epoch"]
                    continue
                epochs.discard((folder.name, epoch))
                losses = list_losses(db, folder.name, epoch)
                _judge_life(f"{folder.name} life {file.stem}", rows, lake, (folder.name, epoch), losses, verdict)
                marks = rows[(rows["id"] == MARK_ID)]
                if len(marks):
                    newest = int(np.ascontiguousarray(marks["payload"][-1]).view("<u8")[0])
                    verdict.newest_marks[folder.name] = max(newest, verdict.newest_marks.get(folder.name, 0))
    finally:
        db.close()
    verdict.problems += [f"{vehicle}: rows of epoch {epoch.hex()}, which never was" for vehicle, epoch in epochs]
    return verdict


def _epoch_of(file: Path) -> bytes | None:
    path = file.with_suffix(".progress")
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return bytes.fromhex(json.loads(lines[0])["epoch"]) if lines else None


def _judge_life(
    name: str, rows: NDArray[np.void], lake: Lake, epoch: tuple[str, bytes], losses: list[Loss], verdict: Verdict
) -> None:
    found = lake.rows(*epoch)
    order = np.argsort(found.seq, kind="stable")
    seq, have = found.seq[order], rows_of(found.frames.take(order))
    verdict.lives += 1
    verdict.frames += len(rows)
    verdict.counted_lost += sum(loss.count for loss in losses if loss.count > 0)
    verdict.duplicated += int((np.diff(seq) == 0).sum())
    if lake.intervals(*epoch).count() != len(np.unique(seq)):
        verdict.problems.append(f"{name}: the lake's intervals are not its rows")
    true_keys, have_keys = _keys(rows, have)
    by_key = np.argsort(true_keys, kind="stable")
    sorted_keys = true_keys[by_key]
    if (sorted_keys[1:] == sorted_keys[:-1]).any():
        verdict.problems.append(f"{name}: two true frames are alike; the verdict cannot tell them apart")
    place = np.minimum(np.searchsorted(sorted_keys, have_keys), max(len(rows) - 1, 0))
    at = by_key[place] if len(rows) else place
    is_true = have == rows[at] if len(rows) else np.zeros(len(have), bool)
    if not is_true.all():
        verdict.problems.append(f"{name}: {int((~is_true).sum())} stored rows are not true")
    at = at[is_true]
    if (np.diff(at) <= 0).any():
        verdict.problems.append(f"{name}: frames are not in the order of capture, or twice")
    is_stored = np.zeros(len(rows), bool)
    is_stored[at] = True
    verdict.stored += int(is_stored.sum())
    missing = rows[~is_stored]
    declared = _is_declared(missing, losses)
    verdict.missing += len(missing)
    verdict.declared += int(declared.sum())
    if not declared.all():
        verdict.problems.append(f"{name}: {int((~declared).sum())} of {len(missing)} missing frames were not declared")


def _keys(rows: NDArray[np.void], have: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One number for (time, id, bus) of each row: a bus carries no two frames of one id in one microsecond."""
    both = np.concatenate([rows, have])
    sender = both["id"].astype(np.int64) << 9 | (both["bus"].astype(np.int64) << 1) | (both["flags"] & 1)
    known, number = np.unique(sender, return_inverse=True)
    keys = both["t_us"] * np.int64(len(known)) + number
    return keys[: len(rows)], keys[len(rows) :]


def _is_declared(missing: NDArray[np.void], losses: list[Loss]) -> NDArray[np.bool_]:
    out = np.zeros(len(missing), bool)
    for loss in losses:
        inside = (missing["t_us"] >= loss.t_from_us) & (missing["t_us"] <= loss.t_to_us)
        out |= inside & ((missing["bus"] == loss.bus) | (loss.bus == ALL_BUSES))
    return out
