"""`ved keys`: which cars may publish."""

from rich.console import Console
from rich.table import Table

from ved.cli.server import open_database, prepare_folder, seed_vehicles
from ved.config.settings import ServerSettings
from ved.db.database import Database
from ved.db.keys import add_datagram_key, create_enrol_code, list_car_keys, revoke_car_key
from ved.db.vehicles import ensure_vehicle_name, get_vehicle
from ved.errors import UserError
from ved.link.certificates import ensure_server_certificates
from ved.link.credentials import make_code
from ved.link.datagramkeys import datagram_secret, derive_key
from ved.model.vehicle import NAME_PATTERN

console = Console(highlight=False, soft_wrap=True)


def print_code(settings: ServerSettings, vehicle: str, hours: float) -> None:
    """Make and print a one-time enrolment code."""
    prepare_folder(settings.data.resolve())
    console.print(enrolment_code(settings, vehicle, hours * 3600))


def print_datagram_key(settings: ServerSettings, vehicle: str) -> None:
    """Make a key for datagrams and print it, as text and as it stands in a C program."""
    secret = datagram_secret(prepare_folder(settings.data.resolve()) / "keys")
    db = open_database(settings)
    try:
        seed_vehicles(db, settings.data.resolve())
        ensure_named_vehicle(db, vehicle)
        key_id, key = add_datagram_key(db, vehicle, lambda number: derive_key(secret, vehicle, number))
    finally:
        db.close()
    console.print(f"/* Key {key_id} of vehicle {vehicle}: {key.hex()}. It is not shown again. */")
    console.print(f"#define VED_KEY_ID {key_id}u")
    console.print(f"#define VED_KEY {{{', '.join(f'0x{byte:02x}' for byte in key)}}}")


def print_keys(settings: ServerSettings) -> None:
    """Print all keys with their vehicle, kind and state."""
    db = open_database(settings)
    try:
        table = Table("key", "vehicle", "kind", "state", box=None)
        for key in list_car_keys(db):
            table.add_row(str(key.id), key.vehicle, key.kind, "revoked" if key.is_revoked else "valid")
        console.print(table)
    finally:
        db.close()


def revoke(settings: ServerSettings, key: int) -> None:
    """Revoke one key; UserError when there is none of that number."""
    db = open_database(settings)
    try:
        if not revoke_car_key(db, key):
            raise UserError(f"key {key}: there is no such key; see 'ved keys list'")
    finally:
        db.close()


def enrolment_code(settings: ServerSettings, vehicle: str, ttl_s: float) -> str:
    """A one-time code for `vehicle` (made if new) with the fingerprint of this server's CA."""
    db = open_database(settings)
    try:
        seed_vehicles(db, settings.data.resolve())  # else a bare vehicle takes the name of a shipped one
        ensure_named_vehicle(db, vehicle)
        certificates = ensure_server_certificates(settings.data.resolve() / "keys", settings.certificate_names)
        return make_code(create_enrol_code(db, vehicle, ttl_s), certificates.ca_der)
    finally:
        db.close()


def ensure_named_vehicle(db: Database, vehicle: str) -> None:
    """Make a bare vehicle of this name if there is none; UserError when it is no name."""
    check_vehicle_name(vehicle)
    if get_vehicle(db, vehicle) is None:
        ensure_vehicle_name(db, vehicle)


def check_vehicle_name(vehicle: str) -> None:
    """UserError when a vehicle cannot have this name."""
    if not NAME_PATTERN.fullmatch(vehicle):
        raise UserError(
            f"vehicle '{vehicle}': a name has 1 to 32 small letters, digits, - or _, and begins with a letter"
        )
