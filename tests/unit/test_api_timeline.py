"""Which part of each epoch is seen where epochs overlap."""

from ved.api.timeline import EpochSpan, visible
from ved.model.clockmap import ClockMap


def span(first: int, last: int) -> EpochSpan:
    return EpochSpan(bytes(16), (), ClockMap(0, None), first, last)


def seen(*limits: tuple[int, int]) -> list[list[int]]:
    """The seconds of each span (in order of arrival) that are seen."""
    return [
        [at for at in range(one.utc_first_us, one.utc_last_us + 1) if one.seen_from_us <= at < one.seen_to_us]
        for one in visible([span(*limit) for limit in limits])
    ]


def test_epochs_apart_are_seen_whole() -> None:
    assert seen((10, 12), (20, 22), (0, 3)) == [[10, 11, 12], [20, 21, 22], [0, 1, 2, 3]]


def test_the_same_log_again_hides_the_first_one_also_while_it_runs() -> None:
    assert seen((10, 20), (10, 13)) == [[], [10, 11, 12, 13]]


def test_a_later_epoch_hides_the_earlier_from_its_start_on() -> None:
    assert seen((10, 16), (14, 20)) == [[10, 11, 12, 13], list(range(14, 21))]
    assert seen((10, 16), (12, 13)) == [[10, 11], [12, 13]]


def test_the_end_of_a_recording_that_came_later_does_not_hide_the_next() -> None:
    assert seen((10, 20), (5, 12)) == [list(range(13, 21)), list(range(5, 13))]


def test_three_in_a_row() -> None:
    assert seen((0, 9), (0, 9), (5, 9)) == [[], [0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
