"""Signs in by a one-time link and waits until the live socket has brought frames of the car `fs`."""

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import connect

LIMIT_S = 120


async def main(link: str) -> None:
    """Sign in, watch four channels, and return after twenty increments."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(link))
    async with httpx.AsyncClient(timeout=LIMIT_S) as client:
        assert (await client.get(link)).is_redirect
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        page = await client.get(origin + "/")
        vehicle = (await client.get(origin + "/api/vehicles/fs")).json()
    assert "<div id=" in page.text, "the page is not built"
    channels = [channel for chart in vehicle["charts"] for channel in chart["channels"]][:4]
    until = time.monotonic() + LIMIT_S
    samples = 0
    async with connect(
        origin.replace("http", "ws") + "/api/live", additional_headers={"Cookie": cookie}, origin=origin, max_size=None
    ) as socket:
        watch = {"type": "watch", "id": 1, "vehicle": "fs", "channels": channels, "rate_hz": 20, "window_s": 10}
        await socket.send(json.dumps(watch))
        while samples < 20:
            assert time.monotonic() < until, "no live data within a minute"
            message = await asyncio.wait_for(socket.recv(), LIMIT_S)
            if isinstance(message, bytes) and message[1] == 2:
                samples += 1
    print(f"live: {samples} increments of {', '.join(channels)}")


asyncio.run(main(sys.argv[1]))
