"""`ved agent run` on a bus that python-can makes in memory: frames, status file, watchdog."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import can
import pytest

from ved.canbus.merged import merge_buses
from ved.cli.car import drive_car, print_status
from ved.cli.carsources import CarSources
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.lake.lake import Lake

FRAMES = 500


@pytest.fixture
def car(tmp_path: Path):
    (tmp_path / "vehicle.toml").write_text(
        'name = "virtual"\ntitle_en = "Virtual"\ntitle_fr = "Virtuelle"\n'
        '[[bus]]\nindex = 0\nname = "main"\nbitrate_hz = 500000\ninterface = "virtual:pit"\n'
    )
    return load_vehicle(tmp_path)


def test_a_car_sends_what_its_bus_carries_and_says_how_it_is_doing(
    served, car, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable, capsys
):
    state = tmp_path / "state"
    link_url = json.loads((served.ved.data / "run" / "server.json").read_text())["link_url"]
    code = served.ved.run("keys", "code", "virtual", "--data", str(served.ved.data)).stdout.strip()
    assert served.ved.run("agent", "enrol", "--server", link_url, "--code", code, "--state", str(state)).returncode == 0

    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(str(tmp_path / "notify"))
    systemd.settimeout(10)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

    def transmit() -> None:
        with can.Bus(interface="virtual", channel="pit") as bus:
            time.sleep(0.5)
            for number in range(FRAMES):
                bus.send(can.Message(arbitration_id=0x100, data=number.to_bytes(4, "little"), is_extended_id=False))
                time.sleep(0.002)
            time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=transmit)
    sender.start()
    asyncio.run(drive_car(car, CarSources(merge_buses(car.buses)), state, journal_gib=0.1))
    sender.join()

    said = systemd.recv(500), systemd.recv(500)
    systemd.close()
    assert said[0] == b"READY=1"
    assert said[1].startswith(b"WATCHDOG=1\nSTATUS=virtual: ")
    lake = Lake(str(served.ved.data / "lake"))

    def stored() -> list[int]:
        lake.refresh()
        found = [lake.frames(name, epoch) for name, epoch in lake.epochs() if name == "virtual"]
        return found[0].payload[:, :4].copy().view("<u4").ravel().tolist() if found else []

    eventually(lambda: stored() == list(range(FRAMES)), "every frame once, in order")
    print_status(state, as_json=True)
    status = json.loads(capsys.readouterr().out)
    assert (status["vehicle"], status["buses"][0]["is_up"], status["lost_frames"]) == ("virtual", True, 0)
    print_status(state, as_json=False)
    assert "bus 0 on virtual:pit: up" in capsys.readouterr().out


def test_no_agent_has_run_here(tmp_path: Path):
    with pytest.raises(UserError, match="no agent has run"):
        print_status(tmp_path, as_json=False)
