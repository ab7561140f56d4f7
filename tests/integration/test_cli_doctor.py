"""`ved doctor` against real defects: an old authority, a taken port, a broken DBC, a server that cannot be reached."""

import asyncio
import contextlib
import datetime as dt
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.integration.influx_server import influxd
from tests.integration.link_helpers import Site
from typer.testing import CliRunner

from ved.broker.journal import JournalStream
from ved.cli.doctor import canstate, machine
from ved.cli.doctor.canstate import can_bus
from ved.cli.doctor.car import examine_car
from ved.cli.doctor.finding import Finding
from ved.cli.doctor.network import ports
from ved.cli.doctor.reach import reach
from ved.cli.main import app
from ved.cli.server import RunningServer
from ved.config.settings import load_settings
from ved.db.database import Database
from ved.errors import UserError
from ved.link.certificates import ensure_server_certificates
from ved.link.credentials import load_credentials
from ved.model.records import Arrival, Lane
from ved.model.vehicle import VehicleBus


def doctor(*arguments: str) -> tuple[int, dict[str, list[Finding]]]:
    """The exit code, and the findings by check."""
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    said = json.loads(result.output)
    out: dict[str, list[Finding]] = {}
    for one in said["findings"]:
        out.setdefault(one["check"], []).append(Finding(**one))
    assert said["is_good"] == (result.exit_code == 0)
    return result.exit_code, out


