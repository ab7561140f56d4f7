"""Coding that saves nothing is given up, but not for the first batches of a connection."""

from ved.link.wireuse import LOOK, WireUse


def test_large_first_batches_decide_nothing() -> None:
    use = WireUse()
    for _ in range(LOOK):
        use.note(5000, 400)
    assert use.is_worth
    for _ in range(LOOK * 20):
        use.note(300, 400)
    assert use.is_worth


def test_coding_that_does_not_pay_ends() -> None:
    use = WireUse()
    for _ in range(2 * LOOK - 1):
        use.note(400, 400)
    assert use.is_worth
    use.note(400, 400)
    assert not use.is_worth
