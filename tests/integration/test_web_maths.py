"""Maths channels on a live page: the same values live, in the window, and after people changed the expression."""

import numpy as np
from tests.integration.web_live import FS, START_UTC_US, Server, run, until

from ved.db.maths import put_maths
from ved.db.vehicles import ensure_vehicle
from ved.model.maths import MathsDef

STEP_US = 50_000


def ramp(first, count):
    t = np.arange(first, first + count) * STEP_US
    return t, np.arange(first, first + count) % 100


def has(page, count):
    return all(len(page.last(name)) >= count for name in ("Maths.Turns", "Maths.Mean"))


def test_live_is_history(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        put_maths(server.db, "fs", MathsDef("Turns", "integral(Motor.speed)", ""), "ada")
        put_maths(server.db, "fs", MathsDef("Mean", "average(Motor.speed, 0.2) + 1 [rpm]", "rpm"), "ada")
        async with server.running(), server.page() as early:
            await early.watch("Maths.Turns", "Motor.speed", "Maths.Mean")
            await until(lambda: early.is_history_done)
            units = {one["name"]: one["unit"] for one in early.watching["channels"]}
            assert units == {"Maths.Turns": "rad", "Motor.speed": "rpm", "Maths.Mean": "rpm"}
            server.send_clock()
            for first in range(0, 100, 10):
                server.send(*ramp(first, 10))
            await until(lambda: has(early, 99))
            server.commit()
            for first in range(100, 140, 20):
                server.send(*ramp(first, 20))
            await until(lambda: has(early, 139))
            async with server.page() as late:
                await late.watch("Maths.Turns", "Maths.Mean")
                await until(lambda: late.is_history_done and has(late, 139))
                server.send(*ramp(140, 20))
                await until(lambda: has(early, 159))
                await until(lambda: has(late, 159))
                for name in ("Maths.Turns", "Maths.Mean"):
                    np.testing.assert_allclose(early.last(name)[:139], late.last(name)[:139], rtol=1e-6)
                    np.testing.assert_allclose(early.last(name)[:159], late.last(name)[:159], rtol=1e-6)
                values = np.arange(160) % 100 * (2 * np.pi / 60)
                turns = np.cumsum(np.append(0, 0.5 * (values[1:] + values[:-1]) * STEP_US * 1e-6))
                np.testing.assert_allclose(early.last("Maths.Turns")[:159], turns[:159], rtol=1e-6, atol=1e-6)
            put_maths(server.db, "fs", MathsDef("Mean", "Motor.speed * 0 + 7", "rpm"), "ada")
            await until(
                lambda: early.count("reset") and early.is_history_done and set(early.last("Maths.Mean")) == {7.0}
            )
            server.send(*ramp(160, 10))
            await until(lambda: len(early.last("Maths.Mean")) >= 169)
            assert set(early.last("Maths.Mean")) == {7.0}
            assert early.column("Maths.Mean").t_us[0] == START_UTC_US

    run(tmp_path, go)
