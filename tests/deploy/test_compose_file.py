"""deploy/compose.yaml: valid, and as careful as it says."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.deploy.composefile import DEBUG_FILE, FILE, ROOT, environment, load, mounts

from ved.cli.init import SECRETS
from ved.config.settings import ROLES as ALL_ROLES
from ved.config.settings import ServerSettings

SERVICES: dict[str, dict[str, Any]] = load()["services"]
ROLES = [role for role in ALL_ROLES if role != "mqtt"]  # it runs where somebody has an MQTT broker to speak with
ONE_SHOT = {"init", "demo-key"}
LASTING = sorted(set(SERVICES) - ONE_SHOT)
OPTIONAL = {"demo-key": "demo", "demo-car": "demo", "kafka-ui": "tools", "vpn": "vpn"}
OURS = sorted(name for name, one in SERVICES.items() if one.get("image", "").startswith("ved:"))
everywhere = pytest.mark.parametrize("name", sorted(SERVICES))


@pytest.mark.parametrize("file", [FILE, DEBUG_FILE, ROOT / "compose.yaml"], ids=lambda file: file.name)
def test_the_schema_of_the_compose_specification_holds(file: Path):
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(file.read_text()))


def test_the_schema_refuses_what_is_none():
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    broken = yaml.safe_load(FILE.read_text())
    broken["services"]["web"]["helthcheck"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(broken)


@pytest.mark.slow
@pytest.mark.parametrize("profiles", ["", "demo", "tools", "vpn", "demo,tools,vpn"])
@pytest.mark.parametrize("files", [["deploy/compose.yaml"], ["compose.yaml"]], ids=["deploy", "root"])
def test_composes_own_loader_reads_it_as_we_do(tmp_path: Path, profiles: str, files: list[str]):
    if not shutil.which("go"):
        pytest.skip("Go is not installed: the loader of Docker Compose cannot be built")
    program = tmp_path.parent / "composecheck"
    if not program.exists():
        command = ["go", "build", "-o", str(program), "."]
        source = Path(__file__).parent / "composecheck"
        built = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
        if built.returncode and "dial tcp" in built.stderr:
            pytest.skip("Go modules cannot be fetched here")
        assert built.returncode == 0, built.stderr
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VED_")}
    done = subprocess.run([program, profiles, *files], cwd=ROOT, capture_output=True, text=True, env=clean, check=False)
    assert done.returncode == 0, done.stderr
    project = json.loads(done.stdout)
    assert project["name"] == "ved"
    asked = set(profiles.split(","))
    chosen = {name for name, one in SERVICES.items() if set(one.get("profiles", asked)) & asked}
    assert set(project["services"]) == chosen
    for name, theirs in project["services"].items():
        ours = SERVICES[name]
        assert (theirs.get("environment") or {}) == environment(ours), name
        assert theirs["command"] == ours.get("command"), name
        assert theirs["entrypoint"] == ours.get("entrypoint"), name
        assert [(one["target"], one.get("read_only", False)) for one in theirs.get("volumes", [])] == [
            (one.target, one.is_read_only) for one in mounts(ours)
        ], name


def test_who_is_there():
    assert {name for name in SERVICES if name not in OPTIONAL} == {
        "init", "kafka", "influxdb", "grafana", "postgres", "caddy", *ROLES,
    }  # fmt: skip
    assert {name: one["profiles"] for name, one in SERVICES.items() if "profiles" in one} == {
        name: [profile] for name, profile in OPTIONAL.items()
    }


@everywhere
def test_every_image_is_pinned(name: str):
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+(\.\d+){1,2}(-[a-z0-9]+)?", SERVICES[name]["image"])
    if not SERVICES[name]["image"].startswith("postgres:"):  # its versions have two numbers
        assert SERVICES[name]["image"].count(".") >= 2


@everywhere
def test_it_can_do_little(name: str):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc", "devices", "userns_mode"} & set(service)
    assert service.get("network_mode") in (None, "none")
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    allowed = {
        "init": {"CHOWN", "DAC_OVERRIDE"},
        "caddy": {"NET_BIND_SERVICE"},
        "vpn": {"NET_ADMIN", "NET_BIND_SERVICE", "DAC_OVERRIDE"},
    }
    assert set(service.get("cap_add", [])) == allowed.get(name, set())
    if name == "init":
        assert service["user"] == "0:0"
    elif name not in ("kafka-ui", "vpn"):  # the image's own user; the tunnel's interface needs root
        assert int(service["user"].split(":")[0]) > 0


@everywhere
def test_its_logs_end_somewhere(name: str):
    assert SERVICES[name]["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}


@pytest.mark.parametrize("name", LASTING)
def test_it_is_watched_and_comes_back(name: str):
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"  # no shell


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_what_ends_is_not_started_again_and_waited_for(name: str):
    assert SERVICES[name]["restart"] == "no"
    waiting = [one for one in SERVICES.values() if one.get("depends_on", {}).get(name)]
    assert waiting
    assert {one["depends_on"][name]["condition"] for one in waiting} == {"service_completed_successfully"}


@everywhere
def test_it_starts_after_what_it_needs(name: str):
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
        assert how == {"condition": expected}
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        new = set(SERVICES[waiting.pop()].get("depends_on", {})) - seen
        seen |= new
        waiting += new
    assert name not in seen, "a circle"
    if any(one.source.startswith("secrets-") for one in mounts(SERVICES[name])) and name != "init":
        assert "init" in seen


def test_only_80_443_and_the_link_are_published():
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one and name not in OPTIONAL}
    assert published == {"caddy": ["80:8080", "443:8443"], "ingest": ["8790:8790"]}
    assert SERVICES["kafka-ui"]["ports"] == ["127.0.0.1:8085:8080"]
    assert SERVICES["vpn"]["ports"] == ["51820:51820/udp"]
    for one in load(DEBUG_FILE)["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in one["ports"])
    assert load()["networks"]["back"] == {"internal": True}
    for name in ("kafka", "postgres", "influxdb", "record", "influx"):
        assert SERVICES[name]["networks"] == ["back"]


def test_every_volume_has_a_name_and_is_used():
    named = [one.source for service in SERVICES.values() for one in mounts(service) if one.is_named]
    assert set(named) == set(load()["volumes"])
    for name, service in SERVICES.items():
        for mount in mounts(service):
            if not mount.is_named:
                assert mount.is_read_only, f"{name} may write into the checkout"
                assert mount.source.startswith("./")
                assert "\\" not in mount.source
                assert (FILE.parent / mount.source).exists()


def test_nobody_writes_where_somebody_else_writes():
    writers: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for mount in mounts(service):
            if mount.is_named and not mount.is_read_only and name != "init":
                writers.setdefault(mount.source, set()).add(name)
    shared = {volume: who for volume, who in writers.items() if len(who) > 1}
    assert shared == {"ingest": {"ingest", "demo-key"}, "demo-car": {"demo-key", "demo-car"}}


def test_no_secret_stands_in_it_and_each_is_mounted_by_its_reader_alone():
    for name, service in SERVICES.items():
        for variable, value in environment(service).items():
            if re.search("PASSWORD|SECRET|TOKEN|KEY", variable):
                assert value.startswith(("/run/ved-secrets", "${")) or value == "", f"{name}: {variable}"
    assert not re.search(r"://[^/@\s]*:[^/@\s]*@", FILE.read_text())
    readers: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for mount in mounts(service):
            if mount.source.startswith("secrets-") and name != "init":
                assert mount.is_read_only
                assert mount.target == "/run/ved-secrets"
                readers.setdefault(mount.source.removeprefix("secrets-"), set()).add(name)
    assert readers.pop("ved") == {*ROLES, "demo-key"}
    assert readers == {name: {name} for name in ("postgres", "influxdb", "grafana", "kafka")}


def test_init_makes_all_of_them_and_hands_each_folder_to_the_user_who_reads_it():
    init = SERVICES["init"]
    targets = {mount.source: mount.target for mount in mounts(init)}
    folders = {name.split("/")[0] for secret in SECRETS for name, _ in secret.files}
    assert {f"secrets-{folder}" for folder in folders} | {"caddy"} == set(targets)
    owners = dict(one.removeprefix("--owner=").split("=") for one in init["command"] if one.startswith("--owner"))
    assert set(owners) == set(targets.values())
    for name, service in SERVICES.items():
        for mount in mounts(service):
            if name != "init" and mount.source in targets:
                assert service["user"].split(":")[0] == owners[targets[mount.source]]


def test_every_file_that_a_service_reads_is_one_that_init_makes():
    made = {name for secret in SECRETS for name, _ in secret.files}
    text = {"kafka": "kafka/start.sh", "influxdb": "influxdb/start.sh", "grafana": "grafana/start.sh"}
    for folder, script in text.items():
        said = (FILE.parent / script).read_text() + json.dumps(environment(SERVICES[folder]))
        for file in re.findall(r"(?:/run/ved-secrets|\$secrets)/([a-z_]+)\b", said):
            assert f"{folder}/{file}" in made
    assert environment(SERVICES["postgres"])["POSTGRES_PASSWORD_FILE"] == "/run/ved-secrets/password"
    for name in made:
        folder, file = name.split("/")
        if folder == "ved":
            assert file.removeprefix("ved_") in ServerSettings.model_fields


@pytest.mark.parametrize("name", OURS)
def test_our_settings_are_settings(name: str):
    known = {f"VED_{field.upper()}" for field in ServerSettings.model_fields} | {"VED_SECRETS"}
    assert set(environment(SERVICES[name])) <= known


@pytest.mark.parametrize("role", ROLES)
def test_each_role_runs_alone_under_a_name_that_stays(role: str):
    assert json.loads(environment(SERVICES[role])["VED_ROLES"]) == [role]
    assert SERVICES[role]["hostname"] == role
    assert {mount.source: mount.target for mount in mounts(SERVICES[role])}[role] == "/data"


def test_files_that_containers_read_have_unix_line_endings():
    listed = subprocess.run(
        ["git", "ls-files", "--eol", "deploy", "compose.yaml", ".dockerignore", ".gitattributes"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert len(listed) > 10
    for line in listed:
        index, tree, *rest = line.split()
        assert index in ("i/lf", "i/none"), line
        if rest[-1] != ".gitattributes":
            assert "eol=lf" in line, line
        assert tree in ("w/lf", "w/none"), line


def test_grafana_gets_what_its_provisioned_files_ask_for():
    files = [one for one in (FILE.parent / "grafana/provisioning").rglob("*") if one.is_file()]
    asked = {name for one in files for name in re.findall(r"\$\{?(VED_[A-Z_]+)", one.read_text())}
    given = set(environment(SERVICES["grafana"]))
    exported = set(re.findall(r"^export (\S+)$", (FILE.parent / "grafana/start.sh").read_text(), re.MULTILINE))
    assert asked == {one for one in given if one.startswith("VED_")} | exported
    assert environment(SERVICES["influx"])["VED_INFLUX_URL"] == environment(SERVICES["grafana"])["VED_INFLUX_URL"]


@pytest.mark.parametrize("script", sorted((ROOT / "deploy").rglob("*.sh")), ids=lambda path: path.parent.name)
def test_scripts_are_shell_and_stop_at_errors(script: Path):
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    assert "\nset -eu\n" in script.read_text()
