"""`ved.play`: everything once, in order, at the pace of a clock that the test turns."""

import math
from pathlib import Path

import numpy as np
import pytest
from tests.integration.recorded_helpers import Folder, add_drive
from tests.integration.test_samples_channels import made as made_with_samples

import ved
from ved.api.play import play
from ved.errors import UserError


class FakeClock:
    """Time passes when somebody sleeps, `overshoot_s` longer than asked."""

    def __init__(self, overshoot_s: float = 0.0) -> None:
        self.now = 1000.0
        self.overshoot_s = overshoot_s

    def now_s(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds + self.overshoot_s


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory):
    folder = Folder(tmp_path_factory.mktemp("play") / "data")
    add_drive(folder)
    with ved.open(folder.path) as lake:
        yield lake.sessions()[0]


@pytest.mark.parametrize("speed", [1.0, 20.0])
def test_every_sample_comes_once_when_it_is_due(session, speed):
    clock = FakeClock()
    handed = [(clock.now, one) for one in play(session, ["Speed", "gnss_pos.Latitude"], speed=speed, clock=clock)]
    for name in ("Speed", "gnss_pos.Latitude"):
        truth = session.samples(name)
        found = [(one.utc_us, one.values[name]) for _, one in handed if name in one.values]
        assert found == list(zip(truth.utc_us.tolist(), truth.values.tolist(), strict=True))
    due = np.array([one.time_s for _, one in handed])
    assert (np.diff(due) > 0).all()
    np.testing.assert_allclose(np.array([now for now, _ in handed]) - 1000.0, due / speed, atol=1e-6)
    assert max(one.late_s for _, one in handed) < 1e-6


def test_who_is_slow_gets_all_late_and_catches_up(session):
    clock = FakeClock()
    handed = []
    for one in play(session, ["Speed"], clock=clock):
        handed.append(one)
        if len(handed) == 10:
            clock.now += 30.0
    late = [one.late_s for one in handed]
    assert len(handed) == len(session.samples("Speed"))
    assert late[10] == pytest.approx(30.0, abs=2.0)
    assert sorted(late[10:30], reverse=True) == late[10:30]
    assert late[-1] < 1e-6


@pytest.mark.parametrize("rate_hz", [30.0])
def test_rows_on_a_time_base_are_those_of_frame(session, rate_hz):
    clock = FakeClock()
    played = list(play(session, ["Speed", "Latitude"], rate_hz=rate_hz, speed=math.inf, clock=clock))
    assert clock.now == 1000.0
    frame = session.frame(["Speed", "Latitude"], rate_hz)
    assert len(played) == len(frame)
    assert np.abs(np.array([one.utc_us for one in played]) - frame.utc_us).max() <= 1
    speed = np.array([one.values["Speed"] for one in played])
    np.testing.assert_allclose(speed, frame["Speed"], atol=1e-3, equal_nan=True)


def test_a_vehicle_of_samples_plays_too(tmp_path: Path):
    made_with_samples(tmp_path)
    with ved.open(tmp_path / "data") as lake:
        played = list(ved.play(lake.sessions()[0], ["temperature", "state"], speed=math.inf))
        assert played[0].values == {"temperature": 20.0, "state": 0.0}
        assert len(played) == 17


@pytest.mark.parametrize(
    ("channels", "how", "said"),
    [
        ("Speed", {}, "give a list of names"),
        ([], {}, "name at least one"),
        (["Sped"], {}, "did you mean"),
        (["Speed"], {"speed": 0}, "give a factor above 0"),
        (["Speed"], {"speed": math.nan}, "give a factor above 0"),
        (["Speed"], {"rate_hz": 0.0}, "rate_hz must be above 0"),
    ],
)
def test_bad_input_is_told_before_anything_plays(session, channels, how, said):
    with pytest.raises(UserError, match=said):
        ved.play(session, channels, **how)
