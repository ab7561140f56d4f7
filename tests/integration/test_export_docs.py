"""The examples of docs/api.md and of the notebook do what they say, on the recorded drive and the simulated car."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from tests.integration.recorded_helpers import Folder, add_drive
from tests.unit.simulated import log
from typer.testing import CliRunner

from ved.cli.main import app
from ved.db.vehicles import ensure_vehicle
from ved.model.frames import FrameColumns

UTC0 = 1_700_000_000_000_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ved-data` in it."""
    out = tmp_path_factory.mktemp("docs")
    folder = Folder(out / "ved-data")
    add_drive(folder)
    drive = log("fs", 190, 3)
    wanted = ("GpsPosition", "GpsStatus", "LapTimer", "VehicleMotion", "Inverter", "BatteryPack")
    kept = [drive.of(name) for name in wanted]
    ensure_vehicle(folder.db, drive.vehicle)
    joined = FrameColumns.concatenate(kept)
    buses = {bus.index: (bus.name, bus.dbc_texts[0]) for bus in drive.vehicle.buses}
    folder.add("fs", [(joined.take(np.argsort(joined.t_us, kind="stable")), UTC0)], buses)
    return out


def test_the_guide_to_the_python_api(root: Path, place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)
    text = (root / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 7
    seen: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), seen)
    assert 50 < seen["best"].time_s < 56
    assert [lap.number for lap in seen["laps"]] == [1, 2, 3]
    assert np.isfinite(seen["samples"].values).all()


def test_the_commands_of_the_guide(root: Path, place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)
    text = (root / "docs" / "api.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "ved"
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        out = Path(arguments[arguments.index("--out") + 1])
        assert out.stat().st_size > 10_000


def run_notebook(file: Path) -> dict[str, object]:
    """What is there after all cells ran."""
    seen: dict[str, object] = {}
    for number, cell in enumerate(json.loads(file.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), seen)
    return seen


def test_the_notebook_on_the_recorded_drive(root: Path, place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)
    seen = run_notebook(root / "examples" / "recorded_drive.ipynb")
    assert seen["laps"] == []
    assert seen["way_m"] == pytest.approx(seen["odometer_m"], rel=0.02)
    assert seen["table"].columns[:2] == ["time_s", "utc"]
    assert len(seen["table"]) == len(seen["frame"]) > 5_000


def test_the_notebook(root: Path, place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)
    seen = run_notebook(root / "examples" / "lap_for_simulation.ipynb")
    assert seen["distance_m"][-1] == pytest.approx(1_020, rel=0.03)
    assert 50 < seen["energy_wh"] < 1_000
    assert (place / "best-lap.parquet").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--last"),
        (["--last", "--format", "xls"], "known are csv"),
        (["--last", "--channels", "Sped"], "did you mean"),
        (["abc", "--vehicle", "fs"], "belongs to --last"),
        (["abc"], "the newest are"),
        (["--last", "--vehicle", "nobody"], "vehicle 'nobody'"),
        (["--last", "--lap", "77", "--channels", "CurrentTime"], "has no lap 77"),
    ],
)
def test_bad_orders_are_one_line(place: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str):
    monkeypatch.chdir(place)
    before = set(place.iterdir())
    done = CliRunner().invoke(app, ["export", *arguments])
    assert done.exit_code != 0
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert set(place.iterdir()) == before
