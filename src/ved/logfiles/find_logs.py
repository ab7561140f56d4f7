"""Which recordings a person means: files, folders and patterns."""

import glob
from collections.abc import Sequence
from pathlib import Path

from ved.errors import UserError
from ved.logfiles.open_log import LOG_ENDINGS


def find_logs(names: Sequence[str]) -> list[Path]:
    """The files, each once: of a folder all recordings in and below it, by name.

    UserError for a folder or a pattern (`*`, `?`, `[…]`, `**`) in which there is none, or where this user may not look;
    a named file may be missing.
    """
    found: dict[Path, None] = {}
    for name in names:
        try:
            found.update(dict.fromkeys(_find(name)))
        except OSError as error:
            where = error.filename or name
            raise UserError(f"{where}: cannot be read: {error.strerror or error}; ask its owner, or copy it") from None
    return list(found)


def _find(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        inside = sorted(one for one in path.rglob("*") if one.is_file() and one.suffix.lower() in LOG_ENDINGS)
        if not inside:
            raise UserError(f"{path}: no recordings in this folder ({', '.join(LOG_ENDINGS)})")
        return inside
    if glob.has_magic(name) and not path.exists():
        matching = sorted(Path(one) for one in glob.glob(name, recursive=True))  # noqa: PTH207  (Path.glob takes no absolute patterns)
        if not matching:
            raise UserError(f"{name}: no file fits this pattern")
        return [one for one in matching if one.is_file()]
    return [path]
