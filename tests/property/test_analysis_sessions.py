from hypothesis import given
from hypothesis import strategies as st

from ved.analysis.sessions import GAP_US, OVERLAP_US, SessionFinder, Stretch

A, B = b"a" * 16, b"b" * 16
SECOND = 1_000_000


def stretch(t_from_s: float, t_to_s: float, epoch: bytes = A, offset_us: int = 0) -> Stretch:
    return Stretch("fs", epoch, int(t_from_s * SECOND), int(t_to_s * SECOND), offset_us)


def extents(finder: SessionFinder) -> list[tuple[int, int]]:
    return sorted((one.utc_from_us, one.utc_to_us) for one in finder.sessions())


def test_a_gap_splits():
    finder = SessionFinder()
    finder.add(stretch(0, 1))
    finder.add(stretch(2, 3))
    finder.add(stretch(3 + GAP_US / SECOND + 1, 900))
    assert extents(finder) == [(0, 3 * SECOND), (4 * SECOND + GAP_US, 900 * SECOND)]


def test_a_restarted_agent_continues_the_session():
    finder = SessionFinder()
    finder.add(stretch(0, 100))
    joined = finder.add(stretch(0, 50, B, offset_us=110 * SECOND))
    assert joined is not None
    assert extents(finder) == [(0, 160 * SECOND)]
    assert [part.epoch for part in joined.parts] == [A, B]


def test_the_same_log_replayed_is_a_session_of_its_own():
    finder = SessionFinder()
    finder.add(stretch(0, 100))
    finder.add(stretch(0, 100, B))
    assert extents(finder) == [(0, 100 * SECOND)] * 2


def test_a_clock_that_is_a_little_late_still_joins():
    finder = SessionFinder()
    finder.add(stretch(0, 100))
    finder.add(stretch(0, 50, B, offset_us=100 * SECOND - OVERLAP_US))
    assert len(finder.sessions()) == 1


def test_adding_again_changes_nothing_and_closing_reopens_on_data():
    finder = SessionFinder()
    finder.add(stretch(0, 10))
    assert finder.add(stretch(2, 9)) is None
    (closed,) = finder.close("fs")
    assert not closed.is_open
    assert finder.close("fs") == []
    again = finder.add(stretch(2, 9))
    assert again is not None
    assert again.is_open
    assert (again.utc_from_us, again.utc_to_us) == (0, 10 * SECOND)


def test_a_restarted_watch_continues_from_what_was_saved():
    first = SessionFinder()
    first.add(stretch(0, 10))
    second = SessionFinder(first.sessions())
    second.add(stretch(11, 12))
    assert extents(second) == [(0, 12 * SECOND)]


@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 60)), min_size=1, max_size=30))
def test_in_order_stretches_split_exactly_at_the_gaps(lengths: list[tuple[int, int]]):
    finder, model, at = SessionFinder(), [], 0
    for pause_s, length_s in lengths:
        start = at + pause_s * SECOND if model else 0
        end = start + length_s * SECOND
        if model and start - model[-1][1] <= GAP_US:
            model[-1] = (model[-1][0], end)
        else:
            model.append((start, end))
        finder.add(Stretch("fs", A, start, end, 0))
        at = end
    assert extents(finder) == model