def at_free_ports(**more: object) -> dict[str, str]:
    return {"VED_LINK_PORT": "0", "VED_WEB_PORT": "0", "VED_JOURNAL_GIB": "0.1", **{k: str(v) for k, v in more.items()}}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a first start leaves it."""
    for name, value in at_free_ports().items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "ved-data"
    folder.mkdir()
    ensure_server_certificates(folder / "keys", [])
    database = Database(load_settings(None, {"data": folder}).database)
    database.migrate()
    database.close()
    return folder


def test_a_sound_folder_has_no_problem(data: Path):
    code, found = doctor("--data", str(data))
    assert code == 0, found
    assert {"settings", "server", "ports", "disk", "fsync", "clock", "authority", "certificate", "keys", "database",
            "vehicle", "lake", "journal"} <= set(found)  # fmt: skip
    assert [one.state for one in found["vehicle"]] == ["ok"] * 3
    assert found["database"][0].text.endswith("schema up to date")


def test_the_lines_say_what_to_do(data: Path):
    (data / "keys" / "link-authority.pem").chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-m", "ved.cli", "doctor", "--data", str(data)],
        env=os.environ | at_free_ports(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("problem ")]
    assert line.endswith(f"others can read link-authority.pem  ->  chmod 600 {data}/keys/*")
    assert done.stdout.splitlines()[-1].startswith("problems: 1, ")


def replace_authority(keys: Path, begin: dt.datetime, end: dt.datetime) -> None:
    """An authority of these dates where there was one of ours."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(begin).not_valid_after(end).sign(key, hashes.SHA256())
    )  # fmt: skip
    (keys / "link-authority.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )


@pytest.mark.parametrize(
    ("begin_days", "end_days", "state", "says"),
    [
        (-4000, -10, "problem", "expired on"),
        (-4000, 30, "warning", "expires on"),
        (10, 4000, "problem", "this clock is wrong"),
    ],
)
def test_dates_of_the_authority(data: Path, begin_days: int, end_days: int, state: str, says: str):
    now = dt.datetime.now(dt.UTC)
    replace_authority(data / "keys", now + dt.timedelta(begin_days), now + dt.timedelta(end_days))
    code, found = doctor("--data", str(data))
    assert code == 1  # the certificate below it is another authority's
    assert found["authority"][0].state == state
    assert says in found["authority"][0].text
    assert found["certificate"][0].state == "problem"
    assert "restart the server" in found["certificate"][0].advice


def test_a_name_that_cars_dial_and_the_certificate_has_not(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VED_LINK_NAMES", '["telemetry.example.org"]')
    code, found = doctor("--data", str(data))
    assert code == 1
    assert "does not carry telemetry.example.org" in found["names"][0].text


def test_a_port_that_somebody_else_has_is_named(data: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("VED_WEB_PORT", str(port))
        code, found = doctor("--data", str(data))
    assert code == 1
    (bad,) = [one for one in found["ports"] if one.state == "problem"]
    assert f"web_port 127.0.0.1:{port}: Address already in use" in bad.text
    assert f"(process {os.getpid()}) has it" in bad.text
    assert "set web_port to another port" in bad.advice


TORN = '\nBO_ 77 Broken: 8 X\n SG_ Torn : 0|16@1+ (1,0 [0|0] "" X\n'


def test_a_broken_dbc_is_named_with_its_line(data: Path):
    folder = data / "vehicles" / "own"
    shutil.copytree(Path(__file__).parents[2] / "vehicles" / "pe", folder)
    toml = folder / "vehicle.toml"
    toml.write_text(toml.read_text().replace('name = "pe"', 'name = "own"', 1))
    (dbc,) = folder.glob("*.dbc")
    dbc.write_text(dbc.read_text(encoding="cp1252") + TORN, encoding="cp1252")
    code, found = doctor("--data", str(data))
    assert code == 1
    (bad,) = [one for one in found["vehicle"] if one.state == "problem"]
    assert bad.text.startswith("own: bus ")
    line = dbc.read_text(encoding="cp1252").splitlines().index(TORN.splitlines()[-1]) + 1
    assert f"{dbc.name}:{line}:" in bad.text
    assert bad.advice == f"ved dbc lint {dbc}"
    dbc.unlink()
    _, found = doctor("--data", str(data))
    assert any(one.state == "problem" and dbc.name in one.text for one in found["vehicle"])


@pytest.mark.parametrize(("revision", "state"), [("older", "warning"), ("newer", "problem")])
def test_a_database_of_another_version(data: Path, revision: str, state: str):
    database = Database(load_settings(None, {"data": data}).database)
    with database.engine.begin() as connection:
        known = connection.exec_driver_sql("select version_num from alembic_version").scalar_one()
        chosen = {"older": "0003", "newer": "9999"}[revision]
        assert known > "0003"
        connection.exec_driver_sql("update alembic_version set version_num = ?", (chosen,))
    database.close()
    code, found = doctor("--data", str(data))
    assert found["database"][0].state == state, found["database"]
    assert (code == 1) == (state == "problem")


def test_a_reader_that_does_not_keep_up(data: Path):
    stream = JournalStream(data / "streams" / "frames")
    writer = stream.writer()
    for _ in range(6_500):
        writer.append(Arrival(0, 0, Lane.LIVE), b"x")
    writer.sync()
    stream.commit_cursor("record", 100)
    writer.close()
    _, found = doctor("--data", str(data))
    assert found["journal"][0].state == "warning"
    assert "record is 6,400 entries behind" in found["journal"][0].text


def test_services_that_are_set_and_away(data: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("VED_INFLUX_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("VED_MQTT_URL", f"mqtt://127.0.0.1:{port}")
    monkeypatch.setenv("VED_KAFKA_SERVERS", f"127.0.0.1:{port}")
    monkeypatch.setattr("ved.cli.doctor.network.ANSWER_S", 0.5)
    code, found = doctor("--data", str(data))
    assert code == 1
    for name in ("InfluxDB", "MQTT", "Kafka"):
        assert found[name][0].state == "problem", name
        assert str(port) in found[name][0].text
        assert found[name][0].advice


def test_ports_of_the_server_that_runs_are_ours():
    with socket.create_server(("127.0.0.1", 0)) as held, socket.create_server(("127.0.0.1", 0)) as other:
        link, web = held.getsockname()[1], other.getsockname()[1]
        settings = load_settings(None, {"link_host": "127.0.0.1", "link_port": link, "web_port": web})
        running = RunningServer(1, f"wss://127.0.0.1:{link}", "http://127.0.0.1:1")
        found = ports(settings, running)
    assert [one.state for one in found] == ["ok", "problem"]
    assert found[0].text == f"link_port {link}: in use by this server"


def test_a_database_that_is_away_is_named_without_its_password(data: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("VED_DB_URL", f"postgresql+psycopg://ved:sesame@127.0.0.1:{port}/people")
    code, found = doctor("--data", str(data))
    assert code == 1
    assert found["database"][0].state == "problem"
    assert str(port) in found["database"][0].text
    assert "sesame" not in json.dumps([one.text + one.advice for some in found.values() for one in some])


def test_a_real_influxdb(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with influxd(tmp_path / "influx", login=("boss", "sesame")) as influx:
        monkeypatch.setenv("VED_INFLUX_URL", influx.url)
        monkeypatch.setenv("VED_INFLUX_USER", "boss")
        monkeypatch.setenv("VED_INFLUX_PASSWORD", "guess")
        code, found = doctor("--data", str(data))
        assert code == 1
        assert found["InfluxDB"][0].text.endswith("refuses us")
        monkeypatch.setenv("VED_INFLUX_PASSWORD", "sesame")
        assert "makes the database 'ved'" in doctor("--data", str(data))[1]["InfluxDB"][0].text
        influx.query("CREATE DATABASE ved")
        code, found = doctor("--data", str(data))
        assert (code, found["InfluxDB"][0].state) == (0, "ok")
        assert found["InfluxDB"][0].text.endswith("takes what we write")


def test_settings_that_cannot_be_read(tmp_path: Path):
    (tmp_path / "ved.toml").write_text("web_prot = 1\n")
    code, found = doctor("--config", str(tmp_path / "ved.toml"))
    assert code == 1
    assert "unknown key 'web_prot'" in found["settings"][0].text
    with pytest.raises(UserError, match="go with --car"):
        doctor("--server", "wss://a")


def test_a_folder_of_somebody_else_is_not_judged(data: Path, monkeypatch: pytest.MonkeyPatch):
    kernel = SimpleNamespace(access=lambda path, _: path != data, R_OK=os.R_OK, W_OK=os.W_OK, X_OK=os.X_OK)
    monkeypatch.setattr(machine, "os", kernel)
    code, found = doctor("--data", str(data))
    assert code == 1
    assert found["folder"][0].text == f"{data}: belongs to somebody else"
    assert "keys" not in found
    assert doctor("--car", str(data))[1].keys() == {"folder"}


def test_a_full_and_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    free = shutil.disk_usage(tmp_path).free
    assert machine.disk(tmp_path, 0)[0].state == "ok"
    assert machine.disk(tmp_path, free * 2)[0].state == "warning"
    monkeypatch.setattr(machine, "LEAST_FREE_BYTES", free * 2)
    assert machine.disk(tmp_path, 0)[0].state == "problem"
    monkeypatch.setattr(machine, "SLOW_SYNC_S", 0.0)
    assert machine.disk(tmp_path, 0)[1].state == "warning"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="adjtimex(2) is Linux")
def test_a_clock_that_was_never_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000_000)
    found = machine.clock("set it")
    assert (found.state, found.advice) == ("problem", "set it")
    assert found.text.startswith("1970-01-01")


def from_car(state: Path, url: str) -> dict[str, Finding]:
    return {one.check: one for one in reach(load_credentials(state), url)}


def test_the_way_to_the_server_step_by_step(tmp_path: Path):
    site = Site(tmp_path / "server")

    async def scenario() -> list[dict[str, Finding]]:
        site.prepare("fs")
        async with site.serving() as port:
            site.enrol_here(tmp_path / "car", port=port)
            out = [await asyncio.to_thread(from_car, tmp_path / "car", f"wss://127.0.0.1:{port}")]
            # A key that is not known (any more), and a name that the certificate does not carry.
            stranger = tmp_path / "stranger"
            site.enrol_here(stranger, port=port)
            known = json.loads((stranger / "credentials.json").read_text())
            known["key"] = "00" * (len(known["key"]) // 2)
            (stranger / "credentials.json").write_text(json.dumps(known))
            out.append(await asyncio.to_thread(from_car, stranger, f"wss://127.0.0.1:{port}"))
            out.append(await asyncio.to_thread(from_car, tmp_path / "car", f"wss://127.1:{port}"))
        out.append(await asyncio.to_thread(from_car, tmp_path / "car", f"wss://127.0.0.1:{port}"))
        return out

    good, stranger, misnamed, down = asyncio.run(scenario())
    assert {name: one.state for name, one in good.items()} == dict.fromkeys(
        ("name", "TCP", "TLS", "key", "offset"), "ok"
    )
    assert stranger["TLS"].state == "ok"
    assert stranger["key"].state == "problem"
    assert "enrol this car again" in stranger["key"].advice
    assert misnamed["TLS"].state == "problem"
    assert misnamed["TLS"].advice == "add 127.1 to link_names on the server and restart it"
    assert down["TCP"].state == "problem"
    assert "Connection refused" in down["TCP"].text
    assert "TLS" not in down  # the first step that fails is the last that is told
    nameless = from_car(tmp_path / "car", "wss://no-such-host.invalid:8790")
    assert (nameless["name"].state, list(nameless)) == ("problem", ["name"])


def test_another_server_is_told_from_ours(tmp_path: Path):
    ours, other = Site(tmp_path / "ours"), Site(tmp_path / "other")

    async def scenario() -> dict[str, Finding]:
        ours.prepare("fs")
        ours.enrol_here(tmp_path / "car", port=1)
        other.prepare("fs")
        async with other.serving() as port:
            return await asyncio.to_thread(from_car, tmp_path / "car", f"wss://127.0.0.1:{port}")

    found = asyncio.run(scenario())
    assert found["TLS"].state == "problem"
    assert "enrol this car again" in found["TLS"].advice


def test_a_car_that_was_never_enrolled_or_has_an_open_key(tmp_path: Path):
    (tmp_path / "car").mkdir()
    found = {one.check: one for one in examine_car(tmp_path / "car", None, None)}
    assert found["key"].state == "problem"
    assert "not enrolled" in found["key"].text
    assert found["agent"].state == "warning"
    site = Site(tmp_path / "server")
    site.prepare("fs")
    site.enrol_here(tmp_path / "car", port=9)
    (tmp_path / "car" / "credentials.json").chmod(0o644)
    (tmp_path / "car" / "status.json").write_text(json.dumps({"utc_s": 0, "frames": 1, "stored_frames": 1,
                                                              "lost_frames": 0, "is_connected": True}))  # fmt: skip
    all_found = examine_car(tmp_path / "car", None, "wss://127.0.0.1:9")
    assert any(one.check == "key" and "chmod 600" in one.advice for one in all_found)
    assert [one.state for one in all_found if one.check == "agent"] == ["problem"]


BUS = VehicleBus(0, "powertrain", 500_000, "can0", (), ())


def fake_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: dict | None, **sys_files: str) -> Path:
    """/sys as Linux writes it for a CAN interface that is up, and an `ip` that prints what iproute2 prints."""
    folder = tmp_path / "net" / "can0"
    folder.mkdir(parents=True)
    for name, text in {"type": "280\n", "flags": "0x40c1\n", **sys_files}.items():
        (folder / name).write_text(text)
    tools = tmp_path / "bin"
    tools.mkdir()
    if data is not None:
        said = json.dumps([{"ifname": "can0", "linkinfo": {"info_kind": "can", "info_data": data}}])
        (tools / "ip").write_text(f"#!/bin/sh\ncat <<'EOF'\n{said}\nEOF\n")
        (tools / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/bin:/usr/bin" if data is not None else str(tools))
    return tmp_path / "net"


GOOD = {"state": "ERROR-ACTIVE", "ctrlmode": ["LISTEN-ONLY"], "bittiming": {"bitrate": 500000},
        "berr_counter": {"tx": 0, "rx": 0}}  # fmt: skip


@pytest.mark.parametrize(
    ("data", "sys_files", "state", "says"),
    [
        (GOOD, {}, "ok", "500,000 bit/s, ERROR-ACTIVE"),
        (GOOD | {"bittiming": {"bitrate": 250000}}, {}, "problem", "vehicle.toml says 500,000"),
        (GOOD | {"state": "BUS-OFF"}, {}, "problem", "BUS-OFF"),
        (GOOD | {"state": "ERROR-PASSIVE", "berr_counter": {"tx": 0, "rx": 130}}, {}, "warning", "rx 130"),
        (GOOD | {"ctrlmode": []}, {}, "warning", "takes part in the bus"),
        (GOOD, {"flags": "0x40c0\n"}, "problem", "is down"),
        (GOOD, {"type": "1\n"}, "problem", "no CAN interface"),
        (None, {}, "warning", "not known"),
    ],
)
def test_a_can_interface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: dict | None, sys_files: dict[str, str], state: str, says: str
):
    found = can_bus(BUS, fake_interface(tmp_path, monkeypatch, data, **sys_files))
    assert (found.state, says in found.text) == (state, True), found
    assert state == "ok" or found.advice


def test_interfaces_of_this_machine():
    """The real /sys and the real `ip`: one that is not there, one that is no CAN."""
    missing = can_bus(VehicleBus(0, "b", 500_000, "nocan7", (), ()))
    assert (missing.state, "no such interface" in missing.text) == ("problem", True)
    if (canstate.SYSTEM / "lo").is_dir():
        assert "no CAN interface" in can_bus(VehicleBus(0, "b", 500_000, "lo", (), ())).text


def test_the_command_for_a_car(tmp_path: Path):
    site = Site(tmp_path / "server")
    site.prepare("fs")
    site.enrol_here(tmp_path / "car", port=9)
    with contextlib.chdir(tmp_path):
        vehicle = Path(__file__).parents[2] / "vehicles" / "fs"
        code, found = doctor("--car", "car", "--vehicle", str(vehicle), "--server", "wss://127.0.0.1:9")
    assert code == 1
    assert found["TCP"][0].state == "problem"
    assert {"disk", "fsync", "clock", "service", "vehicle"} <= set(found)
    assert len([name for name in found if name.startswith("bus ")]) == 3
