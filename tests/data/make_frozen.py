"""Makes a frozen data folder: what a server and a car of the version in force leave on their disks.

    git worktree add /tmp/old TAG
    PYTHONPATH=/tmp/old/src python tests/data/make_frozen.py tests/data/frozen-VERSION

It writes `data.tar.gz` (folders `server` and `car`) and `manifest.json` (what must be found in them). The frames of
the manifest are hashed as they are made here, not as anything read them back. A version's folder is made once, from
that version, and never again: `tests/integration/test_frozen_data.py` shows that later ones read it.
"""

import asyncio
import hashlib
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import numpy as np
from argon2 import PasswordHasher

from ved.agent.agent import AgentReport, AgentSettings, run_agent
from ved.db.alarmrules import put_rule
from ved.db.alarms import list_alarms
from ved.db.database import Database
from ved.db.dbcs import assignments
from ved.db.keys import create_enrol_code
from ved.db.people import create_signin_token, redeem_signin_token, rename_user, set_password, sign_in
from ved.db.sessions import list_sessions
from ved.db.time_notes import add_time_note
from ved.db.vehicles import ensure_vehicle
from ved.ingest.role import run_ingest
from ved.ingest.settings import IngestSettings
from ved.lake.lake import Lake
from ved.link.certificates import ensure_server_certificates
from ved.link.credentials import make_code
from ved.link.enrol import enrol
from ved.model.alarmrule import Rule
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.records import BusDescription, ClockSource, Description
from ved.model.vehicle import Vehicle, VehicleBus
from ved.record.role import run_record
from ved.record.settings import RecordSettings
from ved.watch.role import run_watch
from ved.watch.settings import WatchSettings

VEHICLE: Final = "frozen"
PASSWORD: Final = "a frozen password"
START_UTC_US: Final = 1_780_308_000_000_000
DBC: Final = """VERSION ""
BU_: X
BO_ 256 Motor: 8 X
 SG_ Speed : 0|16@1- (1,0) [0|0] "rpm" X
"""
SENT: Final = 400
KEPT: Final = 150


def make_frames(first: int, count: int) -> FrameColumns:
    """Frames `first`... at 100 Hz, of every sort: 11 and 29 bits, short, remote, error, CAN FD."""
    number = np.arange(first, first + count)
    flags = np.select(
        [number % 50 == 7, number % 50 == 9, number % 10 == 3, number % 10 == 5],
        [int(FrameFlag.REMOTE), int(FrameFlag.ERROR), int(FrameFlag.EXTENDED), int(FrameFlag.FD)],
        0,
    ).astype(np.uint8)
    length = np.select([flags == FrameFlag.FD, flags == FrameFlag.EXTENDED], [24, 3], 8).astype(np.uint8)
    ids = np.where(flags == FrameFlag.EXTENDED, 0x18DA0000 + number % 7, np.where(number % 4, 256 + number % 4, 256))
    ids = np.where(flags == FrameFlag.ERROR, 0, ids).astype(np.uint32)
    payload = np.zeros((count, 64), np.uint8)
    payload[:, :2] = (number % 300).astype("<i2").view(np.uint8).reshape(-1, 2)
    payload[:, 2:24] = (number[:, None] * np.arange(3, 25)) % 251
    payload[np.arange(64)[None, :] >= length[:, None]] = 0
    payload[flags == FrameFlag.REMOTE] = 0
    return FrameColumns(number * 10_000, (number % 2).astype(np.uint8), ids, flags, length, payload)


def digest(frames: FrameColumns) -> str:
    """SHA-256 over the frames, each as t_us i64, id u32, bus u8, flags u8, length u8, payload 64 bytes."""
    rows = np.zeros(
        len(frames),
        [("t", "<i8"), ("id", "<u4"), ("bus", "u1"), ("flags", "u1"), ("length", "u1"), ("payload", "u1", 64)],
    )
    rows["t"], rows["id"], rows["bus"] = frames.t_us, frames.arbitration_id, frames.bus
    rows["flags"], rows["length"] = frames.flags, frames.length
    rows["payload"][:, : frames.payload.shape[1]] = frames.payload
    return hashlib.sha256(rows.tobytes()).hexdigest()


class Source:
    """Plays the frames in chunks of 50; a live one goes on without frames after that."""

    def __init__(self, frames: FrameColumns, *, is_realtime: bool) -> None:
        self.is_realtime = is_realtime
        self._frames = frames
        self.sent = 0

    def open(self, origin_mono_ns: int) -> None:
        pass

    def read(self, timeout_s: float) -> FrameColumns | None:
        if self.sent == len(self._frames):
            time.sleep(timeout_s)
            return FrameColumns.empty() if self.is_realtime else None
        chunk = self._frames.take(slice(self.sent, self.sent + 50))
        self.sent += len(chunk)
        return chunk

    def clock(self, now_mono_ns: int) -> ClockPair | None:
        return ClockPair(0, START_UTC_US, ClockSource.RECORDED)

    def close(self) -> None:
        pass


