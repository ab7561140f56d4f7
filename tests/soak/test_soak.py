"""The soak in three minutes, and the parts of it that judge."""

import itertools

import numpy as np
import pytest
from tests.soak.measure import Sample, flatness
from tests.soak.plan import CARS, ROLES, SERVER, Phases, draw_faults
from tests.soak.soak import soak


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_minutes(tmp_path):
    result = soak(tmp_path / "soak", 3.0, 3, 30, 8.0)
    assert result.problems == []
    assert result.verdict.frames > 100_000
    assert result.verdict.stored == result.verdict.frames - result.verdict.missing
    assert len(result.faults) > 5


def test_the_same_seed_hurts_the_same_and_never_one_target_twice_at_once():
    phases = Phases.of(60)
    faults = draw_faults(1, phases, 25)
    assert faults == draw_faults(1, phases, 25)
    assert faults != draw_faults(2, phases, 25)
    assert {one.target for one in faults} == {*CARS, *ROLES, SERVER}
    for target in CARS:
        mine = [one for one in faults if one.target == target]
        assert all(one.at_s + one.seconds < after.at_s for one, after in itertools.pairwise(mine))
    late = [one for one in faults if one.at_s >= phases.steady_s and one.kind == "SIGKILL"]
    assert {one.target for one in late} <= set(CARS[1:])
    assert max(one.at_s + one.seconds for one in faults) < phases.quiet_s


@pytest.mark.parametrize(("mib_per_hour", "is_flat"), [(0.0, True), (10.0, True), (60.0, False)])
def test_what_grows_is_not_flat(mib_per_hour, is_flat):
    noise = np.random.default_rng(1).normal(0, 2, 200).tolist()
    samples = [
        Sample(at_s, "web", 1, 100 + mib_per_hour * at_s / 3600 + noise[number], 0, 20, 0)
        for number, at_s in enumerate(np.linspace(0, 3600, 200).tolist())
    ]
    memory, files = flatness(samples, ["web"])
    assert memory.is_flat is is_flat
    assert files.is_flat
