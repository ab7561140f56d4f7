import asyncio

import pytest

from ved.db.database import Database
from ved.db.people import create_signin_token
from ved.web.auth import SESSION_S, Auth, is_own_origin


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "is_own"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "http", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "ws", True),
        ("https://ved.example", "ved.example", "wss", True),
        ("https://ved.example", "ved.example:443", "https", True),
        ("http://[::1]:8000", "[::1]:8000", "ws", True),
        ("https://ved.example", "ved.example", "ws", False),
        ("http://ved.example:8443", "ved.example", "ws", False),
        ("http://ved.example:443", "ved.example:443", "ws", True),
        ("null", "ved.example", "ws", False),
        ("", "ved.example", "ws", False),
        ("http://", "", "ws", False),
        ("http://ved.example.evil", "ved.example", "ws", False),
        ("http://evil/ved.example", "ved.example", "ws", False),
        ("HTTP://ved.example", "ved.example", "ws", False),
    ],
)
def test_own_origin(origin, host, scheme, is_own):
    assert is_own_origin({"origin": origin, "host": host}, scheme) is is_own


@pytest.fixture
def db(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    database.migrate()
    yield database
    database.close()


def headers(auth: Auth, value: str) -> dict[str, str]:
    return {"cookie": f"other=1; {auth.cookie_name}={value}"}


def test_a_user_is_recognised_by_the_cookie(db):
    auth = Auth(db, b"secret")
    user = asyncio.run(auth.redeem(create_signin_token(db, "viewer")))
    assert user is not None
    assert asyncio.run(auth.user_of(headers(auth, asyncio.run(auth.cookie_for(user.id))))) == user


def test_a_user_who_is_gone_is_nobody(db):
    auth = Auth(db, b"secret")
    assert asyncio.run(auth.user_of(headers(auth, asyncio.run(auth.cookie_for(99))))) is None


def test_an_old_cookie_is_nothing(db, monkeypatch):
    auth = Auth(db, b"secret")
    user = asyncio.run(auth.redeem(create_signin_token(db)))
    value = asyncio.run(auth.cookie_for(user.id))
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: SESSION_S + 4e9)
    assert asyncio.run(auth.user_of(headers(auth, value))) is None


def test_another_secret_has_another_cookie(db):
    assert Auth(db, b"a").cookie_name != Auth(db, b"b").cookie_name
