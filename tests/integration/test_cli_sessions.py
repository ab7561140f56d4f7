"""`ved sessions` and `ved maths` on a data folder."""

import json

import pytest
from tests.integration.recorded_helpers import Folder
from tests.unit.test_api_sessions import CAR, SESSION, UTC0
from typer.testing import CliRunner

from ved.cli.main import app
from ved.db.maths import put_maths
from ved.db.tracks import put_track
from ved.db.vehicles import ensure_vehicle_name
from ved.errors import UserError
from ved.model.maths import MathsDef
from ved.model.track import Track, TrackLine


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "data")
    ensure_vehicle_name(made.db, "fs")
    made.add("fs", [(SESSION, UTC0)], {0: ("can0", CAR)})
    made.add("fs", [(SESSION, UTC0 + 10**9)], {0: ("can0", CAR)})
    yield made
    made.db.close()


def ved(folder, *words):
    result = CliRunner().invoke(app, [*words, "--data", str(folder.path)], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def listed(folder, *words):
    return json.loads(ved(folder, "sessions", "list", "--json", *words))


def test_sessions_are_listed_described_split_and_merged(folder):
    put_track(folder.db, Track("t1", "Le Mans", (TrackLine((48.0, 2.0), (48.0, 2.001)),)), "ada")
    first, second = (one["id"] for one in listed(folder, "--vehicle", "fs"))
    ved(folder, "sessions", "edit", first, "--name", "Run [1]", "--tag", "rain", "--tag", "wet", "--track", "Le Mans")
    ved(folder, "sessions", "edit", first, "--untag", "wet", "--driver", "Léa")
    (found,) = listed(folder, "--tag", "rain", "--track", "le mans")
    assert (found["name"], found["driver"], found["tags"], found["track"]) == ("Run [1]", "Léa", ["rain"], "Le Mans")
    shown = ved(folder, "sessions", "show", first)
    for text in ("name: Run [1]", "driver: Léa", "track: Le Mans (t1)", "driver: '' -> 'Léa'"):
        assert text in shown
    assert "Run [1]" in ved(folder, "sessions", "list")
    ved(folder, "sessions", "split", first, "--at", "1.2")
    assert len(listed(folder)) == 3
    new = listed(folder)[1]["id"]
    assert listed(folder)[1]["duration_s"] == pytest.approx(0.79)
    ved(folder, "sessions", "merge", first, new)
    assert [one["id"] for one in listed(folder)] == [first, second]
    with pytest.raises(UserError, match="track 'Spa': there is none; known are Le Mans"):
        ved(folder, "sessions", "edit", first, "--track", "Spa")
    with pytest.raises(UserError, match="--at noon: give seconds"):
        ved(folder, "sessions", "split", first, "--at", "noon")
    with pytest.raises(UserError, match="session 'x': there is none"):
        ved(folder, "sessions", "show", "x")
    with pytest.raises(UserError, match="vehicle 'pe': there is none"):
        ved(folder, "sessions", "list", "--vehicle", "pe")


def test_maths_channels_are_listed_and_tried(folder):
    put_maths(folder.db, "fs", MathsDef("Power", "torque * Motor.Speed", "kW", "of the motor"), "ada")
    put_maths(folder.db, "fs", MathsDef("Broken", "torqe"), "ada")
    shown = ved(folder, "maths", "list", "fs")
    assert "Maths.Power" in shown
    assert "of the motor" in shown
    assert "cannot be made" in shown
    assert (
        ved(folder, "maths", "check", "fs", "Maths.Power / 2", "--unit", "W").strip()
        == "continuous in W, from Maths.Power"
    )
    with pytest.raises(UserError, match=r"position 10: channel 'torqe': there is none; did you mean Motor\.torque"):
        ved(folder, "maths", "check", "fs", "Power + (torqe)")
