"""Does the lake hold what its log says: every byte of every live file is read, every seq must be there once."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ved.lake.lake import Lake
from ved.lake.log import EpochKey
from ved.lake.rowstore import RowStore
from ved.model.intervals import Intervals


@dataclass(slots=True)
class Verdict:
    """What was found. `broken`: path -> why. `missing` and `doubled` count rows; `forgotten_epochs` were let go of."""

    files: int = 0
    rows: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    doubled: int = 0
    unknown: int = 0
    forgotten_epochs: int = 0
    orphans: int = 0

    @property
    def is_good(self) -> bool:
        """True when nothing is broken, missing, there twice or unknown to the log."""
        return not (self.broken or self.missing or self.doubled or self.unknown)


def verify(lake: Lake, told: Callable[[int, int], None] = lambda _done, _total: None) -> Verdict:
    """Read everything; `told` hears files done and files in all. Rows of broken files count as missing."""
    lake.refresh()
    verdict = Verdict()
    tables: list[tuple[str, RowStore]] = [("frames", lake.frame_rows), ("samples", lake.samples)]  # type: ignore[type-arg]
    total = sum(len(rows.files()) for _, rows in tables)
    for name, rows in tables:
        seen: dict[EpochKey, Intervals] = {}
        for entry in sorted(rows.files(), key=lambda one: (one.key, one.seq_min)):
            found = rows.check(entry)
            verdict.files += 1
            told(verdict.files, total)
            if found is None:
                if entry.path in rows.broken_files():
                    verdict.broken[f"{name}/{entry.path}"] = rows.broken_files()[entry.path]
                continue
            verdict.rows += len(found)
            here = Intervals.of(found.seq)
            verdict.doubled += len(found) - here.count()
            known = seen.setdefault(entry.key, Intervals())
            for first, last in here:
                new = sum(end - begin + 1 for begin, end in known.missing(first, last))
                verdict.doubled += last - first + 1 - new
                known.add(first, last)
        _compare(rows, seen, verdict)
        verdict.orphans += rows.orphans()
    return verdict


def _compare(rows: RowStore, seen: dict[EpochKey, Intervals], verdict: Verdict) -> None:  # type: ignore[type-arg]
    """What the log's intervals say against what the files hold."""
    with_files = {entry.key for entry in rows.files()}
    for vehicle, epoch in rows.epochs():
        stored, found = rows.intervals(vehicle, epoch), seen.get((vehicle, epoch), Intervals())
        if (vehicle, epoch) not in with_files:
            verdict.forgotten_epochs += 1
            continue
        for first, last in stored:
            verdict.missing += sum(end - begin + 1 for begin, end in found.missing(first, last))
        for first, last in found:
            verdict.unknown += sum(end - begin + 1 for begin, end in stored.missing(first, last))
