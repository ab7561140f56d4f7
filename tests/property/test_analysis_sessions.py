import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from ved.analysis.sessions import GAP_US, OVERLAP_US, STAND_US, SessionFinder, Stretch, arrange
from ved.model.session import Cut, Session

A, B = b"a" * 16, b"b" * 16
SECOND = 1_000_000


def stretch(t_from_s: float, t_to_s: float, epoch: bytes = A, offset_us: int = 0, moves: bool | None = None) -> Stretch:
    return Stretch("fs", epoch, int(t_from_s * SECOND), int(t_to_s * SECOND), offset_us, moves)


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
    (joined,) = finder.add(stretch(0, 50, B, offset_us=110 * SECOND))
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
    assert finder.add(stretch(2, 9)) == []
    (closed,) = finder.close("fs")
    assert not closed.is_open
    assert finder.close("fs") == []
    (again,) = finder.add(stretch(2, 9))
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


def test_moving_again_after_a_long_stand_is_another_session():
    finder, stand_s = SessionFinder(), STAND_US // SECOND
    for at in range(0, 60, 10):
        finder.add(stretch(at, at + 10, moves=True))
    for at in range(60, 60 + stand_s, 10):
        finder.add(stretch(at, at + 10, moves=False))
    assert len(finder.sessions()) == 1
    changed = finder.add(stretch(61 + stand_s, 62 + stand_s, moves=True))
    assert [one.is_open for one in changed] == [False, True]
    assert changed[0].moved_us == (0, 60 * SECOND)
    assert changed[1].moved_us == (changed[1].utc_from_us, changed[1].utc_to_us)
    assert finder.add(stretch(61 + stand_s, 62 + stand_s, moves=True)) == []
    # What comes late belongs to the session in whose time it lies.
    finder.add(stretch(30, 31, moves=True))
    assert [len(one.parts) for one in finder.sessions()] == [1, 1]
    assert extents(finder)[1] == ((61 + stand_s) * SECOND, (62 + stand_s) * SECOND)
    assert extents(finder)[0] == (0, (60 + stand_s) * SECOND)


