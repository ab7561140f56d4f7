"""The lake against a model: a map from (vehicle, epoch, seq) to the bytes that came first."""

import shutil
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ved.lake import compaction, table
from ved.lake.lake import Lake
from ved.lake.verify import verify
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.intervals import Intervals

KEYS = [("fs", bytes(16)), ("fs", bytes(15) + b"\1"), ("pe", bytes(16))]

batches = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(1, 60), st.integers(0, 25), st.booleans()), min_size=1, max_size=4
)


class Killed(BaseException):
    pass


def _die(*_: object) -> None:
    raise Killed


class LakeModel(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ved-lake-"))
        self.patches = [mock.patch.object(table, "SNAPSHOT_EVERY", 4), mock.patch.object(compaction, "SMALL_FILES", 3)]
        for patch in self.patches:
            patch.start()
        self.lakes = [Lake(str(self.folder)), Lake(str(self.folder))]
        self.model: dict[tuple[str, bytes, int], bytes] = {}
        self.let_go: set[tuple[str, bytes, int]] = set()
        self.stamp = 0

    def teardown(self) -> None:
        for patch in self.patches:
            patch.stop()
        shutil.rmtree(self.folder)

    def build(self, wanted: list[tuple[tuple[str, bytes], int, int, bool]]) -> list[FrameBatch]:
        """Batches whose payload tells when they were made, so that a second copy of a seq would show."""
        out = []
        for (vehicle, epoch), first, count, is_fd in wanted:
            self.stamp += 1
            width = 64 if is_fd else 8
            seq = np.arange(first, first + count)
            payload = np.zeros((count, width), np.uint8)
            payload[:, 0], payload[:, 1], payload[:, width - 1] = seq, self.stamp % 256, self.stamp // 256 + 1
            frames = FrameColumns(
                seq * 7 % 100,
                (seq % 3).astype(np.uint8),
                (seq % 5).astype(np.uint32),
                np.zeros(count, np.uint8),
                np.full(count, width, np.uint8),
                payload,
            )
            out.append(FrameBatch(vehicle, epoch, first, frames))
        return out

    def take_into_model(self, made: list[FrameBatch]) -> int:
        new = 0
        for one in made:
            for at in range(one.count):
                key = (one.vehicle, one.epoch, one.first_seq + at)
                if key not in self.model and key not in self.let_go:
                    self.model[key] = bytes(one.frames.payload[at][: one.frames.length[at]])
                    new += 1
        return new

    @rule(wanted=batches, which=st.integers(0, 1))
    def append(self, wanted: list[tuple[tuple[str, bytes], int, int, bool]], which: int) -> None:
        made = self.build(wanted)
        new = self.take_into_model(made)
        result = self.lakes[which].append(made)
        assert (result.new, result.duplicates) == (new, sum(one.count for one in made) - new)

    @rule(wanted=batches, which=st.integers(0, 1))
    def append_and_die_before_the_commit(
        self, wanted: list[tuple[tuple[str, bytes], int, int, bool]], which: int
    ) -> None:
        with mock.patch.object(table.LakeTable, "_commit", _die):
            try:
                self.lakes[which].append(self.build(wanted))
            except Killed:
                self.lakes[which] = Lake.for_writing(str(self.folder))

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.lakes[which] = Lake.for_writing(str(self.folder))

    @rule(which=st.integers(0, 1), is_final=st.booleans())
    def compact(self, which: int, is_final: bool) -> None:
        self.lakes[which].compact(is_final=lambda _: is_final)

    @rule(which=st.integers(0, 1))
    def compact_and_die_before_the_commit(self, which: int) -> None:
        with mock.patch.object(table.LakeTable, "_commit", _die):
            try:
                self.lakes[which].compact()
            except Killed:
                self.lakes[which] = Lake.for_writing(str(self.folder))

    @rule(which=st.integers(0, 1), key=st.sampled_from(KEYS), dies=st.booleans())
    def let_go_of_an_epoch(self, which: int, key: tuple[str, bytes], dies: bool) -> None:
        lake = self.lakes[which]
        lake.refresh()
        files = [entry for entry in lake.frame_rows.files() if entry.key == key]
        if dies:
            with mock.patch.object(table.LakeTable, "_commit", _die):
                try:
                    lake.frame_rows.forget(files)
                except Killed:
                    self.lakes[which] = Lake.for_writing(str(self.folder))
            return
        assert lake.frame_rows.forget(files) == len(files)
        self.let_go |= {name for name in self.model if name[:2] == key}
        self.model = {name: data for name, data in self.model.items() if name[:2] != key}

    @rule()
    def verify(self) -> None:
        verdict = verify(Lake(str(self.folder)))
        assert verdict.rows == len(self.model)
        assert verdict.is_good or self.is_partly_let_go()

    def is_partly_let_go(self) -> bool:
        """An epoch that was let go of and got new rows since: the log cannot tell which of them are missing."""
        return bool({name[:2] for name in self.let_go} & {name[:2] for name in self.model})

    @rule(which=st.integers(0, 1))
    def vacuum(self, which: int) -> None:
        self.lakes[which].vacuum(0.0)

    @invariant()
    def holds_exactly_the_model(self) -> None:
        for lake in self.lakes:
            lake.refresh()
            assert lake.stats().frames == len(self.model)
            found = {}
            for vehicle, epoch in KEYS:
                rows = lake.rows(vehicle, epoch)
                frames = rows.frames
                order = list(zip(frames.t_us.tolist(), rows.seq.tolist(), strict=True))
                assert order == sorted(set(order))
                gone = [seq for owner, one, seq in self.let_go if (owner, one) == (vehicle, epoch)]
                runs = Intervals((seq, seq) for seq in [*rows.seq.tolist(), *gone])
                assert lake.intervals(vehicle, epoch) == runs
                for seq, length, row in zip(rows.seq.tolist(), frames.length, frames.payload, strict=True):
                    found[vehicle, epoch, seq] = bytes(row[:length])
            assert found == self.model


LakeModel.TestCase.settings = settings(
    max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLakeModel = LakeModel.TestCase
