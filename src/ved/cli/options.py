"""What the options of the command line mean."""

from pathlib import Path

from ved.config.settings import ServerSettings, load_settings
from ved.errors import UserError


def server_settings(
    data: Path | None,
    config: Path | None,
    web_port: int | None = None,
    link_port: int | None = None,
    roles: str | None = None,
) -> ServerSettings:
    """Settings from the options that were given, over environment and file."""
    chosen = None if roles is None else tuple(one.strip() for one in roles.split(","))
    return load_settings(config, {"data": data, "web_port": web_port, "link_port": link_port, "roles": chosen})


def parse_speed(text: str) -> float:
    """`max` is 0 (as fast as possible), else a positive factor on real time; UserError otherwise."""
    if text == "max":
        return 0.0
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise UserError(f"--speed {text}: give a positive factor like 1 or 10, or max")
    return factor
