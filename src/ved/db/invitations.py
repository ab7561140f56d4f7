"""Links that let people in: with a role, or as guests of one session."""

import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from ved.db.database import Database
from ved.db.edits import note_edit
from ved.db.people import GuestScope, User, add_user, hash_of
from ved.db.people_tables import invitations

SUBJECT: Final = "invitation"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link: to what, until when (UTC in s), for how many, by whom; `scope` for the role guest alone."""

    role: str
    is_reusable: bool
    expires_utc_s: float
    author: str
    scope: GuestScope | None = None
    uses: int = 0
    id: int = 0


def create_invitation(db: Database, draft: Invitation) -> tuple[int, str]:
    """A new link: its id and its token, of which only the hash is kept."""
    token = secrets.token_urlsafe(24)
    scope = draft.scope or GuestScope("", "", shows_positions=False, shows_notes=False)
    row = {
        "token_hash": hash_of(token),
        "role": draft.role,
        "is_reusable": draft.is_reusable,
        "uses": 0,
        "expires_utc_s": draft.expires_utc_s,
        "is_revoked": False,
        "author": draft.author,
        "session_id": scope.session,
        "vehicle": scope.vehicle,
        "shows_positions": scope.shows_positions,
        "shows_notes": scope.shows_notes,
    }
    with db.engine.begin() as connection:
        made = connection.execute(insert(invitations).values(**row)).inserted_primary_key
        assert made is not None
        told = {"role": draft.role, "session": scope.session, "expires_utc_s": draft.expires_utc_s}
        note_edit(connection, draft.author, SUBJECT, str(made[0]), None, told)
    return int(made[0]), token


def list_invitations(db: Database) -> list[Invitation]:
    """Those that still let somebody in, newest first."""
    wanted = select(invitations).where(*_is_open()).order_by(invitations.c.id.desc())
    with db.engine.connect() as connection:
        return [_invitation(row) for row in connection.execute(wanted)]


def find_invitation(db: Database, token: str) -> Invitation | None:
    """The link of this token, while it lets somebody in."""
    wanted = select(invitations).where(invitations.c.token_hash == hash_of(token), *_is_open())
    with db.engine.connect() as connection:
        row = connection.execute(wanted).one_or_none()
    return None if row is None else _invitation(row)


def use_invitation(db: Database, token: str, name: str, password_hash: str) -> tuple[Invitation, User | None] | None:
    """Let somebody in: the person (None: a guest); None when the link is worth nothing. UserError for a taken name."""
    with db.engine.begin() as connection:
        taken = connection.execute(
            update(invitations)
            .where(invitations.c.token_hash == hash_of(token), *_is_open())
            .values(uses=invitations.c.uses + 1)
        )
        if taken.rowcount != 1:
            return None
        row = connection.execute(select(invitations).where(invitations.c.token_hash == hash_of(token))).one()
        link = _invitation(row)
        if link.scope is not None:
            return link, None
        made = add_user(connection, User(0, name, link.role, is_named=True), password_hash, f"invited by {link.author}")
    return link, made


def revoke_invitation(db: Database, invitation: int, who: str) -> bool:
    """The link, and everybody who came by it as a guest, is out; False when there is no open one."""
    with db.engine.begin() as connection:
        done = connection.execute(
            update(invitations).where(invitations.c.id == invitation, *_is_open()).values(is_revoked=True)
        )
        if done.rowcount != 1:
            return False
        note_edit(connection, who, SUBJECT, str(invitation), {"revoked": False}, {"revoked": True})
    return True


def move_guests(connection: Connection, session: str, into: str) -> None:
    """Guest links to a session open the one that it is a part of from now on."""
    change = update(invitations).where(invitations.c.session_id == session)
    connection.execute(change.values(session_id=into))


def _is_open() -> tuple[Any, ...]:
    columns = invitations.c
    is_unused = columns.is_reusable.is_(True) | (columns.uses == 0)
    return columns.is_revoked.is_(False), columns.expires_utc_s > time.time(), is_unused


def _invitation(row: Row[Any]) -> Invitation:
    scope = GuestScope(row.session_id, row.vehicle, row.shows_positions, row.shows_notes)
    return Invitation(
        row.role,
        row.is_reusable,
        row.expires_utc_s,
        row.author,
        scope if row.role == "guest" else None,
        row.uses,
        row.id,
    )
