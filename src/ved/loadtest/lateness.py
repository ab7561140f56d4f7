"""How late a generator's own timers are: a generator that is late cannot say what the server does."""

import asyncio
from typing import Final

TICK_S: Final = 0.02


class Lateness:
    """Run `watch` as a task beside the work."""

    def __init__(self) -> None:
        self._late_s: list[float] = []

    async def watch(self) -> None:
        """Note how late each tick comes, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            self._late_s.append(loop.time() - due_s)

    def forget(self) -> None:
        """Begin anew."""
        self._late_s.clear()

    def p99_ms(self) -> float:
        """99 % of the ticks were no later."""
        found = sorted(self._late_s)
        return 1000 * found[int(len(found) * 0.99)] if found else 0.0
