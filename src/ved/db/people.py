"""People: who they are, what they may do, and where they are signed in. Of secrets only hashes are kept."""

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ved.db.database import Database
from ved.db.edits import note_edit
from ved.db.people_tables import invitations, sign_ins, signin_tokens, users
from ved.db.tables import session_joins
from ved.errors import UserError

Purpose = Literal["page", "tool"]
SUBJECT: Final = "person"


@dataclass(frozen=True, slots=True)
class GuestScope:
    """What a guest link opens: one session of a vehicle, with or without positions and driver notes.

    `former`: ids that lead to the session by now; a page that is open may still ask for them.
    """

    session: str
    vehicle: str
    shows_positions: bool
    shows_notes: bool
    former: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A person who signed in; `role` is guest (then `scope` says to what), viewer, engineer or admin."""

    id: int
    name: str
    role: str
    is_named: bool = False
    has_password: bool = False
    scope: GuestScope | None = None


def create_signin_token(db: Database, role: str = "admin", ttl_s: float = 86_400) -> str:
    """A new one-time token for a sign-in link; only its hash is kept."""
    token = secrets.token_urlsafe(24)
    with db.engine.begin() as connection:
        connection.execute(
            insert(signin_tokens).values(
                token_hash=hash_of(token), role=role, expires_utc_s=time.time() + ttl_s, is_used=False
            )
        )
    return token


def redeem_signin_token(db: Database, token: str) -> User | None:
    """Make the user whom the token lets in, once; None when unknown, used or expired."""
    with db.engine.begin() as connection:
        taken = connection.execute(
            update(signin_tokens)
            .where(
                signin_tokens.c.token_hash == hash_of(token),
                signin_tokens.c.is_used.is_(False),
                signin_tokens.c.expires_utc_s > time.time(),
            )
            .values(is_used=True)
        )
        if taken.rowcount != 1:
            return None
        role = connection.execute(
            select(signin_tokens.c.role).where(signin_tokens.c.token_hash == hash_of(token))
        ).scalar_one()
        return add_user(connection, User(0, role, role), "", "sign-in link")


def add_user(connection: Connection, user: User, password_hash: str, who: str) -> User:
    """Make a person, in the transaction that lets them in. UserError when they give a name that somebody has."""
    if user.is_named:
        _refuse_taken_name(connection, user.name)
    row = {"name": user.name, "role": user.role, "is_named": user.is_named, "password_hash": password_hash}
    made = connection.execute(insert(users).values(**row, is_removed=False)).inserted_primary_key
    assert made is not None
    note_edit(connection, who, SUBJECT, str(made[0]), None, {"name": user.name, "role": user.role})
    return User(int(made[0]), user.name, user.role, user.is_named, bool(password_hash))


def list_users(db: Database) -> list[tuple[User, int]]:
    """Everybody, with the number of places where they are signed in, in the order in which they came."""
    here = select(sign_ins.c.user_id, func.count().label("places")).where(sign_ins.c.expires_utc_s > time.time())
    counted = here.group_by(sign_ins.c.user_id).subquery()
    wanted = select(users, counted.c.places).outerjoin(counted, counted.c.user_id == users.c.id)
    with db.engine.connect() as connection:
        rows = connection.execute(wanted.where(users.c.is_removed.is_(False)).order_by(users.c.id)).all()
    return [(_user(row), row.places or 0) for row in rows]


def find_password(db: Database, name: str) -> tuple[User, str] | None:
    """The person of this name who has a password, and its hash."""
    wanted = select(users).where(
        func.lower(users.c.name) == name.lower(),
        users.c.is_named.is_(True),
        users.c.is_removed.is_(False),
        users.c.password_hash != "",
    )
    with db.engine.connect() as connection:
        row = connection.execute(wanted).first()
    return None if row is None else (_user(row), row.password_hash)


def has_known_admin(db: Database) -> bool:
    """True when an admin has a name and a password: somebody who can come back without a link."""
    wanted = select(users.c.id).where(
        users.c.role == "admin",
        users.c.is_named.is_(True),
        users.c.is_removed.is_(False),
        users.c.password_hash != "",
    )
    with db.engine.connect() as connection:
        return connection.execute(wanted).first() is not None


def rename_user(db: Database, user: User, name: str) -> None:
    """Give a person the name that they say. UserError when somebody has it."""
    with db.engine.begin() as connection:
        _refuse_taken_name(connection, name, user.id)
        connection.execute(update(users).where(users.c.id == user.id).values(name=name, is_named=True))
        note_edit(connection, user.name, SUBJECT, str(user.id), {"name": user.name}, {"name": name})


def set_password(db: Database, user: User, password_hash: str) -> None:
    """Put a password in force (empty: none). All other places stay signed in."""
    with db.engine.begin() as connection:
        connection.execute(update(users).where(users.c.id == user.id).values(password_hash=password_hash))
        note_edit(connection, user.name, SUBJECT, str(user.id), None, {"password": "set" if password_hash else "none"})


def change_role(db: Database, user_id: int, role: str, who: str) -> bool:
    """Give a person another role; False when there is none. UserError when no admin would be left."""
    with db.engine.begin() as connection:
        before = _role(connection, user_id)
        if before is None:
            return False
        connection.execute(update(users).where(users.c.id == user_id).values(role=role))
        _refuse_without_admin(connection)
        note_edit(connection, who, SUBJECT, str(user_id), {"role": before}, {"role": role})
    return True


def remove_user(db: Database, user_id: int, who: str) -> bool:
    """Take a person away and sign them out; False when there is none. UserError when no admin would be left."""
    with db.engine.begin() as connection:
        before = _role(connection, user_id)
        if before is None:
            return False
        connection.execute(update(users).where(users.c.id == user_id).values(is_removed=True, password_hash=""))
        _refuse_without_admin(connection)
        connection.execute(delete(sign_ins).where(sign_ins.c.user_id == user_id))
        note_edit(connection, who, SUBJECT, str(user_id), {"role": before}, None)
    return True


def sign_in(db: Database, user_id: int, ttl_s: float, purpose: Purpose = "page", invitation_id: int = 0) -> str:
    """A new key that proves to be this person (user_id 0: a guest of the invitation). Old ones that ended go."""
    key, now_s = secrets.token_urlsafe(32), time.time()
    with db.engine.begin() as connection:
        connection.execute(delete(sign_ins).where(sign_ins.c.expires_utc_s <= now_s))
        if purpose == "tool":
            connection.execute(delete(sign_ins).where(sign_ins.c.user_id == user_id, sign_ins.c.purpose == purpose))
        row = {"user_id": user_id, "invitation_id": invitation_id, "purpose": purpose, "created_utc_s": now_s}
        connection.execute(insert(sign_ins).values(key_hash=hash_of(key), expires_utc_s=now_s + ttl_s, **row))
    return key


def find_signed_in(db: Database, key: str, purpose: Purpose = "page") -> User | None:
    """Who holds this key; None when it is unknown, ended or revoked."""
    wanted = select(sign_ins.c.user_id, sign_ins.c.invitation_id).where(
        sign_ins.c.key_hash == hash_of(key), sign_ins.c.purpose == purpose, sign_ins.c.expires_utc_s > time.time()
    )
    with db.engine.connect() as connection:
        found = connection.execute(wanted).one_or_none()
        if found is None:
            return None
        if found.user_id:
            whom = select(users).where(users.c.id == found.user_id, users.c.is_removed.is_(False))
            row = connection.execute(whom).one_or_none()
            return None if row is None else _user(row)
        link = connection.execute(
            select(invitations).where(
                invitations.c.id == found.invitation_id,
                invitations.c.is_revoked.is_(False),
                invitations.c.expires_utc_s > time.time(),
            )
        ).one_or_none()
        if link is None:
            return None
        led = select(session_joins.c.session_id).where(session_joins.c.into_id == link.session_id)
        former = tuple(connection.execute(led).scalars())
    scope = GuestScope(link.session_id, link.vehicle, link.shows_positions, link.shows_notes, former)
    return User(0, "guest", "guest", scope=scope)


def sign_out(db: Database, key: str) -> None:
    """This key is worth nothing from now on."""
    with db.engine.begin() as connection:
        connection.execute(delete(sign_ins).where(sign_ins.c.key_hash == hash_of(key)))


def sign_out_everywhere(db: Database, user_id: int, who: str) -> bool:
    """All keys of a person are worth nothing from now on; False when there is none."""
    with db.engine.begin() as connection:
        if _role(connection, user_id) is None:
            return False
        connection.execute(delete(sign_ins).where(sign_ins.c.user_id == user_id))
        note_edit(connection, who, SUBJECT, str(user_id), None, {"signed_out": "everywhere"})
    return True


def hash_of(token: str) -> bytes:
    """What is kept of a random token."""
    return hashlib.sha256(token.encode()).digest()


def _user(row: Row[Any]) -> User:
    return User(row.id, row.name, row.role, row.is_named, row.password_hash != "")


def _role(connection: Connection, user_id: int) -> str | None:
    wanted = select(users.c.role).where(users.c.id == user_id, users.c.is_removed.is_(False))
    return connection.execute(wanted).scalar_one_or_none()


def _refuse_taken_name(connection: Connection, name: str, user_id: int = 0) -> None:
    wanted = select(users.c.id).where(
        func.lower(users.c.name) == name.lower(),
        users.c.is_named.is_(True),
        users.c.is_removed.is_(False),
        users.c.id != user_id,
    )
    if connection.execute(wanted).first() is not None:
        raise UserError(f"the name '{name}' is taken; choose another")


def _refuse_without_admin(connection: Connection) -> None:
    admins = select(users.c.id).where(users.c.role == "admin", users.c.is_removed.is_(False))
    if connection.execute(admins).first() is None:
        raise UserError("one admin must stay; make somebody else admin first")
