"""Cars get their keys: by a code that a person typed, or on the server's own machine without one."""

import asyncio
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ved.cli.keys import enrolment_code
from ved.cli.server import open_database
from ved.config.settings import ServerSettings
from ved.db.keys import find_car_key
from ved.errors import UserError
from ved.link.certificates import ensure_server_certificates
from ved.link.credentials import Credentials, load_credentials, parse_server_url, save_credentials
from ved.link.enrol import enrol

_TTL_S = 300.0
console = Console(highlight=False, soft_wrap=True)


def enrol_with_code(server_url: str, code: str, state: Path) -> None:
    """Trade the code that a person typed for a key in `state`."""
    parse_server_url(server_url)
    known = asyncio.run(enrol(server_url, code, state))
    console.print(f"This car is now '{known.vehicle}' for {', '.join(known.server_urls)}; its key lies in {state}")


def enrol_car_here(settings: ServerSettings, vehicle: str, server_url: str, state: Path) -> None:
    """Like `enrol_here`, and say so."""
    parse_server_url(server_url)
    asyncio.run(enrol_here(settings, vehicle, server_url, state))
    console.print(f"{state} holds a valid key of '{vehicle}' for {server_url}", markup=False)


async def enrol_here(settings: ServerSettings, vehicle: str, link_url: str, state: Path) -> None:
    """See to it that `state` holds a valid key of `vehicle` for the server at `link_url`, by the real handshake."""
    known = _known_here(settings, vehicle, state)
    if known is None:
        await enrol(link_url, enrolment_code(settings, vehicle, _TTL_S), state)
    elif known.server_urls != (link_url,):  # the same server, on another port
        save_credentials(state, replace(known, server_urls=(link_url,)))


def _known_here(settings: ServerSettings, vehicle: str, state: Path) -> Credentials | None:
    """The key in `state`, where it is a valid one of `vehicle` for the server on this data folder."""
    try:
        known = load_credentials(state)
    except UserError:
        return None
    db = open_database(settings)
    try:
        key = find_car_key(db, known.key)
    finally:
        db.close()
    if key is None or key.vehicle != vehicle:
        return None
    ours = ensure_server_certificates(settings.data.resolve() / "keys", settings.certificate_names)
    return known if known.ca_pem == ours.ca_pem else None
