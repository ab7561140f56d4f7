"""Passwords: argon2id, few at a time, and wrong ones only so often."""

import asyncio
import time
from collections import deque
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE: Final = 2
SPAN_S: Final = 300
MOST_BY_NAME: Final = 8
MOST_BY_ADDRESS: Final = 30
MAX_KEYS: Final = 10_000
NOBODY: Final = "nobody has this password"


class TooOftenError(Exception):
    """Too many wrong passwords: wait `after_s`."""

    def __init__(self, after_s: int) -> None:
        super().__init__(f"too many wrong passwords; try again in {after_s} s")
        self.after_s = after_s


class Attempts:
    """Counts what went wrong by key over the last minutes; a key that begins with @ is an address."""

    def __init__(self) -> None:
        self._failed: dict[str, deque[float]] = {}

    def refuse(self, keys: tuple[str, ...], now_s: float) -> None:
        """TooOftenError when one of the keys has failed too often."""
        for key in keys:
            times = self._failed.get(key, deque())
            while times and times[0] <= now_s - SPAN_S:
                times.popleft()
            if len(times) >= (MOST_BY_ADDRESS if key.startswith("@") else MOST_BY_NAME):
                raise TooOftenError(max(1, round(times[0] + SPAN_S - now_s)))

    def note(self, keys: tuple[str, ...], now_s: float) -> None:
        """One more failure of these keys; the oldest keys go when there are too many."""
        for key in keys:
            self._failed.setdefault(key, deque(maxlen=MOST_BY_ADDRESS)).append(now_s)
        while len(self._failed) > MAX_KEYS:
            del self._failed[next(iter(self._failed))]

    def forget(self, key: str) -> None:
        """Nothing went wrong here."""
        self._failed.pop(key, None)

    def take_back(self, key: str, noted_s: float) -> None:
        """What was noted then was no failure; the others of this key count on."""
        times = self._failed.get(key, deque())
        if noted_s in times:
            times.remove(noted_s)
        if not times:
            self.forget(key)


class Passwords:
    """Makes and checks hashes off the event loop. Counts of wrong ones are those of this process."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._attempts = Attempts()
        self._decoy = ""

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def check(self, hashed: str, password: str, name: str, address: str) -> bool:
        """True when it is right. A name without password takes as long as any other."""
        of_name, of_address = f"={name.lower()}", f"@{address}"
        if not hashed:
            self._decoy = self._decoy or await self.hash(NOBODY)
        async with self._turn:
            now_s = time.monotonic()
            self._attempts.refuse((of_address, of_name), now_s)
            # Counted before it is looked at: tries at once do not get past the limit. In its turn: those who wait,
            # a class behind one address, are not counted yet.
            self._attempts.note((of_address, of_name), now_s)
            is_right = await asyncio.to_thread(self._verify, hashed or self._decoy, password) and bool(hashed)
        if is_right:
            self._attempts.forget(of_name)
            self._attempts.take_back(of_address, now_s)
        return is_right

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False
