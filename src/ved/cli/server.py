"""A server on a data folder: lock, database, vehicles, roles. What `serve`, `demo` and `replay` start."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ved.broker.base import StreamName
from ved.broker.cluster import FORWARDED, KafkaCluster, KafkaReach
from ved.cli.lock import FolderLock
from ved.cli.supervisor import RoleSpec, Supervisor
from ved.config.places import can_write_package, page_folder, vehicles_folder
from ved.config.settings import ROLES, Role, ServerSettings
from ved.config.vehicle import load_vehicle
from ved.db.database import Database
from ved.db.dbcs import assignments
from ved.db.people import create_signin_token
from ved.db.vehicles import ensure_vehicle
from ved.errors import StorageError, UserError
from ved.influx.settings import InfluxSettings, InfluxTarget, checked_url
from ved.ingest.settings import IngestSettings
from ved.mqtt.settings import MqttRules, MqttSettings, MqttTarget
from ved.notify.targets import SEVERITY_NUMBERS, NotifySettings
from ved.record.settings import RecordSettings
from ved.watch.settings import WatchSettings
from ved.web.settings import WebSettings

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Which roles a running server has and where it listens, as it wrote it into its data folder."""

    pid: int
    link_url: str
    web_url: str
    roles: tuple[str, ...] = ()


class Server:
    """The roles of one data folder, started and stopped together."""

    def __init__(self, settings: ServerSettings, *, with_page: bool = True) -> None:
        self.settings = settings
        self.data = settings.data.resolve()
        self.lock = FolderLock(prepare_folder(self.data / "run") / "server.lock")
        self._with_page = with_page
        self._supervisor: Supervisor | None = None
        self.running: RunningServer | None = None

    @property
    def supervisor(self) -> Supervisor:
        """The running role processes."""
        assert self._supervisor is not None
        return self._supervisor

    async def start(self) -> RunningServer:
        """Take the folder, bring the database up to date, start the roles, and wait until all are ready."""
        self.lock.take(
            10.0, f"{self.data}: a server runs on this data folder already; stop it, or choose another --data"
        )
        db = open_database(self.settings)
        try:
            seed_vehicles(db, self.data)
        finally:
            db.close()
        cache = None if can_write_package() else prepare_folder(self.data / "cache" / "numba")
        self._supervisor = Supervisor(self._specs(), cache, self.lock.inherited_fds, self.settings.log_format)
        said = await self._supervisor.start()
        self.running = RunningServer(
            pid=os.getpid(),
            link_url=f"wss://{_shown(self.settings.link_host)}:{said['ingest']['port']}" if "ingest" in said else "",
            web_url=f"http://{_shown(self.settings.web_host)}:{said['web']['port']}" if "web" in said else "",
            roles=tuple(said),
        )
        (self.data / "run" / "server.json").write_text(json.dumps(asdict(self.running)))
        return self.running

    async def stop(self) -> None:
        """Stop the roles in order and give the folder back."""
        if self._supervisor is not None:
            await self._supervisor.stop()
        (self.data / "run" / "server.json").unlink(missing_ok=True)
        self.lock.release()

    def signin_link(self) -> str:
        """A fresh one-time link that signs its first user in as admin."""
        assert self.running is not None
        db = Database(self.settings.database)
        try:
            return f"{page_url(self.settings, self.running)}/signin?token={create_signin_token(db)}"
        finally:
            db.close()

    def _specs(self) -> list[RoleSpec]:
        settings, data = self.settings, self.data
        kafka = _kafka_of(settings)
        specs = [
            RoleSpec(
                "ingest",
                IngestSettings(
                    data=data,
                    db_url=settings.database,
                    host=settings.link_host,
                    port=settings.link_port,
                    names=settings.certificate_names,
                    keep_bytes=int(settings.journal_gib * GIB),
                    keep_us=int(settings.journal_hours * 3_600_000_000),
                    keep_for=_readers_of_journal(settings),
                    kafka=kafka,
                    datagram_port=settings.datagram_port,
                ),
            ),
            RoleSpec(
                "record",
                RecordSettings(
                    data=data,
                    db_url=settings.database,
                    lake_url=settings.lake,
                    commit_s=settings.commit_s,
                    keep_days=settings.lake_keep_days,
                    keep_gib=settings.lake_keep_gib,
                    kafka=kafka,
                ),
            ),
            RoleSpec(
                "watch",
                WatchSettings(
                    data=data,
                    db_url=settings.database,
                    notify=_notify_settings(settings),
                    kafka=kafka,
                    keep_for=_readers_of_journal(settings),
                ),
            ),
        ]
        if self._with_page:
            web: Any = WebSettings(
                data=data,
                db_url=settings.database,
                lake_url=settings.lake,
                host=settings.web_host,
                port=settings.web_port,
                secret_path=data / "keys" / "web.secret",
                page_dir=page_folder(),
                metrics_token=settings.metrics_token.get_secret_value(),
                proxies=settings.web_proxies,
                kafka=kafka,
            )
            specs.append(RoleSpec("web", web))
        target = influx_target(settings)
        if target is not None:
            influx = InfluxSettings(data, settings.database, settings.lake, target, kafka)
            specs.append(RoleSpec("influx", influx))
        mqtt = mqtt_settings(settings, kafka)
        if mqtt is not None:
            specs.append(RoleSpec("mqtt", mqtt))
        return [spec for spec in specs if spec.name in settings.roles]


