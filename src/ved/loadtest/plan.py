"""What a load test does, and what it found: plain values that travel between its processes and into reports."""

from dataclasses import dataclass, field, replace
from typing import Final

from ved.errors import UserError
from ved.link.credentials import Credentials
from ved.loadtest.profiles import PROFILES

MAX_SECONDS: Final = 600
MAX_CARS: Final = 256
MAX_VIEWERS: Final = 5000
MAX_FRAMES_PER_S: Final = 24_000
"""What three buses of 1 Mbit/s carry at most."""
MAX_SIGNALS: Final = 200
MAX_RATE_HZ: Final = 100

WARM_UP_S: Final = 3.0
"""Driven before anything is measured: compiled code, first commits, layouts that the link learns."""
P99_MS: Final = 200.0
LAKE_S: Final = 15.0
"""Record commits every few seconds: a server that keeps up has all in the lake so long after the last frame."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many cars and viewers, each doing the same; measured for `seconds` after the warm-up."""

    cars: int = 2
    frames_per_s: int = 6000
    link: str = "none"
    viewers: int = 10
    signals: int = 20
    rate_hz: float = 100.0
    seconds: float = 20.0
    seed: int = 1

    def check(self) -> None:
        """UserError for what is out of bounds, naming the option."""
        bounds: tuple[tuple[str, float, float, float], ...] = (
            ("--cars", self.cars, 1, MAX_CARS),
            ("--frames", self.frames_per_s, 10, MAX_FRAMES_PER_S),
            ("--viewers", self.viewers, 0, MAX_VIEWERS),
            ("--signals", self.signals, 1, MAX_SIGNALS),
            ("--rate", self.rate_hz, 1, MAX_RATE_HZ),
            ("--seconds", self.seconds, 1, MAX_SECONDS),
            ("--seed", self.seed, 0, 2**31),
        )
        for option, value, least, most in bounds:
            if not least <= value <= most:
                raise UserError(f"{option} {value:g}: give a number from {least:g} to {most:g}")
        if self.link not in PROFILES:
            raise UserError(f"--link {self.link}: link profiles are {', '.join(PROFILES)}")

    def with_number(self, of: str, number: int) -> "Load":
        """The same with another number of `cars` or `viewers`."""
        return replace(self, cars=number) if of == "cars" else replace(self, viewers=number)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes: a key for each car; the page with a signed-in cookie; and what is seen of the server.

    `server_pid` is the server's process on this machine, `lake_url` its lake; None where they are out of reach.
    """

    cars: tuple[Credentials, ...]
    web_url: str
    cookie: str
    server_pid: int | None = None
    lake_url: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """UTC in µs: the drive begins, is measured from `from_us` to `to_us`, and ends at `to_us`."""

    begin_us: int
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class CarsReport:
    """All cars together. `stored`: frames that the server says are on its disk; `sent`: those that went out, however
    often; `stored_in_span` came to be stored while it was measured. `late_ms` is how late the generator's own timers
    were (99th percentile).
    """

    sent: int
    stored: int
    stored_in_span: int
    resent: int
    reconnects: int
    sent_bytes: int
    refusal: str
    late_ms: float


@dataclass(frozen=True, slots=True)
class ViewersReport:
    """All viewers together. `delays` of samples captured within the span, by bin of a Histogram.

    `missed` messages were dropped by the server, which said so; `behind` viewers never got the span's end.
    """

    delays: dict[int, int]
    messages: int
    received_bytes: int
    missed: int
    behind: int
    closed: int
    late_ms: float


NO_VIEWERS: Final = ViewersReport({}, 0, 0, 0, 0, 0, 0.0)


@dataclass(frozen=True, slots=True)
class Usage:
    """One process, while it was measured: share of one core, and the most resident memory seen."""

    name: str
    core: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class LakeCount:
    """Rows that the lake had of the drive when all that was stored was there or waiting ended, counted in its files.

    `missing` were said to be stored and are not there; `duplicates` are rows whose seq is there twice; `after_s` is how
    long after the last frame that was.
    """

    rows: int
    missing: int
    duplicates: int
    after_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run found. Percentiles are None where nothing came; `lake` where it is out of reach."""

    load: Load
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    frames_per_s: float
    bytes_per_frame: float
    captured: int
    lost: int
    resent: int
    reconnects: int
    messages_per_s: float
    missed: int
    behind: int
    lake: LakeCount | None
    roles: tuple[Usage, ...]
    generator: tuple[Usage, ...]
    others_core: float
    shares: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    @property
    def broken_promises(self) -> tuple[str, ...]:
        """Which promises this run broke; empty: it held them all."""
        out = []
        if self.load.viewers and (self.p99_ms is None or self.p99_ms > P99_MS):
            seen = "nothing came" if self.p99_ms is None else f"{self.p99_ms:.0f} ms"
            out.append(f"99 % of the samples within {P99_MS:.0f} ms ({seen})")
        if self.lost:
            out.append(f"every frame stored ({self.lost:,} were not)")
        if self.missed or self.behind:
            out.append(f"no viewer misses anything ({self.missed:,} messages missed, {self.behind} viewers behind)")
        if self.lake is not None and (self.lake.missing or self.lake.duplicates):
            out.append(f"each frame in the lake once ({self.lake.missing:,} missing, {self.lake.duplicates:,} twice)")
        elif self.lake is not None and self.lake.after_s > LAKE_S:
            out.append(f"all in the lake within {LAKE_S:.0f} s ({self.lake.after_s:.0f} s)")
        return tuple(out)
