"""Users and one-time sign-in links."""

import hashlib
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from ved.db.database import Database
from ved.db.tables import signin_tokens, users


@dataclass(frozen=True, slots=True)
class User:
    """A person who signed in; `role` is viewer, engineer or admin."""

    id: int
    name: str
    role: str


def create_signin_token(db: Database, role: str = "admin", ttl_s: float = 86_400) -> str:
    """A new one-time token for a sign-in link; only its hash is kept."""
    token = secrets.token_urlsafe(24)
    with db.engine.begin() as connection:
        connection.execute(
            insert(signin_tokens).values(
                token_hash=_hash(token), role=role, expires_utc_s=time.time() + ttl_s, is_used=False
            )
        )
    return token


def redeem_signin_token(db: Database, token: str) -> User | None:
    """Make the user whom the token invites, once; None when unknown, used or expired."""
    with db.engine.begin() as connection:
        taken = connection.execute(
            update(signin_tokens)
            .where(
                signin_tokens.c.token_hash == _hash(token),
                signin_tokens.c.is_used.is_(False),
                signin_tokens.c.expires_utc_s > time.time(),
            )
            .values(is_used=True)
        )
        if taken.rowcount != 1:
            return None
        role = connection.execute(
            select(signin_tokens.c.role).where(signin_tokens.c.token_hash == _hash(token))
        ).scalar_one()
        made = connection.execute(insert(users).values(name=role, role=role)).inserted_primary_key
        assert made is not None
        return User(int(made[0]), role, role)


def get_user(db: Database, user_id: int) -> User | None:
    """The user with this id, or None."""
    with db.engine.connect() as connection:
        row = connection.execute(select(users).where(users.c.id == user_id)).one_or_none()
    return None if row is None else User(row.id, row.name, row.role)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
