"""Enrolment codes and car keys. Both are random and long, so a plain SHA-256 is a sufficient hash."""

import hashlib
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from ved.db.database import Database
from ved.db.tables import car_keys, enrol_codes

SECRET_BYTES = 16


@dataclass(frozen=True, slots=True)
class CarKey:
    """A key that may publish for one vehicle."""

    id: int
    vehicle: str
    is_revoked: bool = False


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
    """The key's row; None when unknown or revoked."""
    with db.engine.connect() as connection:
        row = connection.execute(
            select(car_keys.c.id, car_keys.c.vehicle).where(
                car_keys.c.key_hash == _hash(key), car_keys.c.is_revoked.is_(False)
            )
        ).one_or_none()
    return None if row is None else CarKey(row.id, row.vehicle)


def list_car_keys(db: Database) -> list[CarKey]:
    """All keys, revoked ones too, oldest first."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(car_keys.c.id, car_keys.c.vehicle, car_keys.c.is_revoked).order_by(car_keys.c.id)
        ).all()
    return [CarKey(row.id, row.vehicle, row.is_revoked) for row in rows]


def revoke_car_key(db: Database, key_id: int) -> bool:
    """Refuse this key from now on; False when there is no such key."""
    with db.engine.begin() as connection:
        result = connection.execute(update(car_keys).where(car_keys.c.id == key_id).values(is_revoked=True))
        return result.rowcount == 1
