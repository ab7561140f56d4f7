"""The HTTP side: line protocol to `/write` (InfluxDB 1.x) or `/api/v2/write`, and what its answers mean.

Sources: InfluxDB 1.x and 2.x API references (`/write`, `/query`, `/api/v2/write`), VictoriaMetrics' documentation of
its InfluxDB-compatible endpoints.
"""

import contextlib
import json
import re
import zlib
from dataclasses import dataclass
from typing import Final

import httpx

from ved.errors import UserError, VedError
from ved.influx.names import quoted
from ved.influx.settings import InfluxTarget, checked_url

_GZIP_LEVEL: Final = 1
_CONFLICT: Final = re.compile(
    r'input field \\?"(?P<field>.*?)\\?" on measurement \\?"(?P<measurement>.*?)\\?" is (?:type|invalid)'
)
_DROPPED: Final = re.compile(r"dropped=(\d+)")
_LATER: Final = (408, 429)
"""Of the answers 4xx those that may be another soon."""


class InfluxAwayError(VedError):
    """The database does not take anything now: try the same again later, after `pause_s` when it says so."""

    def __init__(self, why: str, pause_s: float = 0.0) -> None:
        super().__init__(why)
        self.pause_s = pause_s


class InfluxRefusedError(UserError):
    """The database does not run this statement for this user: tell the person, and go on without it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The database will never take (some of) these lines.

    `conflict`: (measurement, field) that has another type there. `dropped`: lines that it left out while it took all
    others, -1: it may have taken none.
    """

    why: str
    conflict: tuple[str, str] | None = None
    dropped: int = -1
    is_too_large: bool = False


class InfluxClient:
    """One database of one server. UserError when the address is none."""

    def __init__(self, target: InfluxTarget, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._target = target
        self.url = checked_url(target.url)
        headers = {"User-Agent": "ved", **({"Authorization": f"Token {target.token}"} if target.token else {})}
        auth = httpx.BasicAuth(target.user, target.password) if target.user else None
        self._http = httpx.AsyncClient(
            base_url=self.url, headers=headers, auth=auth, transport=transport, trust_env=False
        )

    @property
    def shown(self) -> str:
        """The database as people read it."""
        return f"{self.url} ({self._target.database})"

    async def write(self, body: bytes) -> Refusal | None:
        """Write whole lines; None when all were taken. InfluxAwayError: nothing is known of any of them."""
        target = self._target
        if target.api == "v1":
            path, query = "/write", {"db": target.database, "precision": "ns"}
        else:
            path, query = "/api/v2/write", {"org": target.org, "bucket": target.database, "precision": "ns"}
        packed = zlib.compress(body, _GZIP_LEVEL, wbits=31)
        answer = await self._post(path, query, packed)
        if answer.status_code == 404 and target.api == "v1" and "database not found" in _said(answer):
            with contextlib.suppress(InfluxRefusedError):  # an administrator makes it
                await self.query(f"CREATE DATABASE {quoted(target.database)}")
                answer = await self._post(path, query, packed)
        return _meaning(answer)

    async def query(self, text: str) -> None:
        """Run a statement of InfluxQL. InfluxAwayError: it was not done now; InfluxRefusedError: it never is."""
        params = {"db": self._target.database, "q": text}
        answer = await self._post("/query", params, b"", timeout_s=300.0)
        code, said = answer.status_code, _said(answer)
        if code >= 500 or code in _LATER:
            raise InfluxAwayError(f"answers {code}: {said}", _pause_s(answer))
        if code != 200 or said:
            raise InfluxRefusedError(
                f"{self.shown} refuses {text.split(maxsplit=1)[0]} ({code}): {said or answer.reason_phrase}; "
                f"look at what influx_user or influx_token may do there"
            )

    async def _post(self, path: str, query: dict[str, str], packed: bytes, timeout_s: float = 30.0) -> httpx.Response:
        headers = {"Content-Encoding": "gzip"} if packed else {}
        timeout = httpx.Timeout(timeout_s, connect=5.0)
        try:
            return await self._http.post(path, params=query, content=packed, headers=headers, timeout=timeout)
        except httpx.HTTPError as error:
            raise InfluxAwayError(f"does not answer ({str(error) or type(error).__name__})") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _meaning(answer: httpx.Response) -> Refusal | None:
    code, said = answer.status_code, _said(answer)
    if code in (200, 204):
        return None
    if code in (401, 403):
        raise InfluxAwayError(f"refuses user, password or token ({code}): {said}")
    if code == 404:
        raise InfluxAwayError(f"has no such database or path ({code}): {said}")
    if code == 413:
        return Refusal(said or "too large", is_too_large=True)
    if code in (400, 422):
        conflict = _CONFLICT.search(said)
        dropped = _DROPPED.search(said)
        is_partial = dropped is not None and said.startswith("partial write")
        return Refusal(
            said,
            None if conflict is None else (conflict["measurement"], conflict["field"]),
            max(1, int(dropped[1])) if dropped is not None and is_partial else -1,
        )
    raise InfluxAwayError(f"answers {code}: {said}", _pause_s(answer))


def _pause_s(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), 60.0) if text.isdigit() else 0.0


def _said(answer: httpx.Response) -> str:
    """What the answer tells of an error, on one line; nothing where it tells of none."""
    try:
        found = json.loads(answer.content)
    except ValueError:
        text = answer.text
    else:
        text = ""
        if isinstance(found, dict):
            results = [one.get("error") for one in found.get("results", []) if isinstance(one, dict)]
            text = str(found.get("error") or found.get("message") or next(filter(None, results), ""))
    return " ".join(text.split())[:300]
