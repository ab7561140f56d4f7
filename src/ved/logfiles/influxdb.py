"""Reading an InfluxDB 1.x over HTTP (`/query`, InfluxQL): which measurements there are, and their points as samples."""

import base64
import hashlib
import http.client
import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import numpy as np

from ved.errors import UserError
from ved.model.frames import EPOCH_BYTES
from ved.model.samples import MAX_NAME_BYTES, SampleChannel, SampleColumns

_CHUNK_POINTS: Final = 10_000
_TIMEOUT_S: Final = 60.0
_KINDS: Final = {"float": "continuous", "integer": "discrete", "boolean": "discrete"}


@dataclass(frozen=True, slots=True)
class InfluxSamples:
    """The samples of a stretch of time; `t_us` counts from `start_utc_us`, rows are in the order of (time, channel)."""

    start_utc_us: int
    channels: tuple[SampleChannel, ...]
    samples: SampleColumns

    @property
    def epoch(self) -> bytes:
        """What this content is named (docs/spec/samples.md)."""
        table = [[one.name, one.unit, one.kind] for one in self.channels]
        whole = hashlib.sha256(self.start_utc_us.to_bytes(8, "little", signed=True) + json.dumps(table).encode())
        for column, kind in ((self.samples.t_us, "<i8"), (self.samples.channel, "<u2"), (self.samples.value, "<f8")):
            whole.update(hashlib.sha256(np.ascontiguousarray(column, kind).tobytes()).digest())
        return whole.digest()[:EPOCH_BYTES]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement: its numeric fields with their kinds, the tags that tell its series apart, and fields left out."""

    name: str
    fields: Mapping[str, str]
    tags: tuple[str, ...]
    left_out: tuple[str, ...]

    def channel(self, field: str, tags: Mapping[str, str]) -> SampleChannel:
        """The channel of a field of one series; UserError when its name is too long."""
        told = ",".join(f"{tag}={tags.get(tag, '')}" for tag in self.tags)
        name = (f"{self.name}[{told}].{field}" if told else f"{self.name}.{field}").replace("\0", "\ufffd")
        if len(name.encode()) > MAX_NAME_BYTES:
            raise UserError(f"{name[:60]}…: a channel's name has at most {MAX_NAME_BYTES} bytes")
        return SampleChannel(name, "", "continuous" if self.fields[field] == "continuous" else "discrete")


class InfluxDatabase:
    """One database of a server. Methods raise UserError when it does not answer, or answers an error."""

    def __init__(self, url: str, database: str | None) -> None:
        """`url`: http(s)://[USER:PASSWORD@]HOST[:PORT]; without a `database` the only one there is. UserError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # no port that is a number, no IPv6 address in brackets
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"{url}: give the address of an InfluxDB, like http://127.0.0.1:8086")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.url = f"{parts.scheme}://{host}" + (f":{port}" if port else "") + parts.path.rstrip("/")
        self._headers = {}
        if parts.username is not None:
            login = f"{parts.username}:{parts.password or ''}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        self.name = ""
        self.name = database or self._only_database()

    def measurements(self, wanted: Sequence[str]) -> list[Measurement]:
        """The measurements of these names (none: all), by name. UserError where one, or any at all, is missing."""
        fields: dict[str, dict[str, str]] = {}
        for series in self._series(f"SHOW FIELD KEYS ON {_name(self.name)}"):
            fields.setdefault(series["name"], {}).update(dict(series["values"]))
        for name in wanted:
            if name not in fields:
                raise UserError(f"measurement '{name}': there is none; known are {', '.join(sorted(fields)) or 'none'}")
        if not fields:
            raise UserError(f"{self.url}: database '{self.name}' has no measurements")
        return [self._measurement(name, fields[name]) for name in sorted(wanted or fields)]

    def next_us(self, measurements: Sequence[Measurement], from_us: int) -> int | None:
        """UTC in µs of the first point at or after `from_us`; None when there is none."""
        names = ", ".join(_name(one.name) for one in measurements)
        query = f"SELECT * FROM {names} WHERE time >= {from_us}u ORDER BY time LIMIT 1"  # noqa: S608  (_name quotes)
        found = self._series(query)
        return min((int(series["values"][0][0]) for series in found), default=None)

    def count(self, measurements: Sequence[Measurement], from_us: int, to_us: int) -> int:
        """How many samples there are with from_us <= UTC < to_us."""
        total = 0
        for one in measurements:
            if one.fields:
                names = ", ".join(f"COUNT({_name(field)})" for field in one.fields)
                for series in self._series(f"SELECT {names} {_within(one, from_us, to_us)}"):
                    total += sum(int(number) for number in series["values"][0][1:] if number is not None)
        return total

    def read(self, measurements: Sequence[Measurement], from_us: int, to_us: int) -> InfluxSamples:
        """All samples with from_us <= UTC < to_us. UserError where a channel's name would be too long."""
        parts: dict[SampleChannel, list[tuple[np.ndarray, np.ndarray]]] = {}
        for one in measurements:
            if not one.fields:
                continue
            names = ", ".join(_name(field) for field in one.fields)
            for series in self._series(f"SELECT {names} {_within(one, from_us, to_us)} GROUP BY *"):
                for channel, t_us, values in _columns(one, series):
                    parts.setdefault(channel, []).append((t_us - from_us, values))
        return _sorted(from_us, parts)

    def _measurement(self, name: str, fields: Mapping[str, str]) -> Measurement:
        values: dict[str, set[str]] = {}
        count = 0
        for series in self._series(f"SHOW SERIES ON {_name(self.name)} FROM {_name(name)}"):
            for (key,) in series["values"]:
                count += 1
                for tag, value in _tags(key):
                    values.setdefault(tag, set()).add(value)
        telling = tuple(sorted(tag for tag, found in values.items() if len(found) > 1))
        kinds = {field: _KINDS[kind] for field, kind in sorted(fields.items()) if kind in _KINDS}
        return Measurement(name, kinds, telling, tuple(sorted(fields.keys() - kinds.keys())))

    def _only_database(self) -> str:
        found = [name for series in self._series("SHOW DATABASES") for (name,) in series.get("values", [])]
        found = [name for name in found if name != "_internal"]
        if len(found) != 1:
            raise UserError(f"{self.url}: name the database with --db; there are {', '.join(found) or 'none'}")
        return str(found[0])

    def _series(self, query: str) -> Iterator[dict[str, Any]]:
        """The series of an answer, in pieces of at most _CHUNK_POINTS points."""
        asked = {"q": query, "epoch": "u", "chunked": "true", "chunk_size": _CHUNK_POINTS}
        if self.name:
            asked["db"] = self.name
        url = f"{self.url}/query?{urlencode(asked, quote_via=quote)}"
        request = urllib.request.Request(url, headers=self._headers)  # noqa: S310  (__init__ takes http and https)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                for line in _lines(answer):
                    yield from self._unpack(line)
        except urllib.error.HTTPError as error:
            raise UserError(f"{self.url}: {_said(error) or error.reason}") from None
        except http.client.IncompleteRead:
            raise UserError(f"{self.url}: the answer broke off; see that the database runs, then try again") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise UserError(f"{self.url}: no InfluxDB answers there ({reason})") from None

    def _unpack(self, line: bytes) -> Iterator[dict[str, Any]]:
        if not line.strip():
            return
        for result in json.loads(line).get("results", []):
            if "error" in result:
                raise UserError(f"{self.url}: {result['error']}")
            yield from result.get("series", [])


