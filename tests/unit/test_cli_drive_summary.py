"""What a drive says at its end is what is so."""

import pytest

from ved.agent.agent import AgentReport
from ved.cli.drive import _summary


@pytest.mark.parametrize(
    ("stored", "is_complete", "expected"),
    [
        (1500, True, "1,500 frames are in the lake (epoch 0101)"),
        (
            1000,
            False,
            "1,000 frames are in the lake (epoch 0101); 500 wait in the car's journal and go at the next start",
        ),
    ],
)
def test_what_did_not_get_out_in_time_is_not_called_stored(stored: int, is_complete: bool, expected: str):
    report = AgentReport("fs", b"\x01\x01", 1500, stored, stored, 0, is_complete)
    assert _summary(report, "the lake") == expected
