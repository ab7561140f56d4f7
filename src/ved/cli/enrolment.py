"""A car on this machine gets its key from the server on this machine without anyone typing a code."""

from pathlib import Path

from ved.cli.keys import enrolment_code
from ved.cli.server import open_database
from ved.config.settings import ServerSettings
from ved.db.keys import find_car_key
from ved.errors import UserError
from ved.link.credentials import load_credentials
from ved.link.enrol import enrol

_TTL_S = 300.0


async def enrol_here(settings: ServerSettings, vehicle: str, link_url: str, state: Path) -> None:
    """See to it that `state` holds a valid key of `vehicle` for the server at `link_url`, by the real handshake."""
    if not _is_enrolled(settings, vehicle, link_url, state):
        await enrol(link_url, enrolment_code(settings, vehicle, _TTL_S), state)


def _is_enrolled(settings: ServerSettings, vehicle: str, link_url: str, state: Path) -> bool:
    try:
        known = load_credentials(state)
    except UserError:
        return False
    db = open_database(settings)
    try:
        key = find_car_key(db, known.key)
    finally:
        db.close()
    return key is not None and key.vehicle == vehicle and known.server_urls == (link_url,)