def _columns(
    measurement: Measurement, series: Mapping[str, Any]
) -> Iterator[tuple[SampleChannel, "np.ndarray", "np.ndarray"]]:
    """(channel, UTC in µs, values) of each field that a piece of a series has values of."""
    rows = series["values"]
    times = np.array([row[0] for row in rows], np.int64)
    for at, field in enumerate(series["columns"]):
        if field == "time":
            continue
        column = [row[at] for row in rows]
        is_there = np.array([value is not None for value in column], np.bool_)
        if is_there.any():
            values = np.array([value for value in column if value is not None], np.float64)
            yield measurement.channel(field, series.get("tags", {})), times[is_there], values


def _sorted(start_us: int, parts: Mapping[SampleChannel, Sequence[tuple["np.ndarray", "np.ndarray"]]]) -> InfluxSamples:
    channels = tuple(sorted(parts, key=lambda one: one.name))
    t_us = [np.concatenate([t for t, _ in parts[one]]) for one in channels]
    if not t_us:
        empty = SampleColumns(np.empty(0, np.int64), np.empty(0, np.uint16), np.empty(0))
        return InfluxSamples(start_us, (), empty)
    values = [np.concatenate([value for _, value in parts[one]]) for one in channels]
    numbers = np.repeat(np.arange(len(channels), dtype=np.uint16), [len(one) for one in t_us])
    times = np.concatenate(t_us)
    order = np.lexsort((numbers, times))
    return InfluxSamples(start_us, channels, SampleColumns(times[order], numbers[order], np.concatenate(values)[order]))


def _tags(key: str) -> Iterator[tuple[str, str]]:
    r"""The tags of a series key `measurement,tag=value,…`, in which `\` escapes commas, equal signs and spaces."""
    parts, part, escaped = [], "", False
    for letter in key:
        if escaped or letter not in ",\\":
            part += f"\\{letter}" if escaped and letter == "=" else letter
            escaped = False
        elif letter == "\\":
            escaped = True
        else:
            parts.append(part)
            part = ""
    for one in [*parts, part][1:]:
        tag, _, value = one.replace("\\=", "\0").partition("=")
        yield tag.replace("\0", "="), value.replace("\0", "=")


def _within(measurement: Measurement, from_us: int, to_us: int) -> str:
    return f"FROM {_name(measurement.name)} WHERE time >= {from_us}u AND time < {to_us}u"


def _name(text: str) -> str:
    """An identifier of InfluxQL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The lines of an answer. IncompleteRead where it ends too early, which its own iterator takes for the end."""
    yield from io.BufferedReader(answer)
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)


def _said(answer: urllib.error.HTTPError) -> str:
    """The error that an answer carries, or nothing."""
    try:
        return str(json.loads(answer.read())["error"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return ""
