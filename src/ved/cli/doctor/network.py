"""Ports that the server listens on, and the services that it talks to."""

import socket
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httpx
import psutil

from ved.cli.doctor.finding import Finding, ok, problem, warning
from ved.cli.rolehealth import beat_file
from ved.cli.server import RunningServer, influx_target, mqtt_settings
from ved.config.settings import ServerSettings
from ved.errors import UserError

ANSWER_S: Final = 5.0


def ports(settings: ServerSettings, running: RunningServer | None) -> list[Finding]:
    """Each port that this server wants: ours already, free, or somebody else's."""
    findings = []
    if "ingest" in settings.roles:
        ours = running is not None and urlsplit(running.link_url).port == settings.link_port
        findings.append(_port("link_port", settings.link_host, settings.link_port, socket.SOCK_STREAM, is_ours=ours))
        if settings.datagram_port:
            has_ingest = running is not None and beat_file(settings.data, "ingest").exists()
            findings.append(
                _port(
                    "datagram_port", settings.link_host, settings.datagram_port, socket.SOCK_DGRAM, is_ours=has_ingest
                )
            )
    if "web" in settings.roles:
        ours = running is not None and urlsplit(running.web_url).port == settings.web_port
        findings.append(_port("web_port", settings.web_host, settings.web_port, socket.SOCK_STREAM, is_ours=ours))
    return findings


def _port(name: str, host: str, port: int, kind: int, *, is_ours: bool) -> Finding:
    if port == 0:
        return ok("ports", f"{name}: any free one")
    if is_ours:
        return ok("ports", f"{name} {port}: in use by this server")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            advice = f"stop that program, or set {name} to another port"
            return problem("ports", f"{name} {host}:{port}: {error.strerror}{_holder(port)}", advice)
    return ok("ports", f"{name} {port}: free")


def _holder(port: int) -> str:
    """Who has it, as far as this user may know."""
    try:
        for one in psutil.net_connections("inet"):
            if (
                one.laddr
                and one.laddr.port == port
                and one.pid
                and one.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
            ):
                return f"; {psutil.Process(one.pid).name()} (process {one.pid}) has it"
    except (psutil.Error, OSError):
        pass
    return ""


def services(settings: ServerSettings) -> list[Finding]:
    """Kafka, InfluxDB and the MQTT broker, where they are set."""
    checks: list[tuple[bool, str, Callable[[ServerSettings], Finding]]] = [
        (bool(settings.kafka_servers), "Kafka", _kafka),
        (bool(settings.influx_url), "InfluxDB", _influx),
        (bool(settings.mqtt_url), "MQTT", _mqtt),
    ]
    findings = []
    for is_set, name, check in checks:
        if not is_set:
            continue
        try:
            findings.append(check(settings))
        except UserError as error:
            findings.append(problem(name, str(error), "correct the setting"))
    return findings


def _kafka(settings: ServerSettings) -> Finding:
    try:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient
    except ImportError:
        return problem("Kafka", "kafka_servers is set, the extra is not installed", "pip install 'ved[kafka]'")
    options = {name: value.get_secret_value() for name, value in settings.kafka_options.items()}
    client: dict[str, str | int | float | bool] = {"bootstrap.servers": settings.kafka_servers, "log_level": 0}
    client.update(options)
    try:
        found = AdminClient(client).list_topics(timeout=ANSWER_S)
    except KafkaException as error:
        why = error.args[0].str() if hasattr(error.args[0], "str") else str(error)
        advice = "is it running, and reachable from here? its advertised.listeners must be an address that works here"
        return problem("Kafka", f"{settings.kafka_servers}: {why}", advice)
    if len(found.brokers) < settings.kafka_replicas:
        advice = "start the other brokers, or set kafka_replicas lower"
        return warning("Kafka", f"brokers: {len(found.brokers)}, kafka_replicas: {settings.kafka_replicas}", advice)
    topics = [name for name in found.topics if name.startswith(f"{settings.kafka_prefix}.")]
    return ok("Kafka", f"{settings.kafka_servers}: brokers: {len(found.brokers)}, topics of ours: {len(topics)}")


def _influx(settings: ServerSettings) -> Finding:
    """InfluxDB 1 is asked to write nothing, which tries user and password; others only whether they are there."""
    target = influx_target(settings)
    assert target is not None
    advice = "is it running? what is due waits in the journal meanwhile"
    headers = {"Authorization": f"Token {target.token}"} if target.token else {}
    auth = httpx.BasicAuth(target.user, target.password) if target.user else None
    try:
        with httpx.Client(timeout=ANSWER_S, trust_env=False, headers=headers, auth=auth) as client:
            if target.api == "v1":
                answer = client.post(f"{target.url}/write", params={"db": target.database})
            else:
                answer = client.get(f"{target.url}/ping")
    except httpx.HTTPError as error:
        return problem("InfluxDB", f"{target.url}: {error}", advice)
    code = answer.status_code
    if code in (401, 403):
        return problem("InfluxDB", f"{target.url}: refuses us", "check influx_user and its password, or the token")
    if code == 404 and "database not found" in answer.text:
        return ok("InfluxDB", f"{target.url}: answers; the role influx makes the database '{target.database}'")
    if code not in (200, 204):
        return problem("InfluxDB", f"{target.url}: HTTP status {code}", advice)
    return ok("InfluxDB", f"{target.url}: {'takes what we write' if target.api == 'v1' else 'answers'}")


def _mqtt(settings: ServerSettings) -> Finding:
    chosen = mqtt_settings(settings, None)
    assert chosen is not None
    host, port = chosen.target.host, chosen.target.port
    try:
        socket.create_connection((host, port), ANSWER_S).close()
    except OSError as error:
        return problem(
            "MQTT", f"{host}:{port}: {error.strerror or error}", "is the broker running, and mqtt_url right?"
        )
    return ok("MQTT", f"{host}:{port}: takes connections")
