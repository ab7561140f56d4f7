"""`ved vpn`: the files by readers that are not ours (wg-quick, wg, configparser), and their filter in a real kernel.

No tunnel is made: that needs WireGuard's module. QR codes are read by zbar.
"""

import base64
import configparser
import ipaddress
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.integration.qr_reader import from_terminal, read_qr
from typer.testing import CliRunner

from ved.cli.main import app
from ved.errors import UserError

# wg-quick(8) and wg(8): what may stand in which section.
ALLOWED = {
    "Interface": {"address", "listenport", "privatekey", "mtu", "postup", "predown"},
    "Peer": {"publickey", "presharedkey", "allowedips", "endpoint"},
}
REPEATED = {"postup", "predown"}


def vpn(folder: Path, *arguments: str) -> str:
    """The output; errors are raised."""
    result = CliRunner().invoke(app, ["vpn", *arguments, "--folder", str(folder)], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def sections(file: Path) -> list[tuple[str, dict[str, str]]]:
    """Each section by configparser, with the rules of wg-quick(8)."""
    out = []
    for part in re.split(r"(?m)^(?=\[)", file.read_text())[1:]:
        name = part[1 : part.index("]")]
        lines = [line for line in part.splitlines() if not line.startswith("#")]
        keys = [line.split("=")[0].strip().lower() for line in lines if "=" in line]
        assert set(keys) <= ALLOWED[name], keys
        once = [key for key in keys if key not in REPEATED]
        assert len(once) == len(set(once))
        parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
        parser.read_string("\n".join(lines))
        out.append((name, dict(parser[name])))
    return out


def public_of(private: str) -> str:
    """By the library, from the 32 bytes that WireGuard says a key is."""
    raw = base64.b64decode(private, validate=True)
    assert len(raw) == 32
    return base64.b64encode(X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()).decode()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "wireguard"
    vpn(folder, "init", "--endpoint", "vpn.example.org:51820")
    for name in ("fs", "pe"):
        vpn(folder, "add", name, "--for", "car")
    for name in ("lea", "tom"):
        vpn(folder, "add", name, "--for", "staff")
    return folder


def test_server_and_peers_fit_together(made: Path):
    (_, server), *peers = sections(made / "wg0.conf")
    assert ipaddress.ip_interface(server["address"]) == ipaddress.ip_interface("10.77.0.1/24")
    assert server["listenport"] == "51820"
    given = {}
    for kind, name in (("car", "fs"), ("car", "pe"), ("staff", "lea"), ("staff", "tom")):
        (_, own), (_, far) = sections(made / "peers" / f"{name}.conf")
        (entry,) = [one for _, one in peers if one["publickey"] == public_of(own["privatekey"])]
        assert far["publickey"] == public_of(server["privatekey"])
        assert far["presharedkey"] == entry["presharedkey"]
        assert len(base64.b64decode(entry["presharedkey"], validate=True)) == 32
        assert entry["allowedips"] == own["address"]  # the peer can use its own address and no other
        assert far["allowedips"] == "10.77.0.1/32"  # and sends nothing but what is for the server
        assert far["endpoint"] == "vpn.example.org:51820"
        address = ipaddress.ip_interface(own["address"]).ip
        assert address in ipaddress.ip_network("10.77.0.0/25" if kind == "car" else "10.77.0.128/25")
        given[name] = (address, own["privatekey"], far["presharedkey"])
    assert len(peers) == 4
    for values in zip(*given.values(), strict=True):
        assert len(set(values)) == 4  # addresses and keys are each one's own


def test_files_are_private_and_nothing_is_overwritten(made: Path):
    files = [made / "wg0.conf", *(made / "peers").glob("*.conf")]
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    before = {file: file.read_bytes() for file in files}
    with pytest.raises(UserError, match=r"wg0\.conf: is there already"):
        vpn(made, "init", "--endpoint", "other.example.org:51820")
    with pytest.raises(UserError, match="name 'fs': there is such a peer already"):
        vpn(made, "add", "fs", "--for", "staff")
    assert {file: file.read_bytes() for file in files} == before


def test_a_removed_peer_is_gone_and_its_address_free(made: Path):
    before = (made / "wg0.conf").read_text()
    fs = sections(made / "peers" / "fs.conf")[0][1]
    vpn(made, "remove", "fs")
    assert public_of(fs["privatekey"]) not in (made / "wg0.conf").read_text()
    assert not (made / "peers" / "fs.conf").exists()
    assert "fs" not in vpn(made, "list").split()
    assert [one["allowedips"] for _, one in sections(made / "wg0.conf")[1:]] == [
        "10.77.0.3/32", "10.77.0.128/32", "10.77.0.129/32",
    ]  # fmt: skip
    vpn(made, "add", "spare", "--for", "car")
    assert sections(made / "peers" / "spare.conf")[0][1]["address"] == "10.77.0.2/32"
    assert before.split("# ved peer")[0] == (made / "wg0.conf").read_text().split("# ved peer")[0]


def test_own_lines_in_the_server_file_stay(made: Path):
    file = made / "wg0.conf"
    file.write_text(file.read_text().replace("ListenPort = 51820", "ListenPort = 51820 # ours\nMTU = 1380"))
    vpn(made, "add", "more", "--for", "car")
    vpn(made, "remove", "pe")
    assert "ListenPort = 51820 # ours\nMTU = 1380" in file.read_text()


def grey(png: Path) -> np.ndarray:
    """A PNG of two colours and one bit a pixel, as segno writes it: its rows by zlib, without a picture library."""
    data, at, pixels = png.read_bytes(), 8, b""
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height = int.from_bytes(body[:4]), int.from_bytes(body[4:8])
            assert (body[8], body[9]) == (1, 0), "one bit of grey"
        elif kind == b"IDAT":
            pixels += body
        at += 12 + size
    rows = np.frombuffer(zlib.decompress(pixels), np.uint8).reshape(height, -1)
    out = np.zeros_like(rows[:, 1:])
    for number, row in enumerate(rows):
        assert row[0] in (0, 2), "plain, or the difference to the row above"
        out[number] = row[1:] + (out[number - 1] if row[0] == 2 else 0)
    return np.unpackbits(out, axis=1)[:, :width] * np.uint8(255)


def test_a_phone_reads_the_file_from_screen_and_picture(tmp_path: Path):
    folder, picture = tmp_path / "wireguard", tmp_path / "lea.png"
    vpn(folder, "init", "--endpoint", "[2001:db8::1]:51820", "--network", "192.168.7.0/28")
    shown = vpn(folder, "add", "lea", "--for", "staff", "--qr", "--image", str(picture))
    text = (folder / "peers" / "lea.conf").read_text()
    assert read_qr(from_terminal(shown)) == text
    assert read_qr(grey(picture)) == text
    assert picture.stat().st_mode & 0o777 == 0o600


def test_a_picture_for_print(tmp_path: Path):
    folder, picture = tmp_path / "wireguard", tmp_path / "lea.svg"
    vpn(folder, "init", "--endpoint", "a:1")
    vpn(folder, "add", "lea", "--for", "staff", "--image", str(picture))
    root = ET.fromstring(picture.read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert picture.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("init", "--endpoint", "vpn.example.org"), "--endpoint vpn.example.org: give the name"),
        (("init", "--endpoint", "a b:51820"), "--endpoint a b:51820: give the name"),
        (("init", "--endpoint", "a:1", "--network", "8.8.8.0/24"), "private network"),
        (("init", "--endpoint", "a:1", "--network", "10.0.0.0/30"), "private network"),
        (("add", "x", "--for", "car"), "begin with: ved vpn init"),
        (("list",), "begin with: ved vpn init"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str):
    with pytest.raises(UserError) as caught:
        vpn(tmp_path, *arguments)
    assert says in str(caught.value)
    assert not (tmp_path / "wg0.conf").exists()


def test_bad_peers_are_refused(made: Path):
    with pytest.raises(UserError, match="small letters"):
        vpn(made, "add", "../x", "--for", "car")
    with pytest.raises(UserError, match="--for phone"):
        vpn(made, "add", "x", "--for", "phone")
    with pytest.raises(UserError, match="no such peer"):
        vpn(made, "remove", "nobody")


def test_a_full_half_says_so(tmp_path: Path):
    vpn(tmp_path, "init", "--endpoint", "a:1", "--network", "10.0.0.0/28")
    for number in range(6):  # .2 to .7
        vpn(tmp_path, "add", f"car{number}", "--for", "car")
    with pytest.raises(UserError, match="all addresses for car"):
        vpn(tmp_path, "add", "car6", "--for", "car")


def test_wireguards_own_tools_take_the_files(made: Path):
    if shutil.which("wg-quick") is None:
        pytest.skip("wireguard-tools are not installed")
    for file in (made / "wg0.conf", made / "peers" / "fs.conf"):
        done = subprocess.run(["wg-quick", "strip", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "PostUp" not in done.stdout
        assert "PrivateKey" in done.stdout
        private = re.search(r"PrivateKey = (\S+)", done.stdout)[1]
        shown = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True)
        assert shown.stdout.strip() == public_of(private)


# In a network of its own: the server's filter on one end of a pair of interfaces, a car and a person on the other.
FILTER = """
set -eu
ip link set lo up
mkfifo "$1/hold"
unshare -n sh -c 'echo ready > "$1/up"; read line < "$1/hold"' sh "$1" &
while [ ! -s "$1/up" ]; do sleep 0.05; done
ip link add wg0 type veth peer name far netns $!
ip addr add 10.77.0.1/24 dev wg0
ip link set wg0 up
far() { nsenter -t $! -n "$@"; }
far ip addr add 10.77.0.2/24 dev far
far ip addr add 10.77.0.128/24 dev far
far ip link set far up
sh -e "$1/postup"
"$2" "$1/ask.py" serve $! "$2" "$1/ask.py"
sh -e "$1/predown"
iptables -S
echo > "$1/hold"
"""
ASK = """
import socket, subprocess, sys
PORTS = (22, 80, 443, 8000, 8790)
if sys.argv[1] == "serve":
    held = [socket.create_server(("0.0.0.0", port)) for port in PORTS]
    subprocess.run(["nsenter", "-t", sys.argv[2], "-n", sys.argv[3], sys.argv[4], "ask"], check=True)
else:
    for source in ("10.77.0.2", "10.77.0.128"):
        got = []
        for port in PORTS:
            try:
                socket.create_connection(("10.77.0.1", port), 0.7, (source, 0)).close()
                got.append(port)
            except OSError:
                pass
        print(source, got, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="making a network needs root on Linux")
def test_the_filter_lets_cars_reach_the_link_and_staff_the_page(made: Path, tmp_path: Path):
    if shutil.which("iptables") is None or shutil.which("nsenter") is None:
        pytest.skip("iptables is not installed")
    text = (made / "wg0.conf").read_text()
    for key in ("PostUp", "PreDown"):
        lines = re.findall(rf"(?m)^{key} = (.*)$", text)
        assert lines
        (tmp_path / key.lower()).write_text("\n".join(lines).replace("%i", "wg0") + "\n")
    (tmp_path / "ask.py").write_text(textwrap.dedent(ASK))
    (tmp_path / "filter.sh").write_text(FILTER)
    done = subprocess.run(
        ["unshare", "-n", "sh", str(tmp_path / "filter.sh"), str(tmp_path), sys.executable],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "Operation not" in done.stderr or "RTNETLINK" in done.stderr:
        pytest.skip(f"no network of our own here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert "10.77.0.2 [8790]" in done.stdout
    assert "10.77.0.128 [80, 443]" in done.stdout
    assert "wg0" not in done.stdout  # PreDown takes all of it away again
