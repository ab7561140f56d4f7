import asyncio

import pytest
from argon2 import PasswordHasher

from ved.web import passwords
from ved.web.passwords import MOST_BY_ADDRESS, MOST_BY_NAME, SPAN_S, Attempts, Passwords, TooOftenError


def test_wrong_passwords_are_counted_by_name_and_by_address():
    attempts = Attempts()
    for n in range(MOST_BY_NAME):
        attempts.refuse(("@1", "zoe"), n)
        attempts.note(("@1", "zoe"), n)
    with pytest.raises(TooOftenError):
        attempts.refuse(("@2", "zoe"), MOST_BY_NAME)
    attempts.refuse(("@1", "max"), MOST_BY_NAME)
    attempts.refuse(("@2", "zoe"), SPAN_S + 0.5)
    for n in range(MOST_BY_ADDRESS):
        attempts.note(("@3", f"name{n}"), n / 100)
    with pytest.raises(TooOftenError):
        attempts.refuse(("@3", "new"), 1)


def test_keys_are_bounded(monkeypatch):
    monkeypatch.setattr(passwords, "MAX_KEYS", 10)
    attempts = Attempts()
    for n in range(100):
        attempts.note((f"@{n}",), n)
    assert len(attempts._failed) == 10


def test_a_password_is_kept_as_argon2id_and_checked():
    async def go() -> None:
        one = Passwords()
        hashed = await one.hash("correct horse")
        assert hashed.startswith("$argon2id$")
        assert await one.check(hashed, "correct horse", "zoe", "1")
        assert not await one.check(hashed, "wrong horse", "zoe", "1")
        assert not await one.check("", passwords.NOBODY, "nobody", "1")

    asyncio.run(go())


@pytest.fixture
def cheap(monkeypatch):
    """Hashes that cost next to nothing."""
    monkeypatch.setattr(passwords, "PasswordHasher", lambda: PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def test_right_passwords_are_not_counted_as_wrong_ones_of_their_address(cheap):
    """A class behind one address signs in, all at once and one after the other; the wrong ones among them count."""

    async def go() -> None:
        one = Passwords()
        hashed = await one.hash("right")
        assert not await one.check(hashed, "wrong", "first", "school")
        names = [f"name{n}" for n in range(2 * MOST_BY_ADDRESS)]
        assert all(await asyncio.gather(*(one.check(hashed, "right", name, "school") for name in names)))
        for name in names:
            assert await one.check(hashed, "right", name, "school")
        for name in names[1:MOST_BY_ADDRESS]:
            assert not await one.check(hashed, "wrong", name, "school")
        with pytest.raises(TooOftenError):
            await one.check(hashed, "right", "last", "school")
        assert await one.check(hashed, "right", "last", "home")

    asyncio.run(go())


def test_many_tries_at_once_do_not_get_past_the_limits(cheap):
    async def go() -> None:
        one = Passwords()
        hashed = await one.hash("right")
        tries = [one.check(hashed, "wrong", "zoe", f"{n}") for n in range(MOST_BY_NAME)]
        *wrong, late = await asyncio.gather(*tries, one.check(hashed, "right", "zoe", "x"), return_exceptions=True)
        assert wrong == [False] * MOST_BY_NAME
        assert isinstance(late, TooOftenError)

    asyncio.run(go())


def test_a_name_that_looks_like_an_address_is_a_name(cheap):
    async def go() -> None:
        one = Passwords()
        hashed = await one.hash("right")
        for n in range(MOST_BY_NAME):
            assert not await one.check("", "wrong", "@192.0.2.7", f"{n}")
        with pytest.raises(TooOftenError):
            await one.check("", "wrong", "@192.0.2.7", "elsewhere")
        for n in range(MOST_BY_ADDRESS - 1):
            assert not await one.check(hashed, "wrong", f"name{n}", "192.0.2.7")
        assert await one.check(hashed, "right", "zoe", "192.0.2.7")

    asyncio.run(go())
