"""`ved backup` and `ved restore` on a folder at rest: byte for byte; damaged, a backup is refused.

tests/e2e/test_backup.py takes one while a car sends.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import zstandard
from tests.integration.backup_helpers import frames, members, rows
from tests.services.postgres_server import running_postgres
from typer.testing import CliRunner

from ved.cli.main import app
from ved.db.database import Database
from ved.errors import UserError


def run(*arguments: str) -> None:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that an earlier version left: keys, people, streams, a lake."""
    place = tmp_path_factory.mktemp("frozen")
    source = max((Path(__file__).parents[1] / "data").glob("frozen-*"))
    with tarfile.open(source / "data.tar.gz") as archive:
        archive.extractall(place, filter="data")
    database = Database(f"sqlite:///{place / 'server' / 'db.sqlite'}")
    database.migrate()
    database.close()
    return place / "server"


@pytest.fixture
def file(folder: Path, tmp_path: Path) -> Path:
    run("backup", str(tmp_path / "b.tar.zst"), "--data", str(folder))
    return tmp_path / "b.tar.zst"


def test_a_folder_at_rest_comes_back_byte_for_byte(folder: Path, file: Path, tmp_path: Path):
    run("restore", str(file), "--data", str(tmp_path / "new"))
    assert rows(tmp_path / "new" / "db.sqlite") == rows(folder / "db.sqlite")
    was, now = frames(folder), frames(tmp_path / "new")
    assert was.keys() == now.keys()
    assert was
    for key in was:
        assert np.array_equal(was[key].seq, now[key].seq)
        assert was[key].frames.equals(now[key].frames)
    for path in [*folder.glob("keys/*"), *folder.glob("streams/*/*.seg"), *folder.glob("streams/*/cursors/*")]:
        assert (tmp_path / "new" / path.relative_to(folder)).read_bytes() == path.read_bytes(), path
    manifest = json.loads(members(file)["manifest.json"])
    for name, (size, digest) in manifest["files"].items():
        data = (tmp_path / "new" / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest)


def test_a_copy_to_give_away_has_no_secret(folder: Path, tmp_path: Path):
    run("backup", str(tmp_path / "b.tar.zst"), "--no-keys", "--data", str(folder))
    copied = members(tmp_path / "b.tar.zst")
    assert not [name for name in copied if name.startswith(("keys", "imports"))]
    was = rows(folder / "db.sqlite")
    secrets = [
        hash_ for table in ("car_keys", "sign_ins") for row in was[table] for hash_ in row if len(str(hash_)) > 31
    ]
    secrets += [row[-1].encode() for row in was["users"] if row[-1]]
    assert len([one for one in secrets if isinstance(one, bytes)]) >= 2
    assert not [one for one in secrets if isinstance(one, bytes) and one in copied["db.sqlite"]]
    run("restore", str(tmp_path / "b.tar.zst"), "--data", str(tmp_path / "new"))
    assert rows(tmp_path / "new" / "db.sqlite")["sessions"] == was["sessions"]


@pytest.mark.parametrize("where", [0.0, 0.3, 0.7, 0.999])
def test_a_flipped_byte_is_found_and_nothing_is_left(file: Path, tmp_path: Path, where: float):
    data = bytearray(file.read_bytes())
    data[int(where * (len(data) - 1))] ^= 0x40
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"b\.tar\.zst: this backup is damaged: .*; take another one") as caught:
        run("restore", str(file), "--data", str(tmp_path / "new"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_a_backup_that_was_cut_is_refused(file: Path, tmp_path: Path, part: float):
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * part)])
    with pytest.raises(UserError, match="damaged"):
        run("restore", str(file), "--data", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("trouble", ["changed", "missing", "more", "outside", "link"])
def test_what_the_manifest_does_not_say_is_refused(file: Path, tmp_path: Path, trouble: str):
    inside = members(file)
    name = "streams/frames/state"
    if trouble == "changed":
        inside[name] = inside[name][:-1] + b"x"
    elif trouble == "missing":
        del inside[name]
    made = tmp_path / "made.tar"
    with tarfile.open(made, "w") as archive:
        for one, data in {**inside, **({"keys/more": b"x"} if trouble == "more" else {})}.items():
            entry = tarfile.TarInfo(one)
            entry.size = len(data)
            path = tmp_path / "member"
            path.write_bytes(data)
            with path.open("rb") as source:
                archive.addfile(entry, source)
        if trouble in ("outside", "link"):
            entry = tarfile.TarInfo("keys/../../outside" if trouble == "outside" else "keys/link")
            if trouble == "link":
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(entry)
    file.write_bytes(zstandard.compress(made.read_bytes()))
    with pytest.raises(UserError, match="damaged"):
        run("restore", str(file), "--data", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "outside").exists()


def test_keys_are_private_again_and_the_lake_as_open_as_it_was(folder: Path, file: Path, tmp_path: Path):
    new = tmp_path / "new"
    run("restore", str(file), "--data", str(new))
    assert new.joinpath("keys").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in [*new.glob("keys/*"), new / "db.sqlite"]} == {0o600}
    (tmp_path / "plain").touch()
    usual = (tmp_path / "plain").stat().st_mode
    assert {path.stat().st_mode for path in new.glob("lake/frames/vehicle=*/*/*.parquet")} == {usual}


