"""`ved init`: fresh secrets for a deployment, each in a file of the service that reads it."""

import base64
import os
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from ved.errors import UserError
from ved.link.files import create_private

console = Console(highlight=False, soft_wrap=True)
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")


def _password() -> str:
    return secrets.token_urlsafe(24)


def _cluster_id() -> str:
    """16 random bytes as Kafka writes them; it takes none that begins with "-"."""
    while (text := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")).startswith("-"):
        pass
    return text


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret, and the files that hold it: each a path in the folder and what it says, `{}` being the secret."""

    make: Callable[[], str]
    files: tuple[tuple[str, str], ...]


SECRETS: Final = (
    Secret(
        _password,
        (("postgres/password", "{}"), ("ved/ved_db_url", "postgresql+psycopg://ved:{}@postgres:5432/ved")),
    ),
    Secret(_password, (("influxdb/admin_password", "{}"),)),
    Secret(_password, (("influxdb/writer_password", "{}"), ("ved/ved_influx_password", "{}"))),
    Secret(_password, (("influxdb/reader_password", "{}"), ("grafana/influx_password", "{}"))),
    Secret(_password, (("grafana/admin_password", "{}"),)),
    Secret(_password, (("grafana/secret_key", "{}"),)),
    Secret(_password, (("ved/ved_metrics_token", "{}"),)),
    Secret(_cluster_id, (("kafka/cluster_id", "{}"),)),
)


def make_secrets(folder: Path) -> list[str]:
    """Make what is missing (mode 0600, folders 0700), overwrite nothing; the files that were made.

    A secret that stands in two files is taken from the one that is there. UserError when two disagree, when one is none
    of ours, or when the folder cannot be written.
    """
    made: list[str] = []
    for secret in SECRETS:
        found = {name: _read(folder / name, text) for name, text in secret.files if (folder / name).exists()}
        if len(set(found.values())) > 1:
            raise UserError(f"{folder}: {' and '.join(found)} hold different secrets; remove the one that is wrong")
        value = next(iter(found.values()), None) or secret.make()
        for name, text in secret.files:
            if name not in found:
                _write(folder / name, text.format(value))
                made.append(name)
    return made


def hand_over(owners: Sequence[str]) -> None:
    """Give folders and all in them away; each owner is `FOLDER=UID`. UserError when that cannot be."""
    for owner in owners:
        path, _, number = owner.rpartition("=")
        folder = Path(path)
        if not path or not number.isdecimal() or not folder.is_dir():
            raise UserError(f"--owner {owner}: give FOLDER=UID, a folder that is there and a number: secrets/ved=10001")
        if sys.platform == "win32":
            raise UserError("--owner: Windows has no such numbers; leave it out")
        try:
            for one in (folder, *folder.rglob("*")):
                os.chown(one, int(number), int(number), follow_symlinks=False)
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be given to user {number} ({error.strerror})") from None


def run_init(folder: Path, owners: Sequence[str]) -> None:
    """Make, hand over, and say what to do next. No secret is printed."""
    made = make_secrets(folder)
    hand_over(owners)
    for name in made:
        console.print(f"made  {folder / name}", markup=False)
    if not made:
        console.print(f"{folder}: all secrets are there already; nothing was changed", markup=False)
    console.print(
        "Next: docker compose exec web ved signin   (a link that signs the first admin in; it works once)\n"
        f"Grafana: user admin, password in {folder / 'grafana' / 'admin_password'}\n"
        "Keep a copy of this folder where nobody else can read it.",
        markup=False,
    )


def _read(file: Path, template: str) -> str:
    before, _, after = template.partition("{}")
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, ValueError):
        raise UserError(f"{file}: cannot be read; mend or remove it") from None
    if text.startswith(before) and text.endswith(after):
        word = text.removeprefix(before).removesuffix(after)
        if _WORD.fullmatch(word):
            return word
    raise UserError(f"{file}: this is not what 'ved init' writes; mend or remove it")


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        create_private(file, text.encode())
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}); choose another folder") from None
