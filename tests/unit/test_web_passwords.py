import asyncio

import pytest

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
        assert await one.check(hashed, "correct horse", ("@1", "zoe"))
        assert not await one.check(hashed, "wrong horse", ("@1", "zoe"))
        assert not await one.check("", passwords.NOBODY, ("@1", "nobody"))

    asyncio.run(go())
