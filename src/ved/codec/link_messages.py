"""Messages of the car's link: what they say (docs/spec/link.md); `codec/link.py` has their bytes."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ved.codec.header import MAX_RECORD_BYTES
from ved.model.records import Lane

SUBPROTOCOL: Final = "ved-link.1"
MAX_MESSAGE_BYTES: Final = MAX_RECORD_BYTES + 4
MAX_RUNS: Final = 4096
MAX_TEXT_BYTES: Final = 255
MAX_CA_BYTES: Final = 8192
SECRET_BYTES: Final = 16
KEY_BYTES: Final = 32
FIRST_OPTIONAL_TYPE: Final = 128
NO_TIME: Final = -(1 << 63)
"""`t_us` of a sender whose epoch does not run with the clock on the wall (a recording)."""

FEATURE_PREVIEWS: Final = 1
"""Bit of `features`: the car sends previews when the uplink is too slow, the server passes them on."""

FEATURE_WIRE: Final = 2
"""Bit of `features`: batches are coded against what went over the connection before (docs/spec/wire.md)."""

FEATURE_SAMPLES: Final = 4
"""Bit of `features`: the epoch holds samples; the same key may have an epoch of frames beside it."""

Runs = tuple[tuple[int, int], ...]


class MessageType(IntEnum):
    """First byte of every message."""

    HELLO = 1
    WELCOME = 2
    REFUSED = 3
    DATA = 4
    RECEIVED = 5
    STORED = 6
    PING = 7
    PONG = 8
    ASK = 9
    HELD = 10
    STORAGE = 11
    AUTHORITY = 16
    ENROL = 17
    ENROLLED = 18


class RefusalCode(IntEnum):
    """Why the server closes: a car does not come back at once after any of these but REPLACED."""

    KEY = 1
    VEHICLE = 2
    PROTOCOL = 3
    REVOKED = 4
    CODE = 5
    REPLACED = 6


class Space(IntEnum):
    """The number lines of an epoch that are acknowledged; previews are received and never stored."""

    SEQ = 1
    NOTE = 2
    PREVIEW = 3


KEPT_SPACES: Final = (Space.SEQ, Space.NOTE)
"""Of these the server keeps what it has, and the car what it lacks."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of a car: who it is and which epoch it is in. `next_*` are the first numbers not given out yet."""

    lane: Lane
    vehicle: str
    agent: str
    epoch: bytes
    next_seq: int
    next_note: int
    t_us: int = NO_TIME
    features: int = 0


@dataclass(frozen=True, slots=True)
class Welcome:
    """The server's answer to Hello; a Held for the Hello's epoch follows at once. `features`: those both know."""

    server: str
    utc_us: int
    is_storing: bool = True
    features: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The server's last message: it closes after it."""

    code: RefusalCode
    text: str


@dataclass(frozen=True, slots=True)
class Data:
    """One record, exactly as it stands in the car's journal."""

    record: bytes


@dataclass(frozen=True, slots=True)
class WireData:
    """One batch, coded against what went over the connection before (docs/spec/wire.md)."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """These numbers are in the server's hands (memory)."""

    epoch: bytes
    space: Space
    runs: Runs


@dataclass(frozen=True, slots=True)
class Stored:
    """These numbers are on the server's disk: the car may forget them."""

    epoch: bytes
    space: Space
    runs: Runs


@dataclass(frozen=True, slots=True)
class Ping:
    """Either side, at any time. `t_us` is the sender's time in its epoch, or NO_TIME."""

    token: int
    t_us: int = NO_TIME


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a Ping, with its token."""

    token: int


@dataclass(frozen=True, slots=True)
class Ask:
    """The car asks what the server holds of an epoch."""

    epoch: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """All that the server holds of an epoch now; what is not named here is not held (or did not fit: send it again)."""

    epoch: bytes
    sets: tuple[Received | Stored, ...]


@dataclass(frozen=True, slots=True)
class Storage:
    """Whether the server can store at the moment (its disk is full when not)."""

    is_storing: bool


@dataclass(frozen=True, slots=True)
class Authority:
    """First message on the enrolment path: the server's own certificate authority, DER."""

    ca_der: bytes


@dataclass(frozen=True, slots=True)
class Enrol:
    """The one-time secret."""

    secret: bytes


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The car's own key, told once."""

    vehicle: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of an optional type (128 and up) that this program does not know: to be ignored."""

    message_type: int


Message = (
    Hello
    | Welcome
    | Refused
    | Data
    | WireData
    | Received
    | Stored
    | Ping
    | Pong
    | Ask
    | Held
    | Storage
    | Authority
    | Enrol
    | Enrolled
    | Unknown
)
