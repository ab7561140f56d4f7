"""What the role mqtt is told: where to publish, as whom, and what."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ved.broker.cluster import KafkaReach
from ved.errors import UserError

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class MqttTarget:
    """The broker. `ca` is a PEM file (empty: the system's authorities), for mqtts:// alone."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""

    def __post_init__(self) -> None:
        """UserError when it cannot be."""
        _parts(self.url)
        if bool(self.user) != bool(self.password):
            raise UserError("mqtt_user and mqtt_password go together")
        self.tls()

    @property
    def host(self) -> str:
        """Name or address of the broker."""
        return _parts(self.url)[1]

    @property
    def port(self) -> int:
        """Its port."""
        return _parts(self.url)[2]

    def tls(self) -> ssl.SSLContext | None:
        """How to check the broker's certificate; None without TLS. UserError when the authority cannot be read."""
        if _parts(self.url)[0] == "mqtt":
            if self.ca:
                raise UserError("mqtt_ca is for an mqtt_url that begins with mqtts://")
            return None
        try:
            return ssl.create_default_context(cafile=self.ca or None)
        except (OSError, ssl.SSLError) as error:
            why = "it is no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise UserError(f"mqtt_ca = '{self.ca}' cannot be read: {why}") from None


@dataclass(frozen=True, slots=True)
class MqttRules:
    """What is published: channels that any of the patterns names (`Motor.*`), at most `rate_hz` times a second when
    they change, and every `every_s` when they do not. `is_retained`: the broker keeps the last values for late comers.
    """

    prefix: str = "ved"
    channels: tuple[str, ...] = ("*",)
    rate_hz: float = 5.0
    every_s: float = 10.0
    has_object: bool = False
    is_retained: bool = False

    def __post_init__(self) -> None:
        """UserError for a prefix that no topic can begin with."""
        is_odd = any(letter in "+#$" or not letter.isprintable() for letter in self.prefix)
        if is_odd or not self.prefix.strip("/") or self.prefix != self.prefix.strip("/"):
            raise UserError(f"mqtt_topics = '{self.prefix}': the start of a topic, like 'ved', without +, # and $")


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """What to read and where to publish."""

    data: Path
    db_url: str
    target: MqttTarget
    rules: MqttRules
    kafka: KafkaReach | None = None


def _parts(url: str) -> tuple[str, str, int]:
    """Scheme, host and port; UserError when it is no address, or carries a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in _PORTS or parts.path not in ("", "/") or parts.query:
        raise UserError(f"mqtt_url = '{url}': give an address like mqtt://127.0.0.1 or mqtts://broker.example:8883")
    if parts.username is not None:
        raise UserError("mqtt_url: leave user and password out of it; there are mqtt_user and mqtt_password")
    return parts.scheme, host, port or _PORTS[parts.scheme]
