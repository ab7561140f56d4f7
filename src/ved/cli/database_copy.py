"""A copy of people's data for a backup: SQLite by its own backup, PostgreSQL by pg_dump."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from ved.cli.backupfile import ArchiveWriter
from ved.db.people_tables import car_keys, enrol_codes, invitations, sign_ins, signin_tokens, users
from ved.errors import StorageError, UserError

SQLITE_NAME: Final = "db.sqlite"
DUMP_NAME: Final = "db.pgdump"
SECRET_TABLES: Final = tuple(one.name for one in (car_keys, enrol_codes, invitations, sign_ins, signin_tokens))
"""Hashes of keys and of links that let somebody in."""


def copy_sqlite(url: str, archive: ArchiveWriter, *, with_keys: bool) -> None:
    """One transaction's view of the database, while others write it. StorageError when it cannot be read."""
    path = Path(make_url(url).database or "")
    if not path.is_file():
        return
    with tempfile.TemporaryDirectory(prefix="ved-backup-") as folder:
        copy = Path(folder) / SQLITE_NAME
        try:
            with (
                contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
                contextlib.closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
                if not with_keys:
                    _forget_secrets(target)
        except sqlite3.Error as error:
            raise StorageError(f"{path}: cannot be copied: {error}") from error
        with copy.open("rb") as file:
            archive.add_file(SQLITE_NAME, file, None)


def copy_postgres(url: str, archive: ArchiveWriter, *, with_keys: bool) -> str:
    """pg_dump's view of the database, and what a person must know. UserError when pg_dump fails."""
    tool = shutil.which("pg_dump")
    shown = make_url(url).set(drivername="postgresql", password=None)
    if tool is None:
        return f"PostgreSQL is NOT in it: there is no pg_dump here. Where there is: pg_dump --format=custom {shown}"
    left_out = () if with_keys else (*SECRET_TABLES, users.name)
    options = [f"--exclude-table-data={name}" for name in left_out]
    password = make_url(url).password
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    with tempfile.TemporaryFile() as file:
        done = subprocess.run(  # noqa: S603 - the address is that of the settings, and no shell reads it
            [tool, "--format=custom", "--no-owner", "--no-password", *options, f"--dbname={shown.render_as_string()}"],
            stdout=file,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise UserError(f"pg_dump of {shown} failed: {said[-1]}")
        file.seek(0)
        archive.add_file(DUMP_NAME, file, None)
    return f"PostgreSQL is in it as {DUMP_NAME}; 'ved restore' says how it goes back."


def _forget_secrets(database: sqlite3.Connection) -> None:
    """Delete them, and rewrite the file: what is only deleted still stands in free pages."""
    there = {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for name in SECRET_TABLES:
        if name in there:
            database.execute(f"DELETE FROM {name}")  # noqa: S608 - a name of ours
    if users.name in there and any(row[1] == "password_hash" for row in database.execute("PRAGMA table_info(users)")):
        database.execute("UPDATE users SET password_hash = ''")
    database.commit()
    database.execute("VACUUM")
