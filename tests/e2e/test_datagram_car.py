"""A device with embedded/ved_sender.h is a car like any other: live at the page, and in the lake."""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect

from ved.lake.lake import Lake

sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))
from web_live import Page

FRAMES = 300
DBC = """VERSION ""
BU_: X
BO_ 256 Motor: 8 X
 SG_ speed : 0|16@1- (1,0) [0|0] "rpm" X
"""


@pytest.fixture
def sender(root: Path, ved, service_missing: Callable[[str], Any], tmp_path: Path) -> Path:
    """The example for Linux, built with the key that the server printed."""
    gcc = shutil.which("gcc") or service_missing("gcc is not installed (Debian: apt install gcc libc6-dev)")
    folder = ved.data / "vehicles" / "probe"
    folder.mkdir(parents=True)
    (folder / "probe.dbc").write_text(DBC)
    (folder / "vehicle.toml").write_text(
        'name = "probe"\ntitle_en = "Probe"\ntitle_fr = "Sonde"\n'
        '[[bus]]\nindex = 0\nname = "main"\nbitrate_hz = 500000\ninterface = "can0"\ndbc = ["probe.dbc"]\n'
    )
    said = ved.run("keys", "datagram", "probe", "--data", str(ved.data))
    assert said.returncode == 0, said.stderr
    (tmp_path / "ved_key.h").write_text(said.stdout)
    source = root / "embedded" / "examples" / "posix_main.c"
    subprocess.run(
        [gcc, "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{root / 'embedded'}", f"-I{tmp_path}",
         str(source), "-o", str(tmp_path / "sender")],
        check=True,
    )  # fmt: skip
    return tmp_path / "sender"


async def watch(serving, drive: Callable[[], Any]) -> tuple[Page, Any]:
    """What a browser that watches gets while the device drives."""
    async with httpx.AsyncClient(base_url=serving.origin, timeout=60) as client:
        await client.get(serving.signin_link)
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    url = serving.origin.replace("http", "ws") + "/api/live"
    async with connect(url, additional_headers={"Cookie": cookies}, origin=serving.origin, compression=None) as live:
        page = Page(live)
        reading = asyncio.create_task(page.read())
        await page.watch("Motor.speed", vehicle="probe")
        await asyncio.to_thread(drive)
        try:
            for _ in range(600):
                if FRAMES - 1 in page.last() and page.state.get("link") == "up":
                    break
                await asyncio.sleep(0.05)
            else:
                pytest.fail(f"not live: {page.last()[-5:]}, {page.texts[-5:]}")
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return page, cookies


def drive_losing(sender: Path, port: int) -> None:
    """Once more, over a way that loses each third datagram: 100 of 300 frames."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay:
        relay.bind(("127.0.0.1", 0))
        device = subprocess.Popen([sender, "127.0.0.1", str(relay.getsockname()[1]), str(FRAMES)])
        relay.settimeout(60)
        for number in range(1, FRAMES // 10 + 1):
            data = relay.recv(2000)
            if number % 3:
                relay.sendto(data, ("127.0.0.1", port))
        assert device.wait(60) == 0


@pytest.mark.slow
def test_a_device_with_the_c_sender_is_live_and_in_the_lake(
    ved, sender: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable
):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("VED_DATAGRAM_PORT", str(port))
    monkeypatch.setenv("VED_COMMIT_S", "1")
    with ved.serving() as serving:

        def drive() -> None:
            said = subprocess.run([sender, "127.0.0.1", str(port), str(FRAMES)], check=True, capture_output=True)
            assert said.stdout == b"30 datagrams sent, 0 failed\n"

        page, cookies = asyncio.run(watch(serving, drive))
        speeds = page.last()
        assert speeds == sorted(speeds)
        assert page.state["age_ms"] is not None
        lake = Lake(str(ved.data / "lake"))

        def stored() -> np.ndarray:
            lake.refresh()
            found = [lake.frames(name, epoch) for name, epoch in lake.epochs() if name == "probe"]
            return found[0].payload[:, :2].copy().view("<u2").ravel() if found else np.empty(0)

        eventually(lambda: stored().tolist() == list(range(FRAMES)), "every frame once, in order")
        drive_losing(sender, port)  # another start, another epoch
        eventually(
            lambda: lake.refresh() or sum(name == "probe" for name, _ in lake.epochs()) == 2, "two epochs in the lake"
        )

        def figures() -> str:
            return httpx.get(serving.origin + "/metrics", headers={"Cookie": cookies}, timeout=30).text

        eventually(lambda: 'datagrams_total{role="ingest"} 50\n' in figures(), "each datagram counted")

        def lost() -> int:
            range_us = f"from_utc_us={time.time_ns() // 1000 - 3_600_000_000}&to_utc_us={time.time_ns() // 1000}"
            url = f"{serving.origin}/api/vehicles/probe/ledger?{range_us}"
            return sum(httpx.get(url, headers={"Cookie": cookies}, timeout=30).json()["lost"].get("way", []))

        eventually(lambda: lost() == 90, "what the way lost is declared, exactly, but for the last datagram")
        assert 'health_link_backlog{vehicle="probe"} 0\n' in figures()
