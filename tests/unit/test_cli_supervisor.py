"""A role is kept running whatever keeps it from starting."""

import asyncio
from dataclasses import dataclass

import pytest

from ved.cli import supervisor
from ved.cli.supervisor import RoleProcess, RoleSpec


@dataclass(frozen=True, slots=True)
class Settings:
    port: int = 0


def test_a_role_that_cannot_be_started_now_is_started_later_and_noise_on_its_output_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, tried = asyncio.create_subprocess_exec, []

    async def start(*_: str, **how: object) -> asyncio.subprocess.Process:
        tried.append(1)
        if len(tried) < 3:
            raise OSError(12, "Cannot allocate memory")
        says = 'echo a library says hello; echo 17; echo \'{"ready": {"port": 5}}\'; cat >/dev/null'
        return await real("sh", "-c", says, stdin=how["stdin"], stdout=how["stdout"])  # type: ignore[arg-type]

    monkeypatch.setattr(supervisor.asyncio, "create_subprocess_exec", start)
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)

    async def go() -> None:
        process = RoleProcess(RoleSpec("web", Settings()), None, ())
        async with asyncio.timeout(20):
            assert await process.ready == {"port": 5}
        await process.stop()

    asyncio.run(go())
    assert len(tried) == 3
