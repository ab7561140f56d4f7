"""Who is there: the signed cookie, the secret behind it, and where a request may come from."""

import asyncio
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Final

from itsdangerous import BadSignature, URLSafeTimedSerializer

from ved.db.database import Database
from ved.db.invitations import Invitation, use_invitation
from ved.db.people import (
    User,
    find_password,
    find_signed_in,
    redeem_signin_token,
    set_password,
    sign_in,
    sign_out,
)
from ved.errors import StorageError
from ved.web.passwords import Passwords

SESSION_S: Final = 30 * 86_400
MAX_TOKEN_CHARS: Final = 200
_SECRET_BYTES: Final = 32
_PORT_OF: Final = {"http": 80, "https": 443}


def load_secret(path: Path) -> bytes:
    """The server's cookie secret, made (mode 0600) when it is not there. StorageError when it cannot be kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Written whole under another name, then linked: two servers that start at once agree on one secret.
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_SECRET_BYTES))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        secret = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: cannot keep the cookie secret: {error.strerror}") from error
    if len(secret) != _SECRET_BYTES:
        raise StorageError(f"{path}: not a cookie secret; delete it and everybody signs in again")
    return secret


class Auth:
    """Signs people in and recognises them."""

    def __init__(self, db: Database, secret: bytes, metrics_token: str = "") -> None:
        """`metrics_token` lets a program without a cookie read /metrics; empty: none may."""
        self._db = db
        self._metrics_token = metrics_token
        self._signer = URLSafeTimedSerializer(secret, salt="ved-session")
        self._passwords = Passwords()
        # Cookies do not know ports: servers side by side on one host must not take each other's.
        self.cookie_name = f"ved_{hashlib.sha256(secret).hexdigest()[:8]}"

    async def redeem(self, token: str) -> User | None:
        """The new user of a one-time token, or None."""
        if not token or len(token) > MAX_TOKEN_CHARS:
            return None
        return await asyncio.to_thread(redeem_signin_token, self._db, token)

    async def join(self, token: str, name: str, password: str) -> tuple[Invitation, User | None] | None:
        """Let somebody in by an invitation. UserError when the name is taken."""
        hashed = await self._passwords.hash(password) if password else ""
        return await asyncio.to_thread(use_invitation, self._db, token, name, hashed)

    async def log_in(self, name: str, password: str, address: str) -> User | None:
        """Who has this name and password; None for none, TooOftenError after too many wrong ones."""
        found = await asyncio.to_thread(find_password, self._db, name)
        is_right = await self._passwords.check(found[1] if found else "", password, name, address)
        return found[0] if found is not None and is_right else None

    async def set_password(self, user: User, current: str, password: str, address: str) -> bool:
        """Put one's own password in force (empty: none); False when the current one is not `current`."""
        found = await asyncio.to_thread(find_password, self._db, user.name)
        if user.has_password and not (found and await self._passwords.check(found[1], current, user.name, address)):
            return False
        await asyncio.to_thread(set_password, self._db, user, await self._passwords.hash(password) if password else "")
        return True

    async def cookie_for(self, user_id: int, invitation_id: int = 0, ttl_s: float = SESSION_S) -> str:
        """The value of the cookie of a new sign-in of a person, or (user_id 0) of a guest of the invitation."""
        key = await asyncio.to_thread(sign_in, self._db, user_id, ttl_s, "page", invitation_id)
        return self._signer.dumps({"k": key})

    async def tool_token(self, user: User) -> str:
        """A new token with which a program signs in as the person; the one before is worth nothing any more."""
        return await asyncio.to_thread(sign_in, self._db, user.id, SESSION_S, "tool")

    async def sign_out(self, headers: Mapping[str, str]) -> None:
        """The cookie among the request's headers is worth nothing from now on."""
        key = self._key_of(headers)
        if key is not None:
            await asyncio.to_thread(sign_out, self._db, key)

    def may_scrape(self, headers: Mapping[str, str]) -> bool:
        """True when the request carries the token for /metrics: `Authorization: Bearer …`."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given, known = token.strip().encode(), self._metrics_token.encode()
        return bool(known) and scheme.lower() == "bearer" and hmac.compare_digest(given, known)

    async def user_of(self, headers: Mapping[str, str]) -> User | None:
        """The user whose valid cookie is among the request's headers (lower-case names), or None."""
        key = self._key_of(headers)
        return None if key is None else await asyncio.to_thread(find_signed_in, self._db, key)

    async def user_of_tool(self, token: str) -> User | None:
        """The user whose program sent this token, or None."""
        if not token or len(token) > MAX_TOKEN_CHARS:
            return None
        return await asyncio.to_thread(find_signed_in, self._db, token, "tool")

    def _key_of(self, headers: Mapping[str, str]) -> str | None:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return None
        if morsel is None:
            return None
        try:
            key = self._signer.loads(morsel.value, max_age=SESSION_S)["k"]
        except (BadSignature, KeyError, TypeError):
            return None
        return key if isinstance(key, str) else None


def is_own_origin(headers: Mapping[str, str], scheme: str) -> bool:
    """True when the header `Origin` is exactly the address that the request was sent to."""
    origin, host = headers.get("origin", ""), headers.get("host", "")
    web_scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    return bool(host) and origin == f"{web_scheme}://{host.removesuffix(f':{_PORT_OF.get(web_scheme)}')}"