def page_url(settings: ServerSettings, running: RunningServer) -> str:
    """The address of the page that people type."""
    return settings.web_url.rstrip("/") or running.web_url


def influx_target(settings: ServerSettings) -> InfluxTarget | None:
    """The database for Grafana; None where none is set. UserError when its address is none, or the role has none."""
    if not settings.influx_url:
        if "influx" in settings.roles and settings.roles != ROLES:
            raise UserError("roles: influx needs the address of a database; set influx_url, or leave the role out")
        return None
    return InfluxTarget(
        url=checked_url(settings.influx_url),
        api=settings.influx_api,
        database=settings.influx_database,
        org=settings.influx_org,
        user=settings.influx_user,
        password=settings.influx_password.get_secret_value(),
        token=settings.influx_token.get_secret_value(),
        rate_hz=settings.influx_rate_hz,
    )


def mqtt_settings(settings: ServerSettings, kafka: KafkaReach | None) -> MqttSettings | None:
    """The broker for the latest values; None where none is set. UserError as for `influx_target`."""
    if not settings.mqtt_url:
        if "mqtt" in settings.roles and settings.roles != ROLES:
            raise UserError("roles: mqtt needs the address of a broker; set mqtt_url, or leave the role out")
        return None
    password = settings.mqtt_password.get_secret_value()
    rules = MqttRules(
        prefix=settings.mqtt_topics,
        channels=settings.mqtt_channels,
        rate_hz=settings.mqtt_rate_hz,
        every_s=settings.mqtt_every_s,
        has_object=settings.mqtt_object,
        is_retained=settings.mqtt_retain,
    )
    target = MqttTarget(settings.mqtt_url, settings.mqtt_user, password, settings.mqtt_ca)
    return MqttSettings(settings.data.resolve(), settings.database, target, rules, kafka)


def find_running(data: Path) -> RunningServer | None:
    """The server that runs on this data folder, or None."""
    lock = FolderLock(prepare_folder(data.resolve() / "run") / "server.lock")
    if lock.try_take():
        lock.release()
        return None
    try:
        return RunningServer(**json.loads((data / "run" / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None  # it is still starting or stopping


def prepare_folder(path: Path) -> Path:
    """Make the folder; UserError when that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot make this folder ({error.strerror}); choose another with --data") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"{path}: cannot write into this folder; choose another with --data")
    return path


def open_database(settings: ServerSettings) -> Database:
    """The database, brought up to date; UserError when that cannot be."""
    db = Database(settings.database)
    try:
        db.migrate()
    except StorageError as error:
        db.close()
        raise UserError(f"{error}; is the disk full or read-only?") from None
    except UserError:
        db.close()
        raise
    return db


def seed_vehicles(db: Database, data: Path) -> None:
    """Make the shipped vehicles and those in DATA/vehicles known, once."""
    for folder in (data / "vehicles", vehicles_folder()):
        if folder.is_dir():
            for file in sorted(folder.glob("*/vehicle.toml")):
                ensure_vehicle(db, load_vehicle(file.parent))


def known_buses(settings: ServerSettings, vehicle: str) -> dict[str, int]:
    """The numbers of the buses whose DBCs the server has assigned to the vehicle, by name."""
    data = prepare_folder(settings.data.resolve())
    db = open_database(settings)
    try:
        seed_vehicles(db, data)
        return {row.bus_name: row.bus_index for row in assignments(db, vehicle)}
    finally:
        db.close()


def _kafka_of(settings: ServerSettings) -> KafkaReach | None:
    """The cluster, and the streams whose writers run elsewhere. UserError where a role could not reach its stream."""
    writers: dict[StreamName, Role] = {"frames": "ingest", "events": "watch"}
    elsewhere = tuple(name for name, role in writers.items() if role not in settings.roles)
    if not settings.kafka_servers:
        if elsewhere:
            missing = ", ".join(writers[name] for name in elsewhere)
            raise UserError(f"roles: without {missing} here, set kafka_servers so that the others find the streams")
        return None
    if elsewhere and settings.database.startswith("sqlite"):
        raise UserError("roles: on several machines people's data need PostgreSQL; set db_url")
    cluster = KafkaCluster(
        settings.kafka_servers,
        settings.kafka_prefix,
        settings.kafka_partitions,
        settings.kafka_replicas,
        int(settings.journal_hours * 3_600_000_000),
        int(settings.journal_gib * GIB),
        {name: value.get_secret_value() for name, value in settings.kafka_options.items()},
    )
    return KafkaReach(cluster, elsewhere)


def _readers_of_journal(settings: ServerSettings) -> tuple[str, ...]:
    """Cursors that the journals are never trimmed past."""
    record = ("record",) if "record" in settings.roles else ()
    return (*record, *((FORWARDED,) if settings.kafka_servers else ()))


def _notify_settings(settings: ServerSettings) -> NotifySettings:
    return NotifySettings(
        webhook=settings.notify_webhook.get_secret_value(),
        hosts=settings.notify_hosts,
        apprise=tuple(one.get_secret_value() for one in settings.notify_apprise),
        severity=SEVERITY_NUMBERS[settings.notify_severity],
        every_s=settings.notify_every_s,
    )


def _shown(host: str) -> str:
    """Where this machine reaches a server that listens on `host`, as it stands in an address."""
    if host == "0.0.0.0":  # noqa: S104 - only compared
        return "127.0.0.1"
    here = "::1" if host == "::" else host
    return f"[{here}]" if ":" in here else here
