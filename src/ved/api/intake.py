"""Files from people whom nobody has to trust: each is read in a process of its own that can do nothing but that."""

import json
import subprocess
import sys
from typing import Any, Final

from ved.dbc.findings import Finding
from ved.dbc.intake import MAX_FILE_BYTES, Intake, plain_name
from ved.errors import UserError

TIMEOUT_S: Final = 20.0


def read_untrusted(data: bytes, name: str, bus_name: str) -> Intake:
    """The file as definitions for a bus. Blocking, at most TIMEOUT_S. UserError says why a file is refused."""
    name = plain_name(name)
    if len(data) > MAX_FILE_BYTES:
        raise UserError(f"{name}: larger than {MAX_FILE_BYTES >> 20} MiB, so surely no definition file")
    head = json.dumps({"name": name, "bus": bus_name}).encode() + b"\n"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "ved.api.intake_worker"],
            input=head + data,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            env={"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{name}: takes more than {TIMEOUT_S:.0f} s to read") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise UserError(f"{name}: takes too long, or too much memory, to read") from None
    if "refused" in answer:
        raise UserError(answer["refused"])
    taken = answer["intake"]
    findings = tuple(Finding(**finding) for finding in taken.pop("findings"))
    return Intake(**{**taken, "findings": findings, "losses": tuple(taken["losses"])})
