"""A checkpoint of a table's Delta log, in a process of its own: delta-rs keeps some of the memory that each one took.

python -m ved.lake.checkpoint URL VERSION
"""

import subprocess
import sys
from typing import Final

from deltalake import DeltaTable

from ved.errors import StorageError

_LIMIT_S: Final = 120.0


def write_checkpoint(url: str, version: int) -> None:
    """Write the checkpoint of a version: whoever opens the table reads one file, not all commits. StorageError."""
    command = [sys.executable, "-m", __name__, url, str(version)]
    try:
        done = subprocess.run(  # noqa: S603  # this program
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageError(f"no checkpoint of the lake's log at {url}: {error}") from error
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise StorageError(f"no checkpoint of the lake's log at {url}: {why}")


if __name__ == "__main__":
    DeltaTable(sys.argv[1], version=int(sys.argv[2])).create_checkpoint()
