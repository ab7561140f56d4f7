"""Keys for datagrams: derived, never stored, of no use at the link."""

import hashlib
import hmac
import re
from pathlib import Path

import pytest

from ved.cli import keys as commands
from ved.config.settings import ServerSettings
from ved.db import keys
from ved.db.database import Database
from ved.db.dbcs import assignments
from ved.errors import StorageError
from ved.link.datagramkeys import FILE_NAME, datagram_secret, derive_key


def by_hand(secret: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 of RFC 5869 for one block, without salt."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def test_the_derivation_is_the_one_of_the_specification():
    secret = bytes(range(32))
    assert derive_key(secret, "fs", 7) == by_hand(secret, b"ved datagram key 1\0fs\0\x07\0\0\0")
    assert len({derive_key(secret, *one) for one in (("fs", 7), ("fs", 8), ("pe", 7))}) == 3
    assert derive_key(bytes(32), "fs", 7) != derive_key(secret, "fs", 7)


def test_the_secret_is_made_once_and_is_private(tmp_path: Path):
    secret = datagram_secret(tmp_path / "keys")
    assert len(secret) == 32
    assert datagram_secret(tmp_path / "keys") == secret
    path = tmp_path / "keys" / FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    with pytest.raises(StorageError, match="damaged"):
        datagram_secret(tmp_path / "keys")


def test_a_key_is_found_for_datagrams_alone_until_it_is_revoked(tmp_path: Path):
    db = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    db.migrate()
    keys.add_car_key(db, "fs", b"l" * 32)
    number, key = keys.add_datagram_key(db, "pe", lambda n: bytes([n]) * 32)
    assert key == bytes([number]) * 32
    (found,) = keys.list_datagram_keys(db)
    assert (found.id, found.vehicle) == (number, "pe")
    assert found.has_hash(key)
    assert not found.has_hash(b"l" * 32)
    assert keys.find_car_key(db, key) is None
    assert keys.find_car_key(db, b"l" * 32) is not None
    assert [one.kind for one in keys.list_car_keys(db)] == ["link", "datagram"]
    assert keys.revoke_car_key(db, number)
    assert keys.list_datagram_keys(db) == []
    db.close()


def test_the_command_prints_a_key_that_a_compiler_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    settings = ServerSettings(data=tmp_path / "data")
    commands.print_datagram_key(settings, "fs")
    said = capsys.readouterr().out
    number = int(re.search(r"#define VED_KEY_ID (\d+)u", said)[1])
    key = bytes(int(one, 16) for one in re.findall(r"0x([0-9a-f]{2})", said))
    assert key == derive_key(datagram_secret(tmp_path / "data" / "keys"), "fs", number)
    assert key.hex() in said
    assert hashlib.sha256(key).digest() not in (tmp_path / "data" / "db.sqlite").read_bytes()
    db = Database(settings.database)
    assert assignments(db, "fs")  # a key made before the first start leaves a shipped vehicle its DBCs
    db.close()
    commands.print_keys(settings)
    assert re.search(rf"{number} +fs +datagram +valid", capsys.readouterr().out)
