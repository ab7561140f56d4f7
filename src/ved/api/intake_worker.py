"""The process that reads a file which nobody trusts: `python -I -m ved.api.intake_worker`.

Standard input: one JSON line `{"name","bus"}`, then the file's bytes. Standard output: one JSON object, `{"intake"}` or
`{"refused"}`. Before it looks at the bytes it gives away what it does not need: it can open no file, write none, start
nothing, and use CPU_S seconds and MEMORY_BYTES.
"""

import codecs
import contextlib
import importlib
import json
import resource
import sys
from dataclasses import asdict
from pathlib import PurePath
from typing import Any, Final

from ved.dbc.intake import take_in
from ved.errors import UserError

CPU_S: Final = 10
MEMORY_BYTES: Final = 1 << 30
_LIBRARIES: Final = {
    ".kcd": ("cantools.database.can.formats.kcd",),
    ".sym": ("cantools.database.can.formats.sym",),
    ".arxml": ("cantools.database.can.formats.arxml",),
    ".xlsx": ("openpyxl.reader.excel",),
}
_SMALLEST: Final = b'BO_ 1 A: 8 X\n SG_ s : 0|8@1+ (1,0) [0|0] "" X\n'


def main() -> None:
    """Read, answer, end."""
    head = json.loads(sys.stdin.buffer.readline())
    for library in _LIBRARIES.get(PurePath(head["name"]).suffix.lower(), ()):
        with contextlib.suppress(ImportError):  # the reader itself says which extra is missing
            importlib.import_module(library)
    for encoding in ("utf-8-sig", "cp1252", "cp437", "idna"):
        codecs.lookup(encoding)
    take_in(_SMALLEST, "warm.dbc", "")  # what is imported late is imported now
    _confine()
    try:
        answer: dict[str, Any] = {"intake": asdict(take_in(sys.stdin.buffer.read(), head["name"], head["bus"]))}
    except UserError as error:
        answer = {"refused": str(error)}
    except (MemoryError, RecursionError):
        answer = {"refused": f"{head['name']}: needs too much memory to be read"}
    sys.stdout.write(json.dumps(answer))


def _confine() -> None:
    for limit, value in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(limit, (value, value))


if __name__ == "__main__":
    main()
