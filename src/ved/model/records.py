"""What the streams carry: batches of frames, and the notes that go with them."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ved.model.alarm import Alarm
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.samples import SampleBatch

MAX_NUMBER: Final = 1 << 54
"""How far a number of a record goes: a seq, a note's number, a count, and a time in µs to either side of 0.

So each of them, and a sum of some, fits an i64 (NumPy, SQLite, a BIGINT), and any UTC a calendar: years 258 to 3682.
"""

ALL_BUSES: Final = 255
"""The bus of a loss that is of no single one, or of samples."""


class RecordKind(IntEnum):
    """Kind byte of a record; 32 and up belong to the stream `events`, samples to both."""

    BATCH = 1
    LOSS = 2
    CLOCK = 3
    DESCRIPTION = 4
    LINK = 5
    PREVIEW = 6
    SAMPLES = 7
    INCIDENT = 8
    SESSION = 32
    ALARM = 33
    LAP = 34


class LossPlace(IntEnum):
    """Where frames were lost."""

    KERNEL = 1
    SOURCE_QUEUE = 2
    CAR_DISK = 3
    CAR_CRASH = 4
    BUS_DOWN = 5
    WAY = 6


class ClockSource(IntEnum):
    """Where the UTC of a clock record came from; `model/clockmap.py` says which is trusted most."""

    SERVER = 1
    HOST = 2
    RECORDED = 3
    NTP = 4
    GPS = 5


class IncidentKind(IntEnum):
    """What ingest saw that a person must hear of."""

    KEY_SHARED = 1
    BYTES_DIFFER = 2


class Lane(IntEnum):
    """The link connection that a record came over."""

    LIVE = 1
    BACKFILL = 2


@dataclass(frozen=True, slots=True)
class Loss:
    """Frames that nobody will ever see: counted where possible, always inside a declared interval of time.

    `number` counts the notes of an epoch from 1 (0: written by the server, not deduplicated). `first_seq..last_seq`
    name frames that had a seq (0, 0 where they never got one). `count` is -1 where it is not known.
    """

    vehicle: str
    epoch: bytes
    number: int
    place: LossPlace
    bus: int
    count: int
    t_from_us: int
    t_to_us: int
    first_seq: int = 0
    last_seq: int = 0


@dataclass(frozen=True, slots=True)
class Clock:
    """One pair (monotonic `t_us` of the epoch, UTC in µs since 1970), with its source and estimated error."""

    vehicle: str
    epoch: bytes
    number: int
    t_us: int
    utc_us: int
    source: ClockSource
    error_us: int


@dataclass(frozen=True, slots=True)
class BusDescription:
    """A bus as the car knows it: index in the frames, name, and the DBC texts in force."""

    index: int
    name: str
    dbc_texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """What the car says of itself at the start of an epoch: its buses and the DBCs it was built with."""

    vehicle: str
    epoch: bytes
    number: int
    title: str
    buses: tuple[BusDescription, ...]


@dataclass(frozen=True, slots=True)
class LinkState:
    """Written by ingest when a car's connection comes or goes; `rtt_us` is -1 when unknown."""

    vehicle: str
    epoch: bytes
    is_up: bool
    lane: Lane
    peer: str
    rtt_us: int


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """The latest frame of each bus and id, sent when the uplink cannot carry all: shown, never stored.

    The same frames come again, with their seqs, in a batch. `number` counts the previews of an epoch from 1.
    """

    vehicle: str
    epoch: bytes
    number: int
    frames: FrameColumns


@dataclass(frozen=True, slots=True)
class Incident:
    """Written by ingest when something is wrong with a car's data or key; `text` is for a person, in English.

    The same incident of an epoch is told at most once a minute; the server's time is `utc_us`.
    """

    vehicle: str
    epoch: bytes
    incident: IncidentKind
    utc_us: int
    text: str


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """A session as watch sees it now; later events with the same `session_id` replace earlier ones."""

    vehicle: str
    epoch: bytes
    session_id: str
    utc_from_us: int
    utc_to_us: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class LapEvent:
    """A lap as watch sees it; a later event of the same session and number replaces an earlier one.

    `utc_to_us` 0: it was begun. `sectors_us`: time from each line to the next, -1 where one was not seen.
    """

    vehicle: str
    epoch: bytes
    session_id: str
    track_id: str
    lap: int
    utc_from_us: int
    utc_to_us: int
    length_m: float
    is_whole: bool
    sectors_us: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """When and how ingest took a record: its monotonic clock, its UTC, and the lane; written before the record."""

    mono_us: int
    utc_us: int
    lane: Lane


_Note = Loss | Clock | Description | LinkState | Preview | Incident | SessionEvent | Alarm | LapEvent
Record = FrameBatch | SampleBatch | _Note
