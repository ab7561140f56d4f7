"""`ved agent run` beside a server: frames over a network and values over HTTP, live at the page and in the lake."""

import asyncio
import contextlib
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.integration.web_live import DBC, Page, until
from websockets.asyncio.client import connect

from ved.cli.carsources import choose_sources
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.lake.samplerows import SampleWhere

COUNT = 200
VEHICLE = """name = "box"
title_en = "Box"
title_fr = "Boîte"
[[bus]]
index = 0
name = "main"
bitrate_hz = 500000
dbc = ["main.dbc"]
"""


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "box"
    folder.mkdir()
    (folder / "vehicle.toml").write_text(VEHICLE)
    (folder / "main.dbc").write_text(DBC)
    return folder


@pytest.mark.slow
def test_frames_and_values_are_live_and_in_the_lake(served, folder: Path, tmp_path: Path, eventually: Callable) -> None:
    data, state = served.ved.data, tmp_path / "state"
    link_url = json.loads((data / "run" / "server.json").read_text())["link_url"]
    code = served.ved.run("keys", "code", "box", "--data", str(data)).stdout.strip()
    assert served.ved.run("agent", "enrol", "--server", link_url, "--code", code, "--state", str(state)).returncode == 0
    can_port, http_port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    sources = ["--bus", f"main=cannelloni://127.0.0.1:{can_port}", "--sensors", f"influx://127.0.0.1:{http_port}"]
    command = [sys.executable, "-m", "ved.cli", "agent", "run", str(folder), "--state", str(state), *sources]
    agent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        asyncio.run(watch_live(served, can_port, http_port))
        eventually(lambda: "influx://" in status(served, state), "a status with its sources")
        said = status(served, state)
        assert (
            f"bus 0 on cannelloni://127.0.0.1:{can_port}: up; {COUNT} frames, 0 error frames, 0 lost, 1 refused" in said
        )
        assert f"sensors on influx://127.0.0.1:{http_port}: up; {COUNT} samples, 0 lost, 1 refused" in said
    finally:
        agent.send_signal(signal.SIGTERM)
        _, log = agent.communicate(timeout=30)
    assert agent.returncode == 0, log
    lake = Lake(str(data / "lake"))

    def stored() -> list[float]:
        lake.refresh()
        out: list[float] = []
        for name, epoch in lake.samples.epochs():
            rows = lake.samples.all_parts("box", epoch, SampleWhere()) if name == "box" else None
            if rows is not None:  # the vehicle's health figures are samples too
                is_ours = [rows.channels[number].name == "pack.temperature" for number in rows.channel.tolist()]
                out += rows.value[np.array(is_ours, np.bool_)].tolist()
        return out

    eventually(lambda: sorted(stored()) == [number / 4 for number in range(COUNT)], "every sample once")


def status(served, state: Path) -> str:
    return served.ved.run("agent", "status", "--state", str(state)).stdout


async def watch_live(served, can_port: int, http_port: int) -> None:
    signin = served.ved.run("signin", "--data", str(served.ved.data)).stdout.strip()
    async with httpx.AsyncClient(base_url=served.origin, timeout=60, trust_env=False) as client:
        await client.get(signin)
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        url = served.origin.replace("http", "ws") + "/api/live"
        headers = {"Cookie": cookie}
        async with connect(url, additional_headers=headers, origin=served.origin, compression=None) as live:
            page = Page(live)
            reading = asyncio.create_task(page.read())
            await page.watch("Motor.speed", "pack.temperature", vehicle="box")
            await until(lambda: page.state.get("link") == "up")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"rubbish", ("127.0.0.1", can_port))
                for number in range(COUNT):
                    speed = struct.pack("<hxxxxxx", number)
                    sock.sendto(
                        struct.pack(">BBBHIB", 2, 0, number % 256, 1, 0x100, 8) + speed, ("127.0.0.1", can_port)
                    )
                    content = f"pack temperature={number / 4}"
                    answer = await client.post(f"http://127.0.0.1:{http_port}/write", content=content)
                    assert answer.status_code == 204
            answer = await client.post(f"http://127.0.0.1:{http_port}/write", content=b"no point")
            assert answer.status_code == 400
            sent_s = time.monotonic()
            await until(lambda: page.last("pack.temperature")[-1:] == [(COUNT - 1) / 4])
            await until(lambda: page.last("Motor.speed")[-1:] == [COUNT - 1])
            assert time.monotonic() - sent_s < 30  # live, not when the lake has it
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading


def test_a_wrong_source_ends_in_one_line(ved, folder: Path) -> None:
    done = ved.run("agent", "run", str(folder), "--bus", "main=cannelloni://car")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "source cannelloni://car: car is no IPv4 address" in done.stderr


@pytest.mark.parametrize(
    ("buses", "sensors", "said"),
    [
        ((), (), "nothing to read: give a [[bus]] of vehicle.toml an interface, or use --bus or --sensors"),
        (("main",), (), "--bus main: write it BUS=SOURCE, like main=cannelloni://0.0.0.0:20000"),
        (("other=can0",), (), "--bus other=can0: box has no bus 'other'; it has main (0)"),
        (("main=can0", "0=can1"), (), "--bus main: named twice; each bus has one source"),
        (("main=kafka://x",), (), "source kafka://x: no such kind; use one of cannelloni, udp_multicast"),
        (("main=cannelloni://0.0.0.0:1/x",), (), "write it like cannelloni://0.0.0.0:20000?from=192.168.7.2"),
        (("main=socketcand://h/can0>",), (), "'can0>' is no name of a bus there"),
        (("main=udp_multicast://10.0.0.1",), (), "10.0.0.1 is no multicast group"),
        (("main=mqtt://u:geheim@h/t",), (), "source mqtt://u@h/t: a password does not belong into an address"),
        (("main=mqtt://h/t/+",), (), "a bus has one topic"),
        (("main=mqtts://h/t?ca=/nowhere",), (), "ca /nowhere cannot be read"),
        ((), ("influx://0.0.0.0",), "needs token_file="),
    ],
)
def test_wrong_sources_are_told(folder: Path, buses: tuple[str, ...], sensors: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError) as caught:
        choose_sources(load_vehicle(folder), buses, sensors)
    text = str(caught.value)
    assert said in text
    assert "\n" not in text
    assert "geheim" not in text
