"""The lake: raw frames and samples of all vehicles in two Delta tables, each row stored exactly once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ved.errors import UserError
from ved.lake.layout import FRAMES, SAMPLES
from ved.lake.log import EpochKey
from ved.lake.reading import ALL, FrameFormat, FrameKey, Where
from ved.lake.rows import FrameRows
from ved.lake.rowstore import AppendResult, ReorganisedError, RowStore, open_rows, repair
from ved.lake.samplerows import SampleFormat, SampleRows, SampleWhere
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.intervals import Intervals
from ved.model.samples import SampleBatch

__all__ = ["AppendResult", "Lake", "LakeStats", "ReorganisedError", "SampleWhere"]

FrameStore = RowStore[FrameBatch, FrameRows, Where]
SampleStore = RowStore[SampleBatch, SampleRows, SampleWhere]


@dataclass(frozen=True, slots=True)
class LakeStats:
    """Sums over the live files: frames, bytes, vehicles that have rows; `broken_files` could not be read so far."""

    frames: int
    bytes: int
    vehicles: int
    files: int = 0
    broken_files: int = 0
    samples: int = 0


class Lake:
    """One lake at `url` (a folder or s3://BUCKET/PREFIX); its tables are `<url>/frames` and `<url>/samples`.

    A lake that does not exist yet is empty; the first append makes a table. All methods may be called from any thread.
    What names no table here speaks of frames; `samples` is the other table. Raises UserError where the folder holds
    something else, StorageError where the disk refuses.
    """

    def __init__(self, url: str) -> None:
        frames, samples = open_rows(url, FRAMES), open_rows(url, SAMPLES)
        self.url = url
        self.frame_rows: FrameStore = RowStore(frames, FrameFormat(frames))
        self.samples: SampleStore = RowStore(samples, SampleFormat(samples))

    @staticmethod
    def existing(url: str) -> "Lake":
        """A lake that must be there already; UserError where it is not."""
        lake = Lake(url)
        if max(lake.version, lake.samples.version) < 0:
            raise UserError(f"{url}: no lake there; give a data folder that has stored frames")
        return lake

    @staticmethod
    def for_writing(url: str) -> "Lake":
        """The lake for its writer: mends what a power cut may have left, then opens it."""
        for layout in (FRAMES, SAMPLES):
            repair(url, layout)
        return Lake(url)

    @property
    def version(self) -> int:
        """Number of the last commit seen of the table of frames; -1 while there is none."""
        return self.frame_rows.version

    def refresh(self) -> bool:
        """See what was committed since to either table; cheap when nothing was. True when something was."""
        return self.frame_rows.refresh() | self.samples.refresh()

    def append(self, batches: Sequence[FrameBatch]) -> AppendResult:
        """Store the frames whose (vehicle, epoch, seq) is not there yet, in one commit, durable on return."""
        return self.frame_rows.append(batches)

    def intervals(self, vehicle: str, epoch: bytes) -> Intervals:
        """The seqs of an epoch's frames that are stored, as of the last refresh (a copy)."""
        return self.frame_rows.intervals(vehicle, epoch)

    def epochs(self) -> list[EpochKey]:
        """All (vehicle, epoch) that have frames, as of the last refresh."""
        return self.frame_rows.epochs()

    def time_range(self, vehicle: str, epoch: bytes) -> tuple[int, int] | None:
        """(first, last) t_us of an epoch's stored frames, None where there are none."""
        return self.frame_rows.time_range(vehicle, epoch)

    def rows(self, vehicle: str, epoch: bytes, where: Where = ALL) -> FrameRows:
        """The wanted frames of an epoch with their seqs, sorted by (t_us, seq); see RowStore.parts for broken files."""
        return self.frame_rows.all_parts(vehicle, epoch, where).in_time_order()

    def parts(self, vehicle: str, epoch: bytes, where: Where = ALL) -> Iterator[FrameRows]:
        """The wanted frames of an epoch file by file; see RowStore.parts."""
        return self.frame_rows.parts(vehicle, epoch, where)

    def frames(
        self,
        vehicle: str,
        epoch: bytes,
        *,
        bus: int | None = None,
        arbitration_id: int | None = None,
        t_from_us: int | None = None,
        t_to_us: int | None = None,
    ) -> FrameColumns:
        """The frames of an epoch in time order, t_from_us <= t_us < t_to_us."""
        keys = None if arbitration_id is None else (FrameKey(arbitration_id, bus),)
        return self.rows(vehicle, epoch, Where(keys, bus, t_from_us, t_to_us)).frames

    def stats(self) -> LakeStats:
        """Exact sums over the live files, as of the last refresh."""
        frames, samples = self.frame_rows.files(), self.samples.files()
        files = [*frames, *samples]
        return LakeStats(
            frames=sum(entry.rows for entry in frames),
            bytes=sum(entry.size_bytes for entry in files),
            vehicles=len({entry.vehicle for entry in files if entry.rows}),
            files=len(files),
            broken_files=len(self.broken_files()),
            samples=sum(entry.rows for entry in samples),
        )

    def compact(
        self, *, is_final: Callable[[EpochKey], bool] = lambda _: True, stop: Callable[[], bool] = lambda: False
    ) -> int:
        """See RowStore.compact; both tables."""
        merged = self.frame_rows.compact(is_final=is_final, stop=stop)
        return merged + self.samples.compact(is_final=is_final, stop=stop)

    def checkpoint(self) -> None:
        """See RowStore.checkpoint; both tables."""
        self.frame_rows.checkpoint()
        self.samples.checkpoint()

    def vacuum(self, older_than_s: float, dead_for_s: float | None = None) -> int:
        """See RowStore.vacuum; both tables."""
        return self.frame_rows.vacuum(older_than_s, dead_for_s) + self.samples.vacuum(older_than_s, dead_for_s)

    def live_paths(self) -> set[str]:
        """Paths of the live files of frames, relative to their table."""
        return self.frame_rows.live_paths()

    def broken_files(self) -> dict[str, str]:
        """Files that could not be read so far, by `<table>/<path>`, and why."""
        return {
            f"{layout.name}/{path}": why
            for layout, rows in ((FRAMES, self.frame_rows), (SAMPLES, self.samples))
            for path, why in rows.broken_files().items()
        }
