"""Enrolment codes and car keys. Both are random and long, so a plain SHA-256 is a sufficient hash."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import insert, select, update

from ved.db.database import Database
from ved.db.people_tables import car_keys, enrol_codes

SECRET_BYTES = 16
KeyKind = Literal["link", "datagram"]
_DATAGRAM_PREFIX: Final = b"ved datagram key"


@dataclass(frozen=True, slots=True)
class CarKey:
    """A key that may publish for one vehicle, over the link or by datagrams."""

    id: int
    vehicle: str
    is_revoked: bool = False
    kind: KeyKind = "link"


@dataclass(frozen=True, slots=True)
class DatagramKey:
    """A valid key for datagrams; `has_hash(key)` tells whether it is this one."""

    id: int
    vehicle: str
    key_hash: bytes

    def has_hash(self, key: bytes) -> bool:
        """True when the database means this very key."""
        return self.key_hash == _hash(_DATAGRAM_PREFIX + key)


def _hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def create_enrol_code(db: Database, vehicle: str, ttl_s: float) -> bytes:
    """A new one-time secret of 16 bytes for `vehicle`; only its hash is kept."""
    secret = secrets.token_bytes(SECRET_BYTES)
    with db.engine.begin() as connection:
        connection.execute(
            insert(enrol_codes).values(
                secret_hash=_hash(secret), vehicle=vehicle, expires_utc_s=time.time() + ttl_s, is_used=False
            )
        )
    return secret


def redeem_enrol_code(db: Database, secret: bytes) -> str | None:
    """The vehicle that the secret is for, once; None when unknown, used or expired."""
    with db.engine.begin() as connection:
        taken = connection.execute(
            update(enrol_codes)
            .where(
                enrol_codes.c.secret_hash == _hash(secret),
                enrol_codes.c.is_used.is_(False),
                enrol_codes.c.expires_utc_s > time.time(),
            )
            .values(is_used=True)
        )
        if taken.rowcount != 1:
            return None
        row = connection.execute(select(enrol_codes.c.vehicle).where(enrol_codes.c.secret_hash == _hash(secret)))
        return str(row.scalar_one())


def add_car_key(db: Database, vehicle: str, key: bytes) -> int:
    """Keep the hash of `key`; returns the key's id."""
    with db.engine.begin() as connection:
        result = connection.execute(
            insert(car_keys).values(vehicle=vehicle, key_hash=_hash(key), created_utc_s=time.time(), is_revoked=False)
        )
        key_id = result.inserted_primary_key
        assert key_id is not None
        return int(key_id[0])


def find_car_key(db: Database, key: bytes) -> CarKey | None:
    """The row of a key for the link; None when unknown or revoked."""
    with db.engine.connect() as connection:
        row = connection.execute(
            select(car_keys.c.id, car_keys.c.vehicle).where(
                car_keys.c.key_hash == _hash(key), car_keys.c.is_revoked.is_(False), car_keys.c.kind == "link"
            )
        ).one_or_none()
    return None if row is None else CarKey(row.id, row.vehicle)


def add_datagram_key(db: Database, vehicle: str, derive: Callable[[int], bytes]) -> tuple[int, bytes]:
    """A new key for datagrams, its number and the key that `derive` makes of the number; the hash alone is kept."""
    with db.engine.begin() as connection:
        result = connection.execute(
            insert(car_keys).values(
                vehicle=vehicle,
                key_hash=secrets.token_bytes(32),
                created_utc_s=time.time(),
                is_revoked=False,
                kind="datagram",
            )
        )
        assert result.inserted_primary_key is not None
        key_id = int(result.inserted_primary_key[0])
        key = derive(key_id)
        connection.execute(
            update(car_keys).where(car_keys.c.id == key_id).values(key_hash=_hash(_DATAGRAM_PREFIX + key))
        )
    return key_id, key


def list_datagram_keys(db: Database) -> list[DatagramKey]:
    """All keys for datagrams that are valid."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(car_keys.c.id, car_keys.c.vehicle, car_keys.c.key_hash).where(
                car_keys.c.kind == "datagram", car_keys.c.is_revoked.is_(False)
            )
        ).all()
    return [DatagramKey(row.id, row.vehicle, row.key_hash) for row in rows]


def list_car_keys(db: Database) -> list[CarKey]:
    """All keys, revoked ones too, oldest first."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(car_keys.c.id, car_keys.c.vehicle, car_keys.c.is_revoked, car_keys.c.kind).order_by(car_keys.c.id)
        ).all()
    return [CarKey(row.id, row.vehicle, row.is_revoked, row.kind) for row in rows]


def revoke_car_key(db: Database, key_id: int) -> bool:
    """Refuse this key from now on; False when there is no such key."""
    with db.engine.begin() as connection:
        result = connection.execute(update(car_keys).where(car_keys.c.id == key_id).values(is_revoked=True))
        return result.rowcount == 1
