"""SIGKILL of ingest and record at each named stage of their work, again and again, while a car drives."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.faults.torture.site import Figures, Places, Site

COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(COMPILER is None or os.name != "posix", reason="needs a C compiler for the kill shim")
SHIM = Path(__file__).with_name("kill_shim.c")
# Name of the stage: call, when, up to which such call, part of the path (kill_shim.c).
STAGES = {
    "ingest": {
        "half of a record is in the journal": ("write", "torn", 8, "streams/frames/"),
        "written, not synced": ("sync", "before", 5, "streams/frames/"),
        "synced, nobody told": ("sync", "after", 5, "streams/frames/"),
        "half of the durable mark": ("write", "torn", 4, "streams/frames/durable"),
    },
    "record": {
        "half of a data file": ("write", "torn", 3, "lake/frames/vehicle="),
        "data written, not synced": ("sync", "before", 3, "lake/frames/vehicle="),
        "data synced, not committed": ("link", "before", 2, "lake/frames/_delta_log/"),
        "committed, cursor not moved": ("link", "after", 2, "lake/frames/_delta_log/"),
        "new cursor not in its place": ("rename", "before", 2, "cursors/record"),
        "cursor moved": ("rename", "after", 2, "cursors/record"),
    },
}
DEAD_S = 240.0
"""On a busy machine both roles may die for minutes before enough is stored for the next kill."""


class Killer:
    """Starts one role with a stage at which it dies, until its list is through; then it runs unharmed."""

    def __init__(self, site: Site, role: str, library: Path, times: int) -> None:
        self.site, self.role = site, role
        self.todo = [stage for _ in range(times) for stage in STAGES[role]]
        self.killed: Counter[str] = Counter()
        self._library = library
        self._chance = random.Random(f"{role} 7")
        self._since_s = 0.0

    def start(self) -> None:
        environment: dict[str, str] = {}
        if self.todo:
            call, when, most, part = STAGES[self.role][self.todo[0]]
            wish = f"{call} {when} {self._chance.randint(1, most)} {part}"
            environment = {"LD_PRELOAD": str(self._library), "VED_KILL": wish}
        self.site.role_environment[self.role] = environment
        self._since_s = time.monotonic()
        self.site.spawn_role(self.role)

    def look(self) -> None:
        """Starts the role anew when its kill came."""
        code = self.site.roles[self.role].poll()
        if code is None:
            assert not self.todo or time.monotonic() - self._since_s < DEAD_S, f"{self.role} lives: {self.todo[0]}"
            return
        assert self.todo, f"{self.role} ended by itself:\n{self.site.log(self.role)}"
        assert code == -signal.SIGKILL, f"{self.role} ended with {code}:\n{self.site.log(self.role)}"
        self.site.end_role(self.role)
        self.killed[self.todo.pop(0)] += 1
        self.start()


@pytest.mark.parametrize("times", [pytest.param(1, id="once"), pytest.param(100, id="x100", marks=pytest.mark.slow)])
@pytest.mark.timeout(7200)
def test_the_servers_roles_are_killed_at_each_stage(tmp_path: Path, times: int):
    library = tmp_path / "kill_shim.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM), "-ldl"], check=True)
    with Site(Places.under(tmp_path)) as site:
        site.prepare()
        site.start_server()
        site.enrol()
        site.start_car()
        site.wait_stored()
        killers = [Killer(site, role, library, times) for role in STAGES]
        for killer in killers:
            site.end_role(killer.role)
            killer.start()
        while any(killer.todo for killer in killers):
            for killer in killers:
                killer.look()
            time.sleep(0.02)
        site.wait_stored()
        verdict = site.settle()
        assert verdict.undeclared == 0, verdict.text()
        for killer in killers:
            assert killer.killed == dict.fromkeys(STAGES[killer.role], times)
        Figures(f"server SIGKILL at each stage x{times}").add(
            verdict, kills=sum(killer.killed.total() for killer in killers)
        )