async def until(holds: Callable[[], object], what: str) -> None:
    for _ in range(600):
        if holds():
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(what)


async def with_server(data: Path, db_url: str, work: Callable[[str], Awaitable[None]]) -> None:
    """The roles in this process, for as long as `work` takes; it is given the link's address."""
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    ingest = IngestSettings(data, db_url, "127.0.0.1", 0, (), 1 << 30, 10**15)
    roles = [
        asyncio.create_task(run_ingest(ingest, lambda said: port.set_result(said["port"]), stop)),
        asyncio.create_task(
            run_record(RecordSettings(data, db_url, str(data / "lake"), commit_s=0.2), lambda _: None, stop)
        ),
        asyncio.create_task(run_watch(WatchSettings(data, db_url), lambda _: None, stop)),
    ]
    await work(f"wss://127.0.0.1:{await port}")
    stop.set()
    await asyncio.gather(*roles)


def description() -> Description:
    buses = (BusDescription(0, "main", (DBC,)), BusDescription(1, "other", ()))
    return Description(VEHICLE, bytes(16), 0, "Frozen", buses)


async def make(folder: Path) -> dict[str, object]:
    data, state = folder / "server", folder / "car"
    data.mkdir()
    db_url = f"sqlite:///{data / 'db.sqlite'}"
    db = Database(db_url)
    db.migrate()
    buses = (VehicleBus(0, "main", 500_000, "can0", ("t.dbc",), (DBC,)), VehicleBus(1, "other", 500_000, "", (), ()))
    ensure_vehicle(db, Vehicle(VEHICLE, "Frozen", "Gelé", buses))
    put_rule(db, VEHICLE, Rule("fast", "above", "Fast", "Vite", "warning", "Motor.Speed", limit=200.0), "maker")
    user = redeem_signin_token(db, create_signin_token(db))
    assert user is not None
    rename_user(db, user, "Ada")
    set_password(db, user, PasswordHasher().hash(PASSWORD))
    cookie = sign_in(db, user.id, 20 * 365 * 86_400)
    sent, kept = make_frames(1, SENT), make_frames(1000, KEPT)
    reports: list[AgentReport] = []

    async def drive(url: str) -> None:
        ca_der = ensure_server_certificates(data / "keys", ()).ca_der
        await enrol(url, make_code(create_enrol_code(db, VEHICLE, 60), ca_der), state)
        source = Source(sent, is_realtime=False)
        reports.append(await run_agent(AgentSettings(state, VEHICLE), source, description(), asyncio.Event()))
        lake = Lake(str(data / "lake"))
        await until(lambda: lake.refresh() and lake.stats().frames == SENT, "all in the lake")
        await until(lambda: list_sessions(db, VEHICLE), "a session")
        await until(lambda: list_alarms(db, VEHICLE, (0, 1 << 60)), "an alarm")

    await with_server(data, db_url, drive)
    (session, *_), (alarm, *_) = list_sessions(db, VEHICLE), list_alarms(db, VEHICLE, (0, 1 << 60))
    add_time_note(db, VEHICLE, START_UTC_US, "frozen here", (user.id, "Ada"))

    stop, source = asyncio.Event(), Source(kept, is_realtime=True)
    alone = asyncio.create_task(run_agent(AgentSettings(state, VEHICLE), source, description(), stop))
    await until(lambda: source.sent == KEPT, "the car alone has read its frames")
    await asyncio.sleep(1.0)
    stop.set()
    reports.append(await alone)
    (dbc,) = [file.digest for one in assignments(db, VEHICLE) for file in one.files]
    db.close()
    return {
        "vehicle": VEHICLE,
        "person": "Ada",
        "password": PASSWORD,
        "cookie_key": cookie,
        "session": session.id,
        "alarm": alarm.id,
        "dbc": dbc,
        "stored": {"epoch": reports[0].epoch.hex(), "frames": SENT, "sha256": digest(sent)},
        "on_the_car": {"epoch": reports[1].epoch.hex(), "frames": KEPT, "sha256": digest(kept)},
    }


def main(out: Path) -> None:
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        manifest = asyncio.run(make(Path(folder)))
        with tarfile.open(out / "data.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
            for name in ("server", "car"):
                archive.add(Path(folder) / name, name, filter=_plain)
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Nobody's, and without sockets."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member if member.isfile() or member.isdir() else None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
