"""A person at a browser inside the services' network: `visitor.py AUTHORITY LINK|COOKIE`; what was seen, as JSON."""

import json
import ssl
import sys

import httpx
from websockets.sync.client import connect

ORIGIN = "https://localhost:8443"


def main() -> None:
    authority, link = sys.argv[1:]
    trusted = ssl.create_default_context(cafile=authority)
    seen: dict[str, object] = {}
    with httpx.Client(base_url=ORIGIN, verify=trusted, timeout=30) as client:
        if "token=" in link:
            seen["signed_out"] = client.get("/api/me").status_code
            answer = client.get("/signin", params={"token": link.partition("token=")[2]})
            seen["set_cookie"] = answer.headers["set-cookie"]
            cookie = answer.headers["set-cookie"].partition(";")[0]
        else:
            cookie = link
        client.cookies.clear()
        client.headers["cookie"] = seen["cookie"] = cookie
        seen["me"] = client.get("/api/me").json()
        page = client.get("/")
        seen["page"] = (page.status_code, page.headers["content-type"], page.headers.get("content-security-policy", ""))
        channels = [one["name"] for one in client.get("/api/vehicles/fs").json()["channels"]][:20]
        note = {"utc_us": 1_700_000_000_000_000, "text": "seen through Caddy"}
        seen["own"] = client.post("/api/vehicles/fs/notes", json=note, headers={"origin": ORIGIN}).status_code
        seen["foreign"] = [
            client.post("/api/vehicles/fs/notes", json=note, headers={"origin": other}).status_code
            for other in ("http://localhost:8443", "https://elsewhere.example", "null")
        ]
        seen["grafana"] = client.get("/grafana/", params={"token": "nobody-logs-this"}).status_code
    with httpx.Client() as plain:
        answer = plain.get("http://localhost:8080/a?b=c", headers={"host": "pit.example"})
        seen["redirect"] = (answer.status_code, answer.headers["location"])
    with connect(
        "wss://localhost:8443/api/live", ssl=trusted, origin=ORIGIN, additional_headers={"cookie": cookie}
    ) as live:  # fmt: skip
        watch = {"type": "watch", "id": 1, "vehicle": "fs", "channels": channels, "rate_hz": 20, "window_s": 60}
        live.send(json.dumps(watch))
        increments = 0
        while increments < 5:
            increments += isinstance(live.recv(timeout=60), bytes)
        seen["increments"] = increments
    print(json.dumps(seen))


main()
