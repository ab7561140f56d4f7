"""What a recording is known by, and which files a person means."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.link_helpers import make_frames

from ved.errors import UserError
from ved.logfiles.content import ContentHash
from ved.logfiles.find_logs import find_logs
from ved.model.frames import FrameColumns, widen

FRAMES = make_frames(1, 500)


def epoch(parts: list[FrameColumns], start_utc_us: int = 5) -> bytes:
    content = ContentHash()
    for part in parts:
        content.update(part)
    return content.epoch(start_utc_us)


@given(st.lists(st.integers(0, 500), max_size=6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_same_content_has_one_name_however_it_is_cut(cuts, is_wide):
    places = [0, *sorted(cuts), 500]
    parts = [FRAMES.take(slice(first, last)) for first, last in itertools.pairwise(places)]
    if is_wide:
        rest = (FRAMES.t_us, FRAMES.bus, FRAMES.arbitration_id, FRAMES.flags, FRAMES.length)
        parts = [FrameColumns(*rest, widen(FRAMES.payload))]
    assert epoch(parts) == epoch([FRAMES])
    assert len(epoch(parts)) == 16


@pytest.mark.parametrize("column", ["t_us", "bus", "arbitration_id", "flags", "length", "payload"])
def test_any_other_value_is_another_content(column):
    columns = {name: getattr(FRAMES, name).copy() for name in FRAMES.__slots__}
    columns[column][77] ^= 1
    assert epoch([FrameColumns(**columns)]) != epoch([FRAMES])
    assert epoch([FRAMES], 6) != epoch([FRAMES])
    assert epoch([FRAMES.take(slice(0, 499))]) != epoch([FRAMES])


def test_the_order_of_frames_counts():
    order = np.arange(500)
    order[[3, 4]] = [4, 3]
    assert epoch([FRAMES.take(order)]) != epoch([FRAMES])


def test_files_folders_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("b.log", "a.MF4", "deep/c.blf", "deep/notes.txt", "x[1].asc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    def found(*names: str) -> list[str]:
        return [str(path) for path in find_logs(names)]

    assert found("b.log", "deep", "b.log") == ["b.log", "deep/c.blf"]
    assert found(".") == ["a.MF4", "b.log", "deep/c.blf", "x[1].asc"]
    assert found("*.MF4", "**/*.blf") == ["a.MF4", "deep/c.blf"]
    assert found("x[1].asc", "missing.log") == ["x[1].asc", "missing.log"]
    with pytest.raises(UserError, match="no file fits"):
        find_logs(["*.trc"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no recordings in this folder"):
        find_logs(["empty"])
