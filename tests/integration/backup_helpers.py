"""What is in a backup and in a data folder, read without the code that is tested."""

import sqlite3
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path

from ved.lake.lake import Lake


def members(file: Path) -> dict[str, bytes]:
    """All that is in a backup, by tools that are not ours."""
    plain = subprocess.run(["zstd", "-dcq", str(file)], capture_output=True, check=True).stdout
    listing = file.with_suffix(".tar")
    listing.write_bytes(plain)
    with tarfile.open(listing) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}


def rows(database: Path) -> dict[str, list]:
    """Every row of every table."""
    with closing(sqlite3.connect(database)) as db:
        names = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
        return {name: sorted(db.execute(f"select * from {name}").fetchall(), key=repr) for name in names}


def frames(data: Path) -> dict:
    lake = Lake(str(data / "lake"))
    return {(name, epoch): lake.rows(name, epoch) for name, epoch in lake.epochs()}
