"""What the kernel tells of a CAN interface: /sys and `ip -details`."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from ved.cli.doctor.finding import Finding, ok, problem, warning
from ved.model.vehicle import VehicleBus

SYSTEM: Final = Path("/sys/class/net")
_ARPHRD_CAN: Final = 280
_IFF_UP: Final = 1
_ASK_S: Final = 5.0


def can_bus(bus: VehicleBus, system: Path = SYSTEM) -> Finding:
    """The interface of a bus: there, up, with the vehicle's bit rate, listening only, without errors."""
    name, check = bus.interface, f"bus {bus.name}"
    up = f"ip link set {name} up type can bitrate {bus.bitrate_hz} listen-only on"
    folder = system / name
    if not folder.is_dir():
        return problem(check, f"{name}: there is no such interface", "is the driver loaded (dmesg | grep -i can)?")
    try:
        kind, flags = int((folder / "type").read_text()), int((folder / "flags").read_text(), 16)
    except (OSError, ValueError):
        return problem(check, f"{name}: the kernel tells nothing of it", "name another interface in vehicle.toml")
    if kind != _ARPHRD_CAN:
        return problem(check, f"{name}: this is no CAN interface", "name another interface in vehicle.toml")
    if not flags & _IFF_UP:
        return problem(check, f"{name}: is down", up)
    details = _details(name)
    if details is None:
        return warning(check, f"{name}: up; bit rate and errors are not known", "install iproute2, which has 'ip'")
    if details.get("info_kind") == "vcan":
        return ok(check, f"{name}: up, virtual")
    return _judge(bus, details.get("info_data") or {}, up)


def _judge(bus: VehicleBus, data: dict[str, Any], up: str) -> Finding:
    name, check = bus.interface, f"bus {bus.name}"
    bitrate = int((data.get("bittiming") or {}).get("bitrate", 0))
    state = str(data.get("state", "?"))
    counters = data.get("berr_counter") or {}
    shown = f"{name}: up, {bitrate:,} bit/s, {state}"
    if counters:
        shown += f", error counters tx {counters.get('tx', 0)} rx {counters.get('rx', 0)}"
    again = f"ip link set {name} down; {up}"
    if bitrate != bus.bitrate_hz:
        return problem(check, f"{shown}; vehicle.toml says {bus.bitrate_hz:,}", again)
    if state == "BUS-OFF":
        return problem(check, shown, f"check wiring, termination and bit rate; then: {again}")
    if state != "ERROR-ACTIVE":
        return warning(check, shown, "check wiring, termination (60 ohm between the wires) and bit rate")
    if "LISTEN-ONLY" not in (data.get("ctrlmode") or []):
        return warning(check, f"{shown}; it takes part in the bus (acknowledges frames)", again)
    return ok(check, f"{shown}, listening only")


def _details(name: str) -> dict[str, Any] | None:
    """`linkinfo` of `ip -details`; None where that cannot be had."""
    tool = shutil.which("ip")
    if tool is None:
        return None
    command = [tool, "-details", "-json", "link", "show", "dev", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=False)  # noqa: S603 - no shell
        found = json.loads(done.stdout)[0].get("linkinfo") or {}
    except (OSError, subprocess.TimeoutExpired, ValueError, LookupError, AttributeError):
        return None
    return dict(found)
