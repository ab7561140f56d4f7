"""Keys for datagrams: derived from one secret of the server, so that none is stored (docs/spec/datagram.md)."""

import secrets
import struct
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ved.codec.datagram import KEY_BYTES
from ved.errors import StorageError
from ved.link.files import create_private

FILE_NAME: Final = "datagram.secret"
_SECRET_BYTES: Final = 32


def datagram_secret(folder: Path) -> bytes:
    """The server's secret in its folder of keys, made (mode 0600) when it is not there. StorageError when refused."""
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            create_private(path, secrets.token_bytes(_SECRET_BYTES))
        secret = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: cannot keep the secret of datagrams: {error.strerror}") from error
    if len(secret) != _SECRET_BYTES:
        raise StorageError(f"{path}: damaged; delete it, and make new keys for all devices that send datagrams")
    return secret


def derive_key(secret: bytes, vehicle: str, key_id: int) -> bytes:
    """The key of this number for this vehicle, 32 bytes."""
    info = b"ved datagram key 1\0" + vehicle.encode() + b"\0" + struct.pack("<I", key_id)
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)
