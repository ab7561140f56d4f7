"""The settings of a server: defaults, then a TOML file, then secrets from a folder, then the environment (VED_…), then
the command line.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ved.errors import UserError

Role = Literal["ingest", "record", "watch", "web", "influx", "mqtt"]
ROLES: Final[tuple[Role, ...]] = ("ingest", "record", "watch", "web", "influx", "mqtt")
SECRETS_VARIABLE: Final = "VED_SECRETS"
_NO_ADDRESS: Final = ("0.0.0.0", "::", "127.0.0.1", "::1", "localhost")  # noqa: S104 - only compared


class ServerSettings(BaseSettings):
    """Everything that `ved serve` can be told. The sample file docs/ved.sample.toml shows each option."""

    model_config = SettingsConfigDict(env_prefix="VED_", extra="forbid", frozen=True)

    data: Path = Field(Path("ved-data"), description="Folder that holds all data of this server.")
    web_host: str = Field("127.0.0.1", description="Address on which the page is served.")
    web_port: int = Field(8000, ge=0, le=65535, description="Port of the page; 0 takes a free one.")
    web_url: str = Field("", description="Address of the page behind a TLS proxy: https://NAME; empty: host and port.")
    web_proxies: tuple[str, ...] = Field(
        ("127.0.0.1", "::1"), description="Addresses and networks of TLS proxies that say for whom they ask."
    )
    link_host: str = Field("0.0.0.0", description="Address on which cars are awaited.")  # noqa: S104 - cars come from outside
    link_port: int = Field(8790, ge=0, le=65535, description="Port of the car link; 0 takes a free one.")
    link_names: tuple[str, ...] = Field((), description="Names and addresses of this server that cars dial.")
    datagram_port: int = Field(
        0, ge=0, le=65535, description="UDP port for devices that send datagrams, at link_host; 0: none."
    )
    db_url: str = Field("", description="Database URL; empty: SQLite in the data folder.")
    lake_url: str = Field("", description="Lake: a folder or s3:// URL; empty: in the data folder.")
    journal_gib: float = Field(20.0, gt=0, description="Size to which the server's journal may grow, in GiB.")
    journal_hours: float = Field(24.0, gt=0, description="How long the server's journal is kept, in hours.")
    commit_s: float = Field(5.0, gt=0, le=600, description="Seconds between two commits to the lake.")
    lake_keep_days: float = Field(0.0, ge=0, description="How long the lake keeps data, in days; 0: for ever.")
    lake_keep_gib: float = Field(0.0, ge=0, description="Size to which the lake may grow, in GiB; 0: no limit.")
    log_format: Literal["text", "json"] = Field("text", description="Logs as lines of text, or one JSON object a line.")
    metrics_token: SecretStr = Field(
        SecretStr(""), description="Token with which Prometheus reads /metrics; empty: only people who are signed in."
    )
    notify_webhook: SecretStr = Field(SecretStr(""), description="Address to which alarms are posted; empty: none.")
    notify_hosts: tuple[str, ...] = Field((), description="Hosts to which the webhook may go.")
    notify_apprise: tuple[SecretStr, ...] = Field((), description="Addresses of apprise services for alarms.")
    notify_severity: Literal["info", "warning", "critical"] = Field("warning", description="The least that is told.")
    notify_every_s: float = Field(30.0, ge=0, le=86_400, description="Least time between two messages, in seconds.")

    influx_url: str = Field("", description="InfluxDB or VictoriaMetrics for Grafana: http://HOST:8086; empty: none.")
    influx_api: Literal["v1", "v2"] = Field("v1", description="Its way in: v1 (/write) or v2 (/api/v2/write).")
    influx_database: str = Field("ved", min_length=1, max_length=64, description="Its database (v2: bucket).")
    influx_org: str = Field("", description="Its organisation (v2).")
    influx_user: str = Field("", description="User of its database (v1); empty: none.")
    influx_password: SecretStr = Field(SecretStr(""), description="The user's password.")
    influx_token: SecretStr = Field(SecretStr(""), description="Token of its database; empty: none.")
    influx_rate_hz: float = Field(100.0, ge=0, le=1e6, description="Most points a second of a signal; 0: every frame.")

    mqtt_url: str = Field("", description="MQTT broker for the latest values, like mqtts://HOST:8883; empty: none.")
    mqtt_user: str = Field("", description="User of the broker; empty: none.")
    mqtt_password: SecretStr = Field(SecretStr(""), description="The user's password.")
    mqtt_ca: str = Field("", description="PEM file of the authority that signed the broker's certificate.")
    mqtt_topics: str = Field("ved", min_length=1, max_length=200, description="Begin of all topics.")
    mqtt_channels: tuple[str, ...] = Field(("*",), description="Channels that are published: Motor.*, GPS.speed, …")
    mqtt_rate_hz: float = Field(5.0, gt=0, le=100, description="Most messages per second of a channel.")
    mqtt_every_s: float = Field(10.0, gt=0, le=86_400, description="A value that does not change is told so often.")
    mqtt_object: bool = Field(False, description="All values of a vehicle as one JSON object as well.")
    mqtt_retain: bool = Field(False, description="The broker keeps the last values for those who come later.")

    roles: tuple[Role, ...] = Field(ROLES, description="Roles that run here; the others run on other machines.")
    kafka_servers: str = Field("", description="Apache Kafka (host:port,…) that carries the streams; empty: journals.")
    kafka_prefix: str = Field("ved", pattern=r"^[a-zA-Z0-9._-]{1,64}$", description="Begin of its topics' names.")
    kafka_partitions: int = Field(4, ge=1, le=256, description="Partitions of a new topic, which divide the vehicles.")
    kafka_replicas: int = Field(1, ge=1, le=9, description="Copies that a new topic keeps of everything.")
    kafka_options: dict[str, SecretStr] = Field({}, description="More settings of librdkafka: TLS, SASL.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings passes it by name
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line over environment over secrets over TOML."""
        return (init_settings, env_settings, file_secret_settings, TomlConfigSettingsSource(settings_cls))

    @property
    def database(self) -> str:
        """URL of the database that is in force."""
        return self.db_url or f"sqlite:///{self.data.resolve() / 'db.sqlite'}"

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """What stands in the link's certificate: names that cars dial, and an address of its own that it listens on."""
        return self.link_names if self.link_host in _NO_ADDRESS else (*self.link_names, self.link_host)

    @property
    def lake(self) -> str:
        """Folder or URL of the lake that is in force."""
        return self.lake_url or str(self.data.resolve() / "lake")


