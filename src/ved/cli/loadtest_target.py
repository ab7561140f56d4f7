"""What a load test is aimed at: the server on a data folder, a far one, or one that is made for it."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
from rich.console import Console

from ved.cli.keys import ensure_named_vehicle
from ved.cli.server import find_running, open_database
from ved.codec.link import KEY_BYTES
from ved.config.settings import ServerSettings, load_settings
from ved.db.keys import add_car_key, find_car_key, revoke_car_key
from ved.db.people import create_signin_token
from ved.errors import UserError
from ved.link.certificates import ensure_server_certificates
from ved.link.credentials import Credentials, parse_server_url
from ved.link.enrol import enrol
from ved.loadtest.plan import Load, Target
from ved.loadtest.stored import forget
from ved.loadtest.where import check_is_here

PREFIX: Final = "loadtest-"
TOKEN_S: Final = 600.0
START_S: Final = 90.0
STOP_S: Final = 30.0

notes = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Far:
    """A server that is reached over the network alone: its link, a code for each car, a sign-in link to its page."""

    link_url: str
    codes: tuple[str, ...]
    signin_link: str | None


class Rig:
    """A target whose cars get their keys when they are first needed."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def target_for(self, cars: int) -> Target:
        """The target with at least so many cars."""
        if cars > len(self._target.cars):
            raise UserError(f"{cars} cars need {cars} keys: give --code for each of them")
        return self._target


class NearRig(Rig):
    """The server on a data folder. Its keys are entered into the database: handshakes of so many cars at once would be
    taken for a flood.
    """

    def __init__(self, settings: ServerSettings, link_url: str, target: Target) -> None:
        super().__init__(target)
        self._settings = settings
        self._link_url = link_url

    def target_for(self, cars: int) -> Target:
        """The target with at least so many cars; new ones get a vehicle and a key."""
        have = len(self._target.cars)
        if cars > have:
            ca_pem = ensure_server_certificates(
                self._settings.data.resolve() / "keys", self._settings.certificate_names
            ).ca_pem
            with contextlib.closing(open_database(self._settings)) as db:
                for number in range(have + 1, cars + 1):
                    car = Credentials(
                        (self._link_url,), f"{PREFIX}{number:02d}", secrets.token_bytes(KEY_BYTES), ca_pem
                    )
                    ensure_named_vehicle(db, car.vehicle)
                    add_car_key(db, car.vehicle, car.key)
                    self._target = replace(self._target, cars=(*self._target.cars, car))
        return self._target

    def tidy_up(self, *, is_kept: bool) -> None:
        """Revoke the keys, and let go of the data."""
        cars = self._target.cars
        with contextlib.closing(open_database(self._settings)) as db:
            for car in cars:
                key = find_car_key(db, car.key)
                if key is not None:
                    revoke_car_key(db, key.id)
        if not is_kept and cars:
            rows = forget(self._settings.lake, [car.vehicle for car in cars])
            notes.print(f"{rows:,} rows of {PREFIX}… were taken out of the lake again (--keep leaves them)")


@contextlib.contextmanager
def near_rig(settings: ServerSettings, *, is_owner: bool, is_kept: bool) -> Iterator[Rig]:
    """The server on the data folder; its test cars' keys are revoked at the end, and their data let go of."""
    running = find_running(settings.data) if settings.data.is_dir() else None
    if running is None or not running.link_url or not running.web_url:
        raise UserError(
            f"{settings.data}: no whole server runs on this data folder; start one with 'ved serve', "
            "or add --scratch to test one that is made for it"
        )
    if not is_owner:
        check_is_here(running.link_url)
        check_is_here(running.web_url)
    with contextlib.closing(open_database(settings)) as db:
        cookie = _sign_in(f"{running.web_url}/signin?token={create_signin_token(db, 'viewer', TOKEN_S)}")
    rig = NearRig(settings, running.link_url, Target((), running.web_url, cookie, running.pid, settings.lake))
    try:
        yield rig
    finally:
        rig.tidy_up(is_kept=is_kept)


@contextlib.contextmanager
def far_rig(load: Load, far: Far, *, is_owner: bool) -> Iterator[Rig]:
    """A server that is seen over the network alone; its codes must be for vehicles of a load test."""
    parse_server_url(far.link_url)
    urls = [far.link_url, *([far.signin_link] if far.signin_link else [])]
    if not is_owner:
        for url in urls:
            check_is_here(url)
    if load.viewers and not far.signin_link:
        raise UserError("viewers need --signin LINK: run 'ved signin --role viewer' at the server (or --viewers 0)")
    if len(far.codes) < load.cars:
        raise UserError(
            f"{load.cars} cars need {load.cars} codes: at the server, 'ved keys code {PREFIX}01' and so on; "
            f"give --code for each ({len(far.codes)} given)"
        )
    with tempfile.TemporaryDirectory(prefix="ved-loadtest-") as folder:
        cars = tuple(
            asyncio.run(enrol(far.link_url, code, Path(folder) / str(number))) for number, code in enumerate(far.codes)
        )
        for car in cars:
            if not car.vehicle.startswith(PREFIX):
                raise UserError(
                    f"a code is for vehicle '{car.vehicle}': test data must not mix with a real car's; "
                    f"make codes for {PREFIX}01, {PREFIX}02, …"
                )
        parts = urlsplit(far.signin_link or "")
        cookie = _sign_in(far.signin_link) if far.signin_link else ""
        yield Rig(Target(cars, f"{parts.scheme}://{parts.netloc}" if far.signin_link else "", cookie))


def _sign_in(link: str) -> str:
    """Trade a one-time link for a cookie."""
    try:
        with httpx.Client(timeout=30.0) as client:
            answer = client.get(link)
            cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(f"the page does not answer ({error}); is the server running?") from None
    if not cookie:
        raise UserError(f"this sign-in link was used or is none (HTTP status {answer.status_code}); make another")
    return cookie


@contextlib.contextmanager
def scratch_server() -> Iterator[ServerSettings]:
    """A server of its own on a folder that goes with it, with default settings."""
    with tempfile.TemporaryDirectory(prefix="ved-loadtest-server-") as folder:
        data, log = Path(folder) / "data", Path(folder) / "log"
        environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("VED_")}
        command = [sys.executable, "-m", "ved.cli", "serve", "--data", str(data), "--web-port", "0", "--link-port", "0"]
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603  # this program, with options made here
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True
            )
        before = signal.signal(signal.SIGTERM, _interrupt)  # else the server would outlive this process
        try:
            until_s = time.monotonic() + START_S
            while not (data / "run" / "server.json").is_file():
                if process.poll() is not None or time.monotonic() > until_s:
                    lines = log.read_text(errors="replace").splitlines() or ["it said nothing"]
                    raise UserError(f"a server of its own could not be started: {lines[-1]}")
                time.sleep(0.1)
            yield load_settings(
                None, {"data": data, "db_url": f"sqlite:///{data / 'db.sqlite'}", "lake_url": str(data / "lake")}
            )
        finally:
            signal.signal(signal.SIGTERM, before)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
