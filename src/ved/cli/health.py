"""`ved health`: is this server in order? For container engines and service managers, which ask again and again."""

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ved.cli.rolehealth import beat_file
from ved.cli.server import RunningServer, find_running
from ved.config.settings import ServerSettings
from ved.errors import VedError

STALE_S: Final = 10.0
ASK_S: Final = 3.0


def check_health(settings: ServerSettings) -> str:
    """One line about a server in order; VedError with all that is wrong of one that is not."""
    data = settings.data.resolve()
    running = find_running(data) if data.is_dir() else None
    if running is None:
        raise VedError(f"{settings.data}: no server runs on this data folder, or it is not ready yet")
    wrong = [trouble for role in running.roles if (trouble := _trouble_of(role, data, running))]
    if wrong:
        raise VedError("; ".join(wrong))
    return f"{', '.join(running.roles)}: in order"


def _trouble_of(role: str, data: Path, running: RunningServer) -> str:
    """What is wrong with one role; empty when nothing is."""
    try:
        silent_s = time.time() - beat_file(data, role).stat().st_mtime
    except OSError:
        return f"{role} has given no sign of life"
    if silent_s > STALE_S:
        return f"{role} has given no sign of life for {silent_s:.0f} s"
    try:
        if role == "web":
            return _ask_page(running.web_url)
        if role == "ingest":
            socket.create_connection(_host_of(running.link_url), ASK_S).close()
    except (OSError, http.client.HTTPException) as error:
        return f"{role} does not answer ({error})"
    return ""


def _ask_page(url: str) -> str:
    connection = http.client.HTTPConnection(*_host_of(url), timeout=ASK_S)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    try:
        is_good = answer.status == 200 and json.loads(body)["ok"] is True
    except (ValueError, KeyError, TypeError):
        is_good = False
    return "" if is_good else f"web answers with status {answer.status}"


def _host_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 0
