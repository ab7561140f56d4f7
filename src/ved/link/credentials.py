"""What a car knows after its enrolment, and the code that it is enrolled with."""

import base64
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ved.codec.link import KEY_BYTES, SECRET_BYTES
from ved.errors import StorageError, UserError
from ved.link.files import write_private

DEFAULT_PORT: Final = 8790
FILE_NAME: Final = "credentials.json"

_CODE_PREFIX: Final = "VED1"
_PRINT_BYTES: Final = 16
_CHECK_BYTES: Final = 2
_GROUP: Final = 6


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the server is (one or more addresses of the same one), who this car is, and whom it trusts."""

    server_urls: tuple[str, ...]
    vehicle: str
    key: bytes
    ca_pem: str

    def __repr__(self) -> str:
        return f"Credentials({self.server_urls}, {self.vehicle!r}, key hidden)"


@dataclass(frozen=True, slots=True)
class EnrolCode:
    """A one-time secret, and the fingerprint of the authority of the server that knows it."""

    secret: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Host name (or address) and port of a link URL."""

    host: str
    port: int


def fingerprint(ca_der: bytes) -> bytes:
    """First 16 bytes of the SHA-256 of the authority's certificate."""
    return hashlib.sha256(ca_der).digest()[:_PRINT_BYTES]


def make_code(secret: bytes, ca_der: bytes) -> str:
    """The text that the server prints and a person types at the car: secret, fingerprint and a check sum in base32."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"an enrolment secret is {SECRET_BYTES} bytes")
    body = secret + fingerprint(ca_der)
    text = base64.b32encode(body + _check(body)).decode().rstrip("=")
    return "-".join((_CODE_PREFIX, *(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))))


def parse_code(text: str) -> EnrolCode:
    """Read a code; case, spaces and hyphens do not matter. UserError when it is not one or has a typing mistake."""
    plain = "".join(text.split()).replace("-", "").upper()
    if not plain.startswith(_CODE_PREFIX):
        raise UserError(
            f"the enrolment code must begin with {_CODE_PREFIX}; copy the whole line that the server printed"
        )
    # Base32 has no 0, 1 and 8: they can only be meant as the letters that look like them.
    coded = plain[len(_CODE_PREFIX) :].translate(str.maketrans("018", "OIB"))
    try:
        raw = base64.b32decode(coded + "=" * (-len(coded) % 8))
    except ValueError as error:  # not base32, or not even ASCII
        raise UserError("the enrolment code is not complete; copy the whole line that the server printed") from error
    body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if len(body) != SECRET_BYTES + _PRINT_BYTES or _check(body) != check:
        raise UserError("the enrolment code has a typing mistake; copy the whole line that the server printed")
    return EnrolCode(body[:SECRET_BYTES], body[SECRET_BYTES:])


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"ved enrolment code" + body).digest()[:_CHECK_BYTES]


def parse_server_url(url: str) -> ServerAddress:
    """Host and port of `wss://host[:port]`; UserError for anything else."""
    wrong = UserError(f"{url!r} is not a link address; write it like wss://telemetry.example:{DEFAULT_PORT}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme != "wss" or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise wrong
    return ServerAddress(parts.hostname, DEFAULT_PORT if port is None else port)


def save_credentials(state_dir: Path, credentials: Credentials) -> None:
    """Write them to `state_dir`, mode 0600; StorageError when the disk refuses."""
    document = {
        "version": 1,
        "server_urls": list(credentials.server_urls),
        "vehicle": credentials.vehicle,
        "key": credentials.key.hex(),
        "ca_pem": credentials.ca_pem,
    }
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        write_private(state_dir / FILE_NAME, json.dumps(document, indent=1).encode())
    except OSError as error:
        raise StorageError(f"{state_dir / FILE_NAME}: {error.strerror or error}") from error


def check_state(state_dir: Path) -> None:
    """StorageError when nothing can be written to `state_dir`, or to where it would be made. Leaves nothing there."""
    try:
        folder = next(one for one in (state_dir, *state_dir.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(f"{state_dir}: {error.strerror or error}") from error


def load_credentials(state_dir: Path) -> Credentials:
    """Read them; UserError when this car was never enrolled or the file is damaged."""
    path = state_dir / FILE_NAME
    again = "run: ved agent enrol --server wss://HOST:PORT --code CODE"
    try:
        document = json.loads(path.read_bytes())
        credentials = Credentials(
            tuple(str(url) for url in document["server_urls"]),
            str(document["vehicle"]),
            bytes.fromhex(document["key"]),
            str(document["ca_pem"]),
        )
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: this car is not enrolled; {again}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged; {again}") from error
    if not credentials.server_urls or len(credentials.key) != KEY_BYTES:
        raise UserError(f"{path} is damaged; {again}")
    for url in credentials.server_urls:
        parse_server_url(url)
    return credentials
