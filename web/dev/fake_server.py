"""A server with made-up data that speaks docs/spec/live.md, to work on the page without a car.

`python web/dev/fake_server.py [PORT]` serves web/dist and the live protocol at http://127.0.0.1:PORT/ (8000), signed in
as everybody. Signals are sine waves; the address /dev/link/down stops the car, /dev/link/up starts it, /dev/drop closes
all connections, /dev/missed tells all pages that they missed something, /dev/signout answers 401 from then on.
"""

import asyncio
import json
import math
import mimetypes
import struct
import sys
import time
from http import HTTPStatus
from pathlib import Path

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

DIST = Path(__file__).resolve().parent.parent / "dist"
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; worker-src 'self'; connect-src 'self'"
STEP_US = 10_000
FLUSH_S = 1 / 30

Signal = tuple[str, str, str, str, float, float, float, str]
# message, signal, unit, kind, offset, amplitude, period in seconds, comment
SIGNALS: list[Signal] = [
    ("VCU_Status", "VehicleSpeed", "km/h", "continuous", 55, 45, 23, "Speed of the car, from the wheels"),
    ("VCU_Status", "State", "", "discrete", 2, 2.4, 40, "State of the vehicle control unit"),
    ("Inverter_Motion", "MotorSpeed", "rpm", "continuous", 2600, 2400, 23, "Mechanical speed of the motor"),
    ("Inverter_Motion", "Torque", "Nm", "continuous", 30, 95, 7, "Torque from the phase currents"),
    ("Inverter_Temps", "MotorTemp", "°C", "continuous", 62, 9, 90, "Winding"),
    ("Inverter_Temps", "InverterTemp", "°C", "continuous", 48, 5, 70, ""),
    ("BMS_Pack", "Voltage", "V", "continuous", 385, 14, 11, "Pack voltage at the terminals"),
    ("BMS_Pack", "Current", "A", "continuous", 40, 110, 7, "Positive while discharging"),
    ("BMS_Pack", "StateOfCharge", "%", "continuous", 71, 0.5, 300, ""),
    ("Pedals", "Throttle", "%", "continuous", 45, 50, 7, "Accelerator pedal, plausible value of both sensors"),
    ("Pedals", "BrakePressureFront", "bar", "continuous", 12, 14, 9, ""),
    ("GNSS_Position", "Latitude", "deg", "continuous", 0, 0, 0, ""),
    ("GNSS_Position", "Longitude", "deg", "continuous", 0, 0, 0, ""),
    ("GNSS_Position", "Valid", "", "discrete", 1, 0, 0, "1: the position can be trusted"),
    (
        "Hostile",
        '<img src=x onerror="alert(1)">',
        "<b>V</b>",
        "continuous",
        3,
        1,
        5,
        '"quotes" & <script>alert(2)</script>',
    ),
    ("Hostile", "\u202egnorts" + "x" * 280, "V", "continuous", 3, 1, 5, "long and right to left"),
]
SIGNALS += [
    (f"BMS_Cells_{m:02d}", f"Cell{m * 10 + i:03d}_Voltage", "V", "continuous", 3.7, 0.05, 11 + i, f"Cell {m * 10 + i}")
    for m in range(48)
    for i in range(10)
]
STATES = [[0, "Off"], [1, "Precharge"], [2, "Ready"], [3, "Drive"], [4, "Fault"]]
NAMES = [f"{s[0]}.{s[1]}" for s in SIGNALS]
CHARTS = [
    ("Speed", "Vitesse", ["VCU_Status.VehicleSpeed", "Inverter_Motion.MotorSpeed"]),
    ("Driver", "Pilote", ["Pedals.Throttle", "Pedals.BrakePressureFront", "Inverter_Motion.Torque"]),
    ("Battery", "Batterie", ["BMS_Pack.Voltage", "BMS_Pack.Current", "BMS_Pack.StateOfCharge"]),
    ("Temperatures", "Températures", ["Inverter_Temps.MotorTemp", "Inverter_Temps.InverterTemp", "VCU_Status.State"]),
]


class Car:
    """Whether the made-up car sends, and until when it did."""

    is_up = True
    is_signed_in = True
    stopped_us = 0
    gaps: list[tuple[int, int]] = []


def now_us() -> int:
    return time.time_ns() // 1000


def edge_us() -> int:
    return (now_us() if Car.is_up else Car.stopped_us) // STEP_US * STEP_US


