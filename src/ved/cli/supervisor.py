"""Starts the roles as processes, restarts one that dies, and stops them in order."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from ved.cli.logs import LogFormat
from ved.errors import UserError, VedError

START_S: Final = 90.0
STOP_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
STEADY_S: Final = 30.0
EXIT_REFUSED: Final = 2
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """A role to run: its name in ved.cli.role.ROLES, and its settings (a dataclass of plain values)."""

    name: str
    settings: Any


class RoleProcess:
    """Keeps one role running until it is told to stop."""

    def __init__(
        self, spec: RoleSpec, cache: Path | None, inherited_fds: Sequence[int], log_format: LogFormat = "text"
    ) -> None:
        self.name = spec.name
        self.ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._settings = spec.settings
        self._cache = cache
        self._inherited_fds = inherited_fds
        self._log_format = log_format
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {spec.name}")

    @property
    def pid(self) -> int | None:
        """Process id of the running instance."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def let_end(self) -> None:
        """Do not start the process again from now on."""
        self._stopping.set()

    async def stop(self) -> None:
        """Ask the process to end, wait, and kill it if it does not."""
        self.let_end()
        process = self._process
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                log.warning("%s did not stop within %.0f s and was killed", self.name, STOP_S)
                process.kill()
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        if self.ready.done() and not self.ready.cancelled():
            self.ready.exception()  # taken note of: nobody may wait any more

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            began_s = time.monotonic()
            refusal, code = await self._run_once()
            if self._stopping.is_set():
                return
            if code == EXIT_REFUSED and not self.ready.done():
                self.ready.set_exception(UserError(refusal or f"{self.name} refused to start"))
                return
            pause_s = FIRST_PAUSE_S if time.monotonic() - began_s > STEADY_S else min(pause_s * 2, LONGEST_PAUSE_S)
            log.warning("%s ended (%s); it starts again in %.1f s", self.name, refusal or f"exit code {code}", pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _run_once(self) -> tuple[str, int]:
        """What the process said against it, and its exit code; a machine that starts none now is a failed start too."""
        try:
            process = await self._start()
        except OSError as error:
            return f"cannot start: {error}", 1
        refusal = await self._listen(process)
        return refusal, await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if self._cache is not None:
            environment["NUMBA_CACHE_DIR"] = str(self._cache)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ved.cli.role", self.name, self._log_format),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            pass_fds=self._inherited_fds,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(TypeAdapter(type(self._settings)).dump_json(self._settings) + b"\n")
        return self._process

    async def _listen(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        refusal = ""
        while line := await process.stdout.readline():
            said = _said(line)
            if "ready" in said and not self.ready.done():
                self._keep_port(said["ready"])
                self.ready.set_result(said["ready"])
            refusal = said.get("error", refusal)
        return refusal

    def _keep_port(self, said: dict[str, Any]) -> None:
        """A role that took a free port gets the same one when it starts again: cars and pages know it by then."""
        if "port" in said:
            self._settings = dataclasses.replace(self._settings, port=said["port"])


def _said(line: bytes) -> dict[str, Any]:
    """What a role says; nothing for a line that a library printed."""
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict):
            return said
    return {}


class Supervisor:
    """All role processes of one server. They stop in the order in which they were given.

    `cache` is where compiled kernels are kept; None: beside the program.
    """

    def __init__(
        self,
        specs: Sequence[RoleSpec],
        cache: Path | None,
        inherited_fds: Sequence[int] = (),
        log_format: LogFormat = "text",
    ) -> None:
        self._specs = specs
        self._log_format = log_format
        self._cache = cache
        self._inherited_fds = inherited_fds
        self.processes: dict[str, RoleProcess] = {}

    async def start(self) -> dict[str, dict[str, Any]]:
        """Start all and wait until each is ready; returns what each said. UserError when one refuses."""
        for spec in self._specs:
            self.processes[spec.name] = self._process(spec)
        waiting = [process.ready for process in self.processes.values()]
        done, pending = await asyncio.wait(waiting, timeout=START_S, return_when=asyncio.FIRST_EXCEPTION)
        for future in done:
            if (error := future.exception()) is not None:
                await self.stop()
                raise error
        if pending:
            slow = [name for name, process in self.processes.items() if not process.ready.done()]
            await self.stop()
            raise VedError(f"{', '.join(slow)} did not come up within {START_S:.0f} s")
        return {name: process.ready.result() for name, process in self.processes.items()}

    async def add(self, spec: RoleSpec) -> dict[str, Any]:
        """Start one more role, to be stopped first."""
        process = self._process(spec)
        self.processes = {spec.name: process, **self.processes}
        return await process.ready

    def _process(self, spec: RoleSpec) -> RoleProcess:
        return RoleProcess(spec, self._cache, self._inherited_fds, self._log_format)

    async def stop(self) -> None:
        """Stop all, one after the other, so that each finds what the one before it wrote."""
        for process in self.processes.values():
            process.let_end()
        for process in self.processes.values():
            await process.stop()
