"""What a person does wrong: one clear line, exit code 2, no traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ved.cli.main import main

LOG = "(1.000000) can0 100#0102\n"
DBC = 'BO_ 256 Engine: 8 ECU\n SG_ Speed : 0|16@1+ (1,0) [0|0] "rpm" X\n'


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ved.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False)


CASES = {
    "missing log": (["replay", "none.log"], "none.log"),
    "unknown log format": (["replay", "notes.txt"], "notes.txt"),
    "unreadable log": (["replay", "broken.MF4"], "broken.MF4"),
    "empty log": (["replay", "empty.log"], "empty.log"),
    "missing dbc": (["replay", "ok.log", "--dbc", "none.dbc"], "none.dbc"),
    "broken dbc": (["replay", "ok.log", "--dbc", "broken.dbc"], "broken.dbc"),
    "unknown bus": (["replay", "ok.log", "--dbc", "can7=ok.dbc"], "no bus 'can7'"),
    "wrong speed": (["replay", "ok.log", "--speed", "fast"], "--speed fast"),
    "wrong vehicle name": (["replay", "ok.log", "--vehicle", "Mein Auto"], "Mein Auto"),
    "far server without a key": (["replay", "ok.log", "--server", "wss://127.0.0.1:1"], "ved agent enrol"),
    "unknown vehicle": (["simulate", "tank"], "known are"),
    "wrong fault": (["simulate", "fs", "--fault", "explosion@1+1"], "over_temperature"),
    "log without a length": (["simulate", "fs", "--out", "x.log"], "--minutes"),
    "unwritable log": (["simulate", "fs", "--minutes", "0.01", "--out", "no/such/x.log"], "no/such/x.log"),
    "no data folder": (["lake", "stats", "--data", "nowhere"], "nowhere"),
    "no server to sign in to": (["signin"], "ved serve"),
    "wrong role": (["signin", "--role", "king"], "viewer, engineer, admin"),
    "unknown key": (["keys", "revoke", "77", "--data", "."], "key 77"),
    "wrong code": (["agent", "enrol", "--server", "wss://127.0.0.1:1", "--code", "hello"], "code"),
    "wrong link address": (["agent", "enrol", "--server", "http://x", "--code", "hello"], "wss://"),
    "load test without a server": (["loadtest"], "--scratch"),
    "load test of another machine": (["loadtest", "--server", "wss://192.0.2.1:8790", "--code", "x"], "i-own-this"),
    "load test without codes": (["loadtest", "--server", "wss://127.0.0.1:1", "--viewers", "0"], "ved keys code"),
    "load test without end": (["loadtest", "--seconds", "1e9"], "--seconds"),
    "load test over no link": (["loadtest", "--link", "5g"], "4g-bad"),
    "load test into no folder": (["loadtest", "--json", "no/such/x.json"], "no/such/x.json"),
}
# These settle how a process runs before they look at what they were given, so each has one of its own.
OF_A_SERVER = {
    "wrong setting": (["--config", "wrong.toml"], "unknown key 'web_prot'"),
    "missing settings file": (["--config", "none.toml"], "none.toml"),
    "data folder is a file": (["--data", "ok.log"], "ok.log"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ok.log").write_text(LOG)
    (tmp_path / "empty.log").write_text("")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.MF4").write_bytes(b"MDF     " + bytes(100))
    (tmp_path / "ok.dbc").write_text(DBC)
    (tmp_path / "broken.dbc").write_text("this is no DBC\n")
    (tmp_path / "wrong.toml").write_text("web_prot = 1\n")
    return tmp_path


def is_one_line(said: str, expected: str) -> None:
    lines = said.strip().splitlines()
    assert len(lines) == 1, said
    assert lines[0].startswith("ved: ")
    assert expected in lines[0]


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_exit_code_2(
    folder: Path, case: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    arguments, expected = CASES[case]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["ved", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    is_one_line(capfd.readouterr().err, expected)


@pytest.mark.parametrize("case", OF_A_SERVER)
def test_a_server_says_one_line(folder: Path, case: str):
    arguments, expected = OF_A_SERVER[case]
    done = run(folder, "serve", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    is_one_line(done.stderr, expected)


@pytest.mark.parametrize("option", ["--web-port", "--link-port"])
def test_a_busy_port_is_named(tmp_path: Path, option: str):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0" if option == "--link-port" else "127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        other = "--link-port" if option == "--web-port" else "--web-port"
        done = run(tmp_path, "serve", option, port, other, "0")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert any(line.startswith("ved: ") and port in line for line in done.stderr.splitlines())


def test_a_wrong_vehicle_folder_names_file_and_key(tmp_path: Path):
    vehicle = tmp_path / "ved-data" / "vehicles" / "mine"
    vehicle.mkdir(parents=True)
    (vehicle / "vehicle.toml").write_text('name = "mine"\ntitle_en = "Mine"\ntitle_fr = "Mon"\nbitrate = 3\n')
    done = run(tmp_path, "simulate", "mine", "--minutes", "1", "--out", "x.log")
    assert done.returncode == 2
    assert "vehicle.toml" in done.stderr
    assert "bitrate" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_one_line(tmp_path: Path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this kernel or sandbox lets nobody mount a tmpfs")
    try:
        (small / "fill").write_bytes(bytes(60 * 1024))
        done = run(tmp_path, "keys", "code", "fs", "--data", str(small / "data"))
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", str(small)], check=True)
