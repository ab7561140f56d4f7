"""What the role influx is told: where to read, and where to write."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ved.broker.cluster import KafkaReach
from ved.errors import UserError

Api = Literal["v1", "v2"]


@dataclass(frozen=True, slots=True)
class InfluxTarget:
    """Where to write. `api` v1: database, user and password; v2: the bucket is `database`, org and token (v1 takes a
    token as well). `rate_hz` 0: every frame.
    """

    url: str
    api: Api = "v1"
    database: str = "ved"
    org: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    rate_hz: float = 100.0


@dataclass(frozen=True, slots=True)
class InfluxSettings:
    """What to read and where to write."""

    data: Path
    db_url: str
    lake_url: str
    target: InfluxTarget
    kafka: KafkaReach | None = None


def checked_url(url: str) -> str:
    """The address without a last slash; UserError when it is none, or carries a password."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_address = False
    if not is_address:
        raise UserError(f"influx_url = '{url}': give an address like http://127.0.0.1:8086")
    if parts.username is not None:
        raise UserError("influx_url: leave user and password out of it; there are influx_user and influx_password")
    return url.rstrip("/")
