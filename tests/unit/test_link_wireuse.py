"""Coding that saves nothing is given up for a while, but not for the first batches of a try."""

from ved.link.wireuse import FIRST_PAUSE, LAST_PAUSE, LOOK, WireUse


def coded_of(use: WireUse, batches: int, coded_bytes: int, plain_bytes: int = 400) -> int:
    """How many of so many batches are coded."""
    coded = 0
    for _ in range(batches):
        if use.is_next_coded():
            use.note(coded_bytes, plain_bytes)
            coded += 1
    return coded


def test_large_first_batches_decide_nothing() -> None:
    use = WireUse()
    assert coded_of(use, LOOK, 5000) == LOOK
    assert coded_of(use, 20 * LOOK, 300) == 20 * LOOK


def test_coding_that_does_not_pay_is_tried_ever_more_rarely() -> None:
    use, pause = WireUse(), FIRST_PAUSE
    for _ in range(9):
        assert coded_of(use, 2 * LOOK, 400) == 2 * LOOK
        assert coded_of(use, pause, 400) == 0
        pause = min(2 * pause, LAST_PAUSE)
    assert pause == LAST_PAUSE


def test_a_try_that_pays_goes_on_and_the_next_pause_is_short_again() -> None:
    use = WireUse()
    coded_of(use, 2 * LOOK + FIRST_PAUSE, 400)
    coded_of(use, 2 * LOOK + 2 * FIRST_PAUSE, 400)
    assert coded_of(use, LOOK, 900) == LOOK  # what both ends remember is old
    assert coded_of(use, 50 * LOOK, 200) == 50 * LOOK
    assert coded_of(use, LOOK + FIRST_PAUSE, 900) == LOOK
    assert coded_of(use, 1, 900) == 1
