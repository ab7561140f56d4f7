"""Channels of samples are channels like any other: in history, in sessions, beside decoded ones."""

from pathlib import Path

import numpy as np
from tests.integration.recorded_helpers import Folder

import ved
from ved.api.history import History
from ved.db.epochs import note_clock
from ved.model.frames import FrameColumns
from ved.model.records import Clock, ClockSource
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

DBC = 'VERSION ""\nBU_: A\nBO_ 16 M: 8 A\n SG_ s : 0|16@1+ (1,0) [0|0] "m" A\n'
START_US = 1_700_000_000_000_000
CHANNELS = (SampleChannel("pack.temperature", "°C"), SampleChannel("pack.state", "", "discrete"))


def frames(count: int) -> FrameColumns:
    """A value that counts, ten times a second."""
    payload = np.zeros((count, 8), np.uint8)
    payload[:, 0] = np.arange(count)
    return FrameColumns(
        np.arange(count) * 100_000,
        np.zeros(count, np.uint8),
        np.full(count, 16, np.uint32),
        np.zeros(count, np.uint8),
        np.full(count, 8, np.uint8),
        payload,
    )


def samples(epoch: bytes, first: int, count: int) -> SampleBatch:
    """Temperature 20 + k/2 at k/2 s, and a state that changes at 5 s."""
    seq = np.arange(first, first + count)
    k = (seq - 1) // 2
    channel = ((seq - 1) % 2).astype(np.uint16)
    value = np.where(channel == 0, 20 + k / 2, k >= 10)
    return SampleBatch("car", epoch, first, CHANNELS, SampleColumns(k * 500_000, channel, value.astype(np.float64)))


def made(tmp_path: Path) -> Folder:
    """Ten seconds of frames; samples begin 2 s later, on a clock of their own, and go on after the frames."""
    folder = Folder(tmp_path / "data")
    folder.add("car", [(frames(101), START_US)], {0: ("a", DBC)})
    epoch = b"s" * 16
    note_clock(folder.db, Clock("car", epoch, 1, 0, START_US + 2_000_000, ClockSource.SERVER, 0))
    folder.lake.samples.append([samples(epoch, 1, 60)])
    return folder


def test_a_session_has_the_samples_of_its_time_on_one_time_base(tmp_path: Path) -> None:
    made(tmp_path)
    with ved.open(tmp_path / "data") as lake:
        (session,) = lake.sessions("car")
        assert session.duration_s == 10.0
        assert {one.name: (one.unit, one.kind) for one in session.channels} == {
            "M.s": ("m", "continuous"),
            "pack.temperature": ("°C", "continuous"),
            "pack.state": ("", "discrete"),
        }
        assert session.sampled_channels(session.utc_us) == ["M.s", "pack.temperature", "pack.state"]
        frame = session.frame(["s", "temperature", "state"], rate_hz=10)
        np.testing.assert_allclose(frame["s"], np.arange(101))
        assert np.isnan(frame["temperature"][:20]).all()
        np.testing.assert_allclose(frame["temperature"][20:], 20 + np.arange(81) / 10)
        assert frame["state"][20:].tolist() == [0.0] * 50 + [1.0] * 31
        assert session.samples("temperature").utc_us[0] == START_US + 2_000_000


def test_history_joins_stored_samples_with_those_that_are_not_in_the_lake_yet(tmp_path: Path) -> None:
    folder = made(tmp_path)
    history = History(folder.lake, folder.db)
    assert [one.name for one in history.channels("car")] == ["M.s", "pack.temperature", "pack.state"]
    recent = [samples(b"s" * 16, 31, 60)]  # half of it is stored already
    read = history.samples("car", "pack.temperature", START_US, START_US + 10**9, recent)
    assert read.values.tolist() == (20 + np.arange(45) / 2).tolist()
    assert (np.diff(read.utc_us) == 500_000).all()
    some = history.buckets("car", ["M.s", "pack.state"], START_US + 7_000_000, START_US + 8_000_000, 1_000_000)
    assert some["pack.state"].maximum.tolist() == [1.0]
    assert some["M.s"].last.tolist() == [79.0]


def test_an_epoch_of_samples_hides_no_frames(tmp_path: Path) -> None:
    folder = made(tmp_path)
    history = History(folder.lake, folder.db)
    assert len(history.samples("car", "M.s", START_US, START_US + 20_000_000).values) == 101