def value(index: int, us: int) -> float:
    message, signal, _unit, kind, offset, amplitude, period, _comment = SIGNALS[index]
    s = us / 1e6
    lap = s * 2 * math.pi / 62
    if signal == "Latitude":
        return 48.8960 + 0.0021 * math.sin(lap) + 0.0006 * math.sin(3 * lap)
    if signal == "Longitude":
        return 2.2230 + 0.0045 * math.cos(lap) + 0.0008 * math.cos(2 * lap)
    if signal == "Valid":
        return 0.0 if s % 62 < 2.5 else 1.0
    if message == "Inverter_Temps" and us % 500_000:
        return math.nan  # no sample: a slow message
    if period == 0:
        return offset
    wave = math.sin(s * 2 * math.pi / period) + 0.12 * math.sin(s * 9.1 * 2 * math.pi / period)
    spike = 60.0 if signal == "Torque" and us % 13_000_000 == 0 else 0.0
    out = offset + amplitude * wave + spike
    return float(round(max(0, min(4, out)))) if kind == "discrete" else out


def in_gap(us: int) -> bool:
    return any(a < us <= b for a, b in Car.gaps)


def column(index: int, from_us: int, to_us: int, base_us: int, bucket_us: int) -> bytes:
    step = STEP_US if to_us - from_us < 120e6 else bucket_us
    rows: list[list[float]] = []
    for us in range((from_us // step + 1) * step, to_us + 1, step):
        v = value(index, us)
        if in_gap(us) or (v != v and SIGNALS[index][0] == "Inverter_Temps"):
            continue
        if rows and rows[-1][0] // bucket_us == us // bucket_us:
            row = rows[-1]
            rows[-1] = [us, v, min(row[2], v), max(row[3], v)]
        else:
            rows.append([us, v, v, v])
    n = len(rows)
    pad = b"\0" * (n % 2 * 4)
    out = struct.pack("<HBBI", index, 1, 1, n) + struct.pack(f"<{n}I", *[int(r[0] - base_us) for r in rows]) + pad
    for k in (1, 2, 3):
        out += struct.pack(f"<{n}f", *[r[k] for r in rows]) + pad
    return out


def message(kind: int, watch: dict, from_us: int, to_us: int, is_last: bool) -> bytes:
    bucket_us = watch["bucket_us"]
    columns = [column(i, from_us, to_us, from_us, bucket_us) for i in watch["indexes"]]
    return struct.pack("<BBHHHqIIQ", 1, kind, watch["id"], len(columns), int(is_last), from_us, 1, 0, to_us) + b"".join(
        columns
    )


async def live(socket: ServerConnection) -> None:
    watches: dict[int, dict] = {}
    await send(
        socket, {"type": "welcome", "version": 1, "user": {"name": "dev", "role": "admin"}, "server_utc_us": now_us()}
    )
    pusher = asyncio.create_task(push(socket, watches))
    try:
        async for text in socket:
            request = json.loads(text)
            watches.pop(request["id"], None)
            if request["type"] == "watch":
                await watch(socket, watches, request)
    except ConnectionClosed:
        pass
    finally:
        pusher.cancel()


async def watch(socket: ServerConnection, watches: dict[int, dict], request: dict) -> None:
    indexes = [NAMES.index(name) for name in request["channels"] if name in NAMES]
    bucket_us = max(round(1e6 / request["rate_hz"]), int(request["window_s"] * 1e6 // 12000))
    edge = edge_us()
    entry = {
        "id": request["id"],
        "indexes": indexes,
        "bucket_us": bucket_us,
        "sent_us": edge,
        "vehicle": request["vehicle"],
    }
    channels = [
        {
            "index": i,
            "name": NAMES[i],
            "unit": SIGNALS[i][2],
            "kind": SIGNALS[i][3],
            "choices": choices(i),
            "minimum": None,
            "maximum": None,
        }
        for i in indexes
    ]
    unknown = [name for name in request["channels"] if name not in NAMES]
    keep = {key: request[key] for key in ("id", "vehicle", "rate_hz", "window_s")}
    await send(
        socket,
        {
            "type": "watching",
            **keep,
            "channels": channels,
            "unknown": unknown,
            "bucket_us": bucket_us,
            "epoch": "00" * 16,
            "edge_utc_us": edge,
        },
    )
    await socket.send(message(1, entry, edge - int(request["window_s"] * 1e6), edge, is_last=True))
    watches[request["id"]] = entry
    LAST_ID[0] = request["id"]


async def push(socket: ServerConnection, watches: dict[int, dict]) -> None:
    last_state = 0.0
    while True:
        await asyncio.sleep(FLUSH_S)
        edge = edge_us()
        for entry in list(watches.values()):
            if edge > entry["sent_us"] and entry["indexes"]:
                await socket.send(message(2, entry, entry["sent_us"], edge, is_last=False))
                entry["sent_us"] = edge
        if watches and time.monotonic() - last_state > 0.5:
            last_state = time.monotonic()
            await send(socket, state(next(iter(watches.values()))["vehicle"]))


def state(vehicle: str) -> dict:
    age = 20 if Car.is_up else (now_us() - Car.stopped_us) // 1000
    return {
        "type": "state", "vehicle": vehicle, "link": "up" if Car.is_up else "down", "age_ms": age, "epoch": "00" * 16,
        "edge_utc_us": edge_us(), "frames_per_s": 6043 if Car.is_up else 0, "rtt_ms": 48 if Car.is_up else None,
    }  # fmt: skip


async def send(socket: ServerConnection, value: dict) -> None:
    await socket.send(json.dumps(value))


def choices(index: int) -> list:
    return STATES if SIGNALS[index][1] == "State" else []


def vehicle(name: str) -> dict:
    if name == "pe":
        return {
            "name": "pe",
            "title_en": "Prototype",
            "title_fr": "Prototype",
            "channels": [],
            "map": None,
            "charts": [],
        }
    channels = [
        {
            "name": NAMES[i],
            "unit": s[2],
            "kind": s[3],
            "message": s[0],
            "signal": s[1],
            "bus": 0,
            "comment": s[7],
            "choices": choices(i),
            "minimum": None,
            "maximum": None,
        }
        for i, s in enumerate(SIGNALS)
    ]
    charts = [{"title_en": en, "title_fr": fr, "channels": names} for en, fr, names in CHARTS]
    where = {
        "latitude": "GNSS_Position.Latitude",
        "longitude": "GNSS_Position.Longitude",
        "valid": "GNSS_Position.Valid",
    }
    return {
        "name": name,
        "title_en": "Formula Student",
        "title_fr": "Formula Student",
        "channels": channels,
        "map": where,
        "charts": charts,
    }


def api(path: str) -> object:
    if path == "/api/me":
        return {"name": "dev", "role": "admin"}
    if path == "/api/vehicles":
        up = {"link": "up" if Car.is_up else "down", "age_ms": 20, "epoch": "00" * 16}
        return [
            {"name": "fs", "title_en": "Formula Student", "title_fr": "Formula Student", **up},
            {
                "name": "pe",
                "title_en": "Prototype",
                "title_fr": "Prototype",
                "link": "down",
                "age_ms": None,
                "epoch": None,
            },
        ]
    if path.startswith("/api/vehicles/"):
        return vehicle(path.rsplit("/", 1)[1])
    return None


def develop(path: str) -> None:
    if path == "/dev/link/down" and Car.is_up:
        Car.stopped_us = now_us()
        Car.is_up = False
    elif path == "/dev/link/up" and not Car.is_up:
        Car.is_up = True
        Car.gaps.append((Car.stopped_us, now_us()))
    elif path == "/dev/signout":
        Car.is_signed_in = False
    elif path == "/dev/missed":
        for socket in SOCKETS:
            broadcast(
                [socket],
                json.dumps(
                    {
                        "type": "missed",
                        "id": LAST_ID[0],
                        "messages": 37,
                        "from_utc_us": edge_us() - 4_000_000,
                        "to_utc_us": edge_us(),
                    }
                ),
            )
    elif path == "/dev/drop":
        for socket in SOCKETS:
            socket.transport.abort()


SOCKETS: set[ServerConnection] = set()
LAST_ID = [0]


def answer(status: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": CSP,
            "Cache-Control": "no-store",
        }
    )
    return Response(status.value, status.phrase, headers, body)


def process(socket: ServerConnection, request: Request) -> Response | None:
    path = request.path.split("?")[0]
    if path == "/api/live":
        return None if Car.is_signed_in else answer(HTTPStatus.FORBIDDEN, "text/plain", b"")
    if path.startswith("/dev/"):
        develop(path)
        return answer(HTTPStatus.OK, "text/plain", b"done")
    if path.startswith("/api/"):
        if not Car.is_signed_in:
            return answer(HTTPStatus.UNAUTHORIZED, "application/json", b'{"error":{"code":"signed_out","message":""}}')
        return answer(HTTPStatus.OK, "application/json", json.dumps(api(path)).encode())
    file = DIST / ("index.html" if path == "/" else path[1:])
    if not file.is_file():
        return answer(HTTPStatus.NOT_FOUND, "text/plain", b"")
    return answer(HTTPStatus.OK, mimetypes.guess_type(file.name)[0] or "application/octet-stream", file.read_bytes())


async def handle(socket: ServerConnection) -> None:
    SOCKETS.add(socket)
    try:
        await live(socket)
    finally:
        SOCKETS.discard(socket)


async def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    async with serve(handle, "127.0.0.1", port, process_request=process, compression=None, max_size=1 << 20) as server:
        print(f"http://127.0.0.1:{port}/")
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