def load_settings(file: Path | None, given: Mapping[str, Any]) -> ServerSettings:
    """Read the settings. `given` are options of the command line (None: not given).

    The environment variable VED_SECRETS names a folder with a file for each setting that must not stand in the
    environment: `ved_db_url` holds db_url.

    Raises UserError with the key and the allowed values of the first thing that is wrong.
    """
    if file is not None and not file.is_file():
        raise UserError(f"{file}: no such settings file; see docs/ved.sample.toml for one")

    secrets = os.environ.get(SECRETS_VARIABLE) or None
    if secrets is not None:
        _look_into(Path(secrets))

    class _FromFile(ServerSettings):
        model_config = SettingsConfigDict(
            toml_file=file, secrets_dir=secrets, env_prefix="VED_", extra="forbid", frozen=True
        )

    try:
        return _FromFile(**{key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        raise UserError(explain(error, str(file) if file else "settings", ServerSettings)) from None
    except PermissionError as error:
        raise UserError(f"{error.filename}: this secret cannot be read; it belongs to somebody else") from None
    except ValueError as error:  # tomllib.TOMLDecodeError among them
        raise UserError(f"{file}: not valid TOML: {error}") from None


def _look_into(secrets: Path) -> None:
    """UserError where no setting can come from there: it would be left out without a word."""
    try:
        names = [one.name for one in secrets.iterdir()]
    except PermissionError:
        raise UserError(f"{SECRETS_VARIABLE}: {secrets} cannot be read; it belongs to somebody else") from None
    except OSError:
        raise UserError(f"{SECRETS_VARIABLE}: {secrets} is no folder; 'ved init' makes one") from None
    if not any(name.lower().startswith("ved_") for name in names):
        raise UserError(
            f"{SECRETS_VARIABLE}: {secrets} holds no secret of ved; 'ved init FOLDER' puts them in FOLDER/ved"
        )


def explain(error: ValidationError, where: str, model: type[BaseSettings]) -> str:
    """One line for the first error: where, which key, what is allowed."""
    first = error.errors()[0]
    key = str(first["loc"][0]) if first["loc"] else "?"
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key '{key}'; known keys are {', '.join(sorted(model.model_fields))}"
    field = model.model_fields.get(key)
    is_secret = field is not None and "Secret" in str(field.annotation)
    given = "…" if is_secret else repr(first["input"])
    return f"{where}: {key} = {given}: {first['msg'].lower()}"
