"""All checks of the board in the car."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from ved.cli.car import FRESH_S, STATUS_FILE
from ved.cli.doctor.canstate import SYSTEM, can_bus
from ved.cli.doctor.finding import Finding, ok, problem, warning
from ved.cli.doctor.machine import clock, disk, not_ours
from ved.cli.doctor.reach import reach
from ved.cli.doctor.stores import vehicle as check_vehicle
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.link.credentials import FILE_NAME, load_credentials, parse_server_url

UNIT: Final = "ved-agent"
_JOURNAL_BYTES: Final = 1 << 30
_SET_CLOCK: Final = "let the gateway's NTP set it; harmless for order and spacing, UTC then comes from server or GPS"
_ASK_S: Final = 5.0


def examine_car(state: Path, folder: Path | None, server: str | None, system: Path = SYSTEM) -> list[Finding]:
    """Key, way to the server, buses, disk, clock, service. `server` is asked in place of those of the enrolment."""
    if server is not None:
        parse_server_url(server)
    if not state.is_dir():
        return [problem("state", f"{state}: no such folder", "enrol this car: ved agent enrol --state FOLDER")]
    if denied := not_ours(state):
        return [denied]
    findings = [*_link(state, server), _agent(state)]
    if folder is not None:
        findings += _buses(folder, system)
    findings += [*disk(state, _JOURNAL_BYTES), clock(_SET_CLOCK)]
    return [*findings, *_service()]


def _link(state: Path, server: str | None) -> list[Finding]:
    try:
        known = load_credentials(state)
    except UserError as error:
        return [problem("key", str(error), "on the server: ved keys code VEHICLE")]
    findings = []
    if (state / FILE_NAME).stat().st_mode & 0o077:
        findings.append(problem("key", f"others can read {state / FILE_NAME}", f"chmod 600 {state / FILE_NAME}"))
    for url in known.server_urls if server is None else (server,):
        findings += reach(known, url)
    return findings


def _agent(state: Path) -> Finding:
    """What the agent said last."""
    start = f"systemctl start {UNIT} (or: ved agent run)"
    try:
        status: dict[str, Any] = json.loads((state / STATUS_FILE).read_text())
        age_s = time.time() - float(status["utc_s"])
        waiting = int(status["frames"]) - int(status["stored_frames"])
        lost, trouble = int(status["lost_frames"]), status.get("trouble")
        is_connected = bool(status["is_connected"])
    except (OSError, ValueError, KeyError, TypeError):
        return warning("agent", "has not run with this state folder yet", start)
    if age_s > FRESH_S:
        return problem("agent", f"has said nothing for {age_s:,.0f} s", start)
    shown = f"runs; {waiting:,} frames not stored yet, {lost:,} lost"
    if trouble:
        return problem("agent", f"{shown}; {trouble}", "see: journalctl -u " + UNIT)
    if not is_connected:
        return warning("agent", f"{shown}; no connection", "the checks of name, TCP, TLS and key say why")
    return ok("agent", shown)


def _buses(folder: Path, system: Path) -> list[Finding]:
    findings = [check_vehicle(folder)]
    if findings[0].state == "problem":
        return findings
    for bus in load_vehicle(folder).buses:
        if not bus.interface:
            advice = "name its interface in vehicle.toml, or with ved agent run --bus"
            findings.append(warning(f"bus {bus.name}", "has no interface", advice))
        elif ":" not in bus.interface:
            findings.append(can_bus(bus, system))
        else:
            findings.append(ok(f"bus {bus.name}", f"{bus.interface}: not on this board; 'ved agent status' tells"))
    return findings


def _service() -> list[Finding]:
    """The unit of systemd: does it start by itself, and is it watched?"""
    tool = shutil.which("systemctl")
    if tool is None:
        return [warning("service", "no systemd here", "whatever starts the agent must start it again when it dies")]
    command = [tool, "show", UNIT, "--property=LoadState,UnitFileState,WatchdogUSec"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=False)  # noqa: S603 - no shell
    except (OSError, subprocess.TimeoutExpired) as error:
        return [warning("service", f"systemctl does not answer ({error})", "look at it by hand")]
    said = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    if said.get("LoadState") != "loaded":
        advice = f"install deploy/systemd/ved-agent.service, then: systemctl enable --now {UNIT}"
        return [warning("service", f"{UNIT} is not installed", advice)]
    findings = []
    if said.get("UnitFileState") != "enabled":
        findings.append(problem("service", f"{UNIT} does not start by itself", f"systemctl enable {UNIT}"))
    if said.get("WatchdogUSec") in ("0", "", None, "infinity"):
        findings.append(warning("service", f"{UNIT} has no watchdog", "set WatchdogSec=20, as in deploy/systemd"))
    return findings or [ok("service", f"{UNIT} starts by itself; watchdog {said['WatchdogUSec']}")]