def test_standing_from_the_start_splits_nothing():
    finder = SessionFinder()
    for at in range(0, 2 * STAND_US // SECOND, 100):
        finder.add(stretch(at, at + 100, moves=False))
    finder.add(stretch(2 * STAND_US / SECOND, 2 * STAND_US / SECOND + 5, moves=True))
    assert len(finder.sessions()) == 1


def follow(name: str, absorbed: dict[str, str]) -> str:
    while name in absorbed:
        name = absorbed[name]
    return name


def told(finder: SessionFinder, stretches: list[Stretch]) -> list[tuple[int, int, tuple[int, int]]]:
    """Begin, end and movement of each session; an end within a pause is the end of what came before it."""
    return sorted(
        (one.utc_from_us, max(s.utc_to_us for s in stretches if s.utc_to_us <= one.utc_to_us), one.moved_us)
        for one in finder.sessions()
    )


@st.composite
def drives(draw: st.DrawFn) -> list[Stretch]:
    """One epoch: driving, standing and pauses of all lengths."""
    pause_s = st.sampled_from([0, 0, 0, 0, 5, 200, GAP_US // SECOND, GAP_US // SECOND + 1, 900])
    one = st.tuples(pause_s, st.sampled_from([1, 30, 250, 400]), st.sampled_from([True, True, False, False, None]))
    out, at_us = [], draw(st.integers(1, 3000)) * SECOND
    for pause, length_s, moves in draw(st.lists(one, min_size=1, max_size=14)):
        at_us += pause * SECOND
        out.append(Stretch("fs", A, at_us, at_us + length_s * SECOND - 1, 1_000 * SECOND, moves))
        at_us += length_s * SECOND
    return out


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Stretch], list[Stretch], set[int]]:
    """A drive, the order in which it comes, and when watch starts anew: any order, or live first and the rest later."""
    drive = draw(drives())
    if draw(st.booleans()):
        order = draw(st.permutations(drive))
    else:
        is_live = draw(st.lists(st.booleans(), min_size=len(drive), max_size=len(drive)))
        live = [one for one, now in zip(drive, is_live, strict=True) if now]
        late = [one for one, now in zip(drive, is_live, strict=True) if not now]
        begins = draw(st.integers(0, len(live)))  # backfill comes between the live ones
        rest = draw(st.permutations([True] * len(late) + [False] * (len(live) - begins)))
        queues = {True: iter(late), False: iter(live[begins:])}
        order = [*live[:begins], *(next(queues[of]) for of in rest)]
    return drive, order, draw(st.sets(st.integers(0, len(drive)), max_size=3))


@settings(max_examples=100)
@given(arrivals())
def test_any_order_of_arrival_gives_the_sessions_of_the_right_one(
    given_: tuple[list[Stretch], list[Stretch], set[int]],
):
    drive, order, restarts = given_
    right = SessionFinder()
    for one in drive:
        right.add(one)
    finder, names, absorbed = SessionFinder(), dict[str, int](), dict[str, str]()
    shown: dict[str, Session] = {}
    for number, one in enumerate(order):
        if number in restarts:
            finder = SessionFinder(shown.values())
        for session in finder.add(one):
            shown[session.id] = session
            names.setdefault(session.id, session.utc_from_us)
        for gone in finder.absorbed:
            del shown[gone]
        absorbed |= finder.absorbed
        finder.absorbed.clear()
        assert sorted(shown.values(), key=lambda s: s.id) == sorted(finder.sessions(), key=lambda s: s.id)
        found = finder.at("fs", A, one.t_from_us)
        assert found is not None
        assert found.utc_from_us <= one.utc_from_us <= found.utc_to_us
    assert told(finder, drive) == told(right, drive)
    assert not right.absorbed
    assert {follow(name, absorbed) for name in names} == set(shown)
    for one in order:
        assert finder.add(one) == [] or len(finder.sessions()) == len(right.sessions())
    assert told(finder, drive) == told(right, drive)


def test_two_sessions_become_one_when_what_lies_between_comes():
    finder = SessionFinder()
    finder.add(stretch(0, 100, moves=True))
    finder.add(stretch(700, 720, moves=True))
    first, second = (one.id for one in finder.sessions())
    for at in range(100, 400, 10):
        finder.add(stretch(at, at + 10, moves=True))
    (one,) = finder.sessions()
    assert (one.id, one.utc_from_us, one.utc_to_us, one.moved_us) == (first, 0, 720 * SECOND, (0, 720 * SECOND))
    assert finder.absorbed == {second: first}


def test_what_the_vehicle_stood_before_it_was_heard_goes_to_the_session_before():
    finder = SessionFinder()
    finder.add(stretch(0, 60, moves=True))
    finder.add(stretch(1000, 1100, moves=False))  # live again
    finder.add(stretch(1100, 1200, moves=True))
    for at in range(60, 1000, 10):
        finder.add(stretch(at, at + 10, moves=False))
    assert extents(finder) == [(0, 1100 * SECOND - 1), (1100 * SECOND, 1200 * SECOND)]


def arranged(found: list[Session], cuts: list[Cut], joins: dict[str, str]) -> list[tuple[str, int, int]]:
    sessions = arrange(found, cuts, joins, lambda _vehicle, epoch: {A: 0, B: 110 * SECOND}[epoch])
    return [(one.id, one.utc_from_us // SECOND, -(-one.utc_to_us // SECOND)) for one in sessions]


def test_what_people_cut_and_joined_stays_as_the_session_grows():
    finder = SessionFinder()
    finder.add(stretch(0, 100))
    finder.add(stretch(500, 600))
    first, second = (one.id for one in finder.sessions())
    cut = Cut("x", "fs", A, 40 * SECOND)
    assert arranged(finder.sessions(), [cut], {}) == [(first, 0, 40), ("x", 40, 100), (second, 500, 600)]
    assert arranged(finder.sessions(), [cut], {second: "x"}) == [(first, 0, 40), ("x", 40, 600)]
    assert arranged(finder.sessions(), [cut], {"x": first}) == [(first, 0, 100), (second, 500, 600)]
    finder.add(stretch(600, 700))
    assert arranged(finder.sessions(), [cut], {second: "x"}) == [(first, 0, 40), ("x", 40, 700)]
    assert arranged(finder.sessions(), [Cut("y", "fs", A, 300 * SECOND)], {"gone": first, second: "gone"}) == [
        (first, 0, 100),
        (second, 500, 700),
    ]
    assert arranged(finder.sessions(), [], {first: second, second: first})  # a ring is no endless loop


def test_a_cut_over_a_restart_of_the_agent():
    finder = SessionFinder()
    finder.add(stretch(0, 100))
    finder.add(stretch(0, 50, B, offset_us=110 * SECOND))
    (whole,) = finder.sessions()
    early, late = Cut("e", "fs", A, 50 * SECOND), Cut("l", "fs", B, 20 * SECOND)
    assert arranged([whole], [early, late], {}) == [(whole.id, 0, 50), ("e", 50, 130), ("l", 130, 160)]
    assert arranged([whole], [Cut("b", "fs", B, 0)], {}) == [(whole.id, 0, 100), ("b", 110, 160)]


@given(st.lists(st.integers(1, 99), unique=True, max_size=5))
def test_any_cuts_keep_every_moment_once(cuts_s: list[int]):
    finder = SessionFinder()
    finder.add(stretch(0, 100))
    cuts = [Cut(f"c{at}", "fs", A, at * SECOND) for at in cuts_s]
    pieces = arrange(finder.sessions(), cuts, {}, lambda _vehicle, _epoch: 0)
    edges = sorted((one.parts[0].t_from_us, one.parts[0].t_to_us) for one in pieces)
    assert len(edges) == len(cuts) + 1
    assert (edges[0][0], edges[-1][1]) == (0, 100 * SECOND)
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(edges))
