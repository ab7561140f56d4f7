"""One key, two agents: told when both talk, not when one took over from the other."""

import pytest

from ved.ingest.car import CarIdentity
from ved.ingest.server import find_shared

CAR, OTHER = CarIdentity(bytes(32), 1, "fs"), CarIdentity(bytes(31) + b"1", 2, "fs")
A, B = bytes(16), bytes(range(16))


@pytest.mark.parametrize(
    ("connections", "expected"),
    [
        ([], {}),
        ([(CAR, A, 0.0, 100.0)], {}),
        ([(CAR, A, 0.0, 100.0), (CAR, A, 5.0, 100.0)], {}),  # two lanes
        ([(CAR, A, 0.0, 100.0), (OTHER, B, 5.0, 100.0)], {}),
        ([(CAR, A, 0.0, 11.0), (CAR, B, 10.0, 100.0)], {}),  # the old one fell silent: it was started again
        ([(CAR, A, 0.0, 100.0), (CAR, B, 99.0, 100.0)], {}),  # too early to tell
        ([(CAR, A, 0.0, 100.0), (CAR, B, 10.0, 99.0)], {CAR: B}),
        ([(CAR, A, 0.0, 4.0), (CAR, A, 0.0, 100.0), (CAR, B, 10.0, 99.0), (OTHER, B, 1.0, 9.0)], {CAR: B}),
    ],
)
def test_find_shared(
    connections: list[tuple[CarIdentity, bytes, float, float]], expected: dict[CarIdentity, bytes]
) -> None:
    assert find_shared(connections) == expected
    assert find_shared(connections[::-1]) == expected
