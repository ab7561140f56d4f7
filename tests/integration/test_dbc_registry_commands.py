"""`ved dbc assign`, `list` and `compare` on a data folder."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from tests.integration.recorded_helpers import Folder
from typer.testing import CliRunner

import ved
from ved.cli.main import app
from ved.errors import UserError
from ved.model.frames import FrameColumns

UTC0 = 1_700_000_000_000_000
CAR = 'VERSION ""\nBU_: A\nBO_ 100 Motor: 8 A\n SG_ Torque : 0|16@1- (0.5,0) [0|0] "N·m" A\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = Folder(tmp_path / "data")
    payload = np.zeros((50, 8), np.uint8)
    payload[:, 0] = np.arange(50)
    zero = np.zeros(50, np.uint8)
    frames = FrameColumns(
        np.arange(50, dtype=np.int64) * 100_000, zero, np.full(50, 100, np.uint32), zero, zero + np.uint8(8), payload
    )
    folder.add("car", [(frames, UTC0)], {0: ("can0", CAR)})
    from ved.db.vehicles import ensure_vehicle_name

    ensure_vehicle_name(folder.db, "car")
    folder.db.close()
    return tmp_path / "data"


def run(*arguments: str, data: Path) -> str:
    result = CliRunner().invoke(app, ["dbc", *arguments, "--data", str(data)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def lake_files(data: Path) -> dict[str, str]:
    files = sorted(path for path in (data / "lake").rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_assign_list_compare(data: Path, tmp_path: Path):
    right = tmp_path / "right.dbc"
    right.write_text(CAR.replace("Torque", "MotorTorque").replace("0.5", "2"))
    before = lake_files(data)
    trial = run("assign", "car", "can0", str(right), "--dry-run", data=data)
    assert "renamed: Motor.Torque -> Motor.MotorTorque, 49 of 50 samples differ, by up to 73.5" in trial
    assert json.loads(run("list", "car", "--json", data=data))["assignments"] == []

    said = run("assign", "car", "can0", str(right), "--note", "scale", "--from", "2023-11-14", data=data)
    assert "right.dbc" in said
    history = json.loads(run("list", "car", "--json", data=data))
    assert [(one["bus_name"], one["note"], one["valid_to_us"]) for one in history["assignments"]] == [
        ("can0", "scale", None)
    ]
    assert history["aliases"] == [["Motor.Torque", "Motor.MotorTorque"]]
    number = str(history["assignments"][0]["id"])
    assert f"assignment {number}: " in said
    listed = run("list", "car", data=data)
    assert "right.dbc" in listed
    assert "from 2023-11-14 00:00:00" in listed

    with ved.open(data) as lake:
        session = lake.sessions()[0]
        for name in ("Motor.Torque", "Motor.MotorTorque"):
            assert session.samples(name).values.tolist() == (2.0 * np.arange(50)).tolist()
    compared = json.loads(run("compare", session.id, "--json", data=data))
    assert [(one["kind"], one["name"], one["differing"]) for one in compared] == [("renamed", "Motor.MotorTorque", 49)]
    assert compared[0]["examples"][-1]["after"] == 98.0
    assert "no channel differs" in run("compare", session.id, "--before", number, data=data)
    assert lake_files(data) == before

    run("assign", "car", "0", data=data)  # no file: as it was recorded
    assert "no channel differs" in run("compare", session.id, data=data)
    assert len(json.loads(run("list", "car", "--json", data=data))["assignments"]) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("assign", "nobody", "can0"), "vehicle 'nobody': there is none; known are"),
        (("assign", "car", "can7"), "bus 'can7': car has none of this name; known are 0 can0"),
        (("assign", "car", "can0", "--from", "yesterday"), "--from yesterday: no time; write it like 2026-05-01"),
        (("assign", "car", "can0", "--from", "2026-05-02", "--to", "2026-05-01"), "begin before it ends"),
        (("assign", "car", "can0", "missing.dbc"), "missing.dbc: cannot read"),
        (("compare", "car-0001", "--before", "soon"), "version soon: give 'recorded', 'now' or a number"),
        (("compare", "car-0001", "--before", "12"), "number of an assignment"),
        (("list", "nobody"), "vehicle 'nobody': there is none"),
    ],
)
def test_bad_input_is_one_line(data: Path, arguments: tuple[str, ...], why: str):
    with pytest.raises(UserError) as caught:
        run(*arguments, data=data)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
