"""Units of systemd: no service runs as root, writes beyond its state, or gains rights."""

import configparser
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).resolve().parents[2] / "deploy" / "systemd").glob("*.service"))
HARDENED = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes"}


def test_there_are_units():
    assert "ved-agent.service" in [path.name for path in UNITS]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_is_hardened(path: Path):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(path.read_text())
    service = unit["Service"]
    assert service["User"] not in ("", "root", "0")
    assert {name: service.get(name) for name in HARDENED} == HARDENED
    families = service["RestrictAddressFamilies"].split()
    assert families
    assert set(families) <= {"AF_CAN", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"}