def test_through_a_pipe(folder: Path, tmp_path: Path):
    """As with `docker compose exec -T` or ssh: standard output carries the backup and nothing else."""
    command = [sys.executable, "-m", "ved.cli"]
    sent = subprocess.run([*command, "backup", "-", "--data", str(folder)], capture_output=True, check=True)
    came = subprocess.run(
        [*command, "restore", "-", "--data", str(tmp_path / "new")], input=sent.stdout, capture_output=True, check=True
    )
    assert b"every SHA-256 right" in came.stderr
    assert (tmp_path / "new" / "db.sqlite").is_file()
    assert len(list((tmp_path / "new").rglob("*.seg"))) == len(list(folder.rglob("*.seg"))) > 0


def test_nothing_is_overwritten(folder: Path, file: Path, tmp_path: Path):
    before = file.read_bytes()
    with pytest.raises(UserError, match="is there already"):
        run("backup", str(file), "--data", str(folder))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "db.sqlite").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        run("restore", str(file), "--data", str(tmp_path / "full"))
    assert (tmp_path / "full" / "db.sqlite").read_text() == "mine"
    assert file.read_bytes() == before
    with pytest.raises(UserError, match="no data folder of ved"):
        run("backup", str(tmp_path / "c.tar.zst"), "--data", str(tmp_path / "nothing"))
    assert not (tmp_path / "c.tar.zst").exists()


def test_the_command_line_says_it_in_one_line(tmp_path: Path):
    (tmp_path / "b").write_bytes(b"garbage")
    command = [sys.executable, "-m", "ved.cli", "restore", "b", "--data", "new"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("ved: b: this backup is damaged")
    assert done.stderr.count("\n") == 1


def test_postgres_is_dumped_and_comes_back(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "db").mkdir()
    with running_postgres(tmp_path / "db") as url:
        database = Database(url)
        database.migrate()
        with database.engine.begin() as connection:
            connection.exec_driver_sql("insert into session_cuts values ('s', 'fs', '\\x00', 7)")
        monkeypatch.setenv("VED_DB_URL", url)
        run("backup", str(tmp_path / "b.tar.zst"), "--data", str(folder))
        run("restore", str(tmp_path / "b.tar.zst"), "--data", str(tmp_path / "new"))
        assert not (tmp_path / "new" / "db.sqlite").exists()
        with database.engine.begin() as connection:
            connection.exec_driver_sql("drop table session_cuts")
        address = url.replace("+psycopg", "")
        dump = str(tmp_path / "new" / "db.pgdump")
        subprocess.run(["pg_restore", "--no-owner", "--clean", "--if-exists", f"--dbname={address}", dump], check=True)
        with database.engine.begin() as connection:
            assert connection.exec_driver_sql("select session_id, t_us from session_cuts").all() == [("s", 7)]
        database.close()
        monkeypatch.setenv("PATH", str(tmp_path))
        result = CliRunner().invoke(app, ["backup", str(tmp_path / "c.tar.zst"), "--data", str(folder)])
        assert result.exit_code == 0
        assert "PostgreSQL is NOT in it" in result.stderr
