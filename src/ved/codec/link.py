"""Messages of the car's link <-> bytes (docs/spec/link.md). One message is one binary WebSocket message."""

import struct
from collections.abc import Callable, Iterable
from typing import Final

from ved.codec.header import MAX_RECORD_BYTES
from ved.codec.link_messages import (
    FEATURE_PREVIEWS,
    FEATURE_SAMPLES,
    FEATURE_WIRE,
    FIRST_OPTIONAL_TYPE,
    KEPT_SPACES,
    KEY_BYTES,
    MAX_CA_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_RUNS,
    MAX_TEXT_BYTES,
    NO_TIME,
    SECRET_BYTES,
    SUBPROTOCOL,
    Ask,
    Authority,
    Data,
    Enrol,
    Enrolled,
    Held,
    Hello,
    Message,
    MessageType,
    Ping,
    Pong,
    Received,
    RefusalCode,
    Refused,
    Runs,
    Space,
    Storage,
    Stored,
    Unknown,
    Welcome,
    WireData,
)
from ved.errors import CorruptDataError
from ved.model.frames import EPOCH_BYTES
from ved.model.records import MAX_NUMBER, Lane

__all__ = [
    "FEATURE_PREVIEWS",
    "FEATURE_SAMPLES",
    "FEATURE_WIRE",
    "FIRST_OPTIONAL_TYPE",
    "KEPT_SPACES",
    "KEY_BYTES",
    "MAX_CA_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_RUNS",
    "MAX_TEXT_BYTES",
    "NO_TIME",
    "SECRET_BYTES",
    "SUBPROTOCOL",
    "Ask",
    "Authority",
    "Data",
    "Enrol",
    "Enrolled",
    "Held",
    "Hello",
    "Message",
    "MessageType",
    "Ping",
    "Pong",
    "Received",
    "RefusalCode",
    "Refused",
    "Runs",
    "Space",
    "Storage",
    "Stored",
    "Unknown",
    "Welcome",
    "WireData",
    "decode_message",
    "encode_message",
    "split_runs",
]

_HELLO: Final = struct.Struct("<BBBBI16sQQq")
_WELCOME: Final = struct.Struct("<BBBBIq")
_REFUSED: Final = struct.Struct("<BBH")
_DATA: Final = struct.Struct("<BBH")
_SET: Final = struct.Struct("<BBHI16s")
_PING: Final = struct.Struct("<BBHIq")
_PONG: Final = struct.Struct("<BBHI")
_ASK: Final = struct.Struct("<BBHI16s")
_HELD: Final = struct.Struct("<BBHI16s")
_STORAGE: Final = struct.Struct("<BBH")
_AUTHORITY: Final = struct.Struct("<BBH")
_ENROL: Final = struct.Struct("<BBH16s")
_ENROLLED: Final = struct.Struct("<BBH32s")
_RUN_BYTES: Final = 16
_AS_RECORD: Final = 0
_ON_WIRE: Final = 1


def encode_message(message: Message) -> bytes:
    """The bytes of one message; ValueError when a field is out of its range."""
    try:
        return _encode(message)
    except struct.error as error:
        raise ValueError(f"{type(message).__name__} out of range: {error}") from error


def _encode(message: Message) -> bytes:
    if isinstance(message, Data):
        if len(message.record) > MAX_RECORD_BYTES:
            raise ValueError(f"record of {len(message.record)} bytes; at most {MAX_RECORD_BYTES}")
        return _DATA.pack(MessageType.DATA, _AS_RECORD, 0) + message.record
    if isinstance(message, WireData):
        return _DATA.pack(MessageType.DATA, _ON_WIRE, 0) + message.body
    if isinstance(message, Received | Stored):
        return _encode_set(message)
    if isinstance(message, Ping):
        return _PING.pack(MessageType.PING, 0, 0, message.token, _time(message.t_us))
    if isinstance(message, Pong):
        return _PONG.pack(MessageType.PONG, 0, 0, message.token)
    if isinstance(message, Ask):
        return _ASK.pack(MessageType.ASK, 0, 0, 0, _sized(message.epoch, EPOCH_BYTES))
    if isinstance(message, Held):
        head = _HELD.pack(MessageType.HELD, len(message.sets), 0, 0, _sized(message.epoch, EPOCH_BYTES))
        return head + b"".join(_encode_set(one) for one in message.sets)
    if isinstance(message, Storage):
        return _STORAGE.pack(MessageType.STORAGE, message.is_storing, 0)
    return _encode_opening(message)


def _encode_opening(message: Message) -> bytes:
    """The messages of the start and the end of a connection."""
    if isinstance(message, Hello):
        vehicle, agent = _text(message.vehicle), _text(message.agent)
        head = _HELLO.pack(
            MessageType.HELLO,
            message.lane,
            len(vehicle),
            len(agent),
            message.features,
            _sized(message.epoch, EPOCH_BYTES),
            message.next_seq,
            message.next_note,
            _time(message.t_us),
        )
        return head + vehicle + agent
    if isinstance(message, Welcome):
        server = _text(message.server)
        head = _WELCOME.pack(MessageType.WELCOME, message.is_storing, len(server), 0, message.features, message.utc_us)
        return head + server
    if isinstance(message, Refused):
        text = _text(message.text)
        return _REFUSED.pack(MessageType.REFUSED, message.code, len(text)) + text
    if isinstance(message, Authority):
        if not 0 < len(message.ca_der) <= MAX_CA_BYTES:
            raise ValueError(f"certificate of {len(message.ca_der)} bytes; at most {MAX_CA_BYTES}")
        return _AUTHORITY.pack(MessageType.AUTHORITY, 0, len(message.ca_der)) + message.ca_der
    if isinstance(message, Enrol):
        return _ENROL.pack(MessageType.ENROL, 0, 0, _sized(message.secret, SECRET_BYTES))
    if isinstance(message, Enrolled):
        vehicle = _text(message.vehicle)
        return _ENROLLED.pack(MessageType.ENROLLED, len(vehicle), 0, _sized(message.key, KEY_BYTES)) + vehicle
    raise ValueError(f"{type(message).__name__} is not sent")


def _encode_set(one: Received | Stored) -> bytes:
    if not 0 < len(one.runs) <= MAX_RUNS:
        raise ValueError(f"{len(one.runs)} runs in one message; 1 to {MAX_RUNS}")
    kind = MessageType.RECEIVED if isinstance(one, Received) else MessageType.STORED
    flat = [number for run in one.runs for number in run]
    head = _SET.pack(kind, one.space, len(one.runs), 0, _sized(one.epoch, EPOCH_BYTES))
    return head + struct.pack(f"<{len(flat)}Q", *flat)


def _sized(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes where {size} belong")
    return data


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > MAX_TEXT_BYTES:
        raise ValueError(f"text of {len(data)} bytes; at most {MAX_TEXT_BYTES}")
    return data


def split_runs(runs: Iterable[tuple[int, int]]) -> list[Runs]:
    """Runs in portions that fit one message each."""
    everything = tuple(runs)
    return [everything[at : at + MAX_RUNS] for at in range(0, len(everything), MAX_RUNS)]


def decode_message(data: bytes) -> Message:
    """The message in `data`. CorruptDataError when the bytes are wrong; an unknown type from 128 up is Unknown."""
    if not data:
        raise CorruptDataError("empty link message")
    if len(data) > MAX_MESSAGE_BYTES:
        raise CorruptDataError(f"link message of {len(data)} bytes is longer than {MAX_MESSAGE_BYTES}")
    decoder = _DECODERS.get(data[0])
    if decoder is None:
        if data[0] >= FIRST_OPTIONAL_TYPE:
            return Unknown(data[0])
        raise CorruptDataError(f"link message type {data[0]} is not known")
    try:
        return decoder(data)
    except struct.error as error:
        raise CorruptDataError(f"{MessageType(data[0]).name} message is too short") from error
    except ValueError as error:
        raise CorruptDataError(f"{MessageType(data[0]).name} message: {error}") from error


def _take_text(data: bytes, at: int, size: int) -> str:
    if at + size > len(data):
        raise ValueError("text ends past the message")
    return data[at : at + size].decode()


def _exact(data: bytes, size: int) -> None:
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes where {size} belong")


def _zero(*reserved: int) -> None:
    if any(reserved):
        raise ValueError("reserved bytes are not zero")


def _flag(value: int) -> bool:
    if value > 1:
        raise ValueError(f"{value} is neither yes nor no")
    return value == 1


def _time(t_us: int) -> int:
    if t_us != NO_TIME and abs(t_us) > MAX_NUMBER:
        raise ValueError(f"time {t_us} is not within ±{MAX_NUMBER}")
    return t_us


def _decode_hello(data: bytes) -> Hello:
    _, lane, vehicle_bytes, agent_bytes, features, epoch, next_seq, next_note, t_us = _HELLO.unpack_from(data)
    vehicle = _take_text(data, _HELLO.size, vehicle_bytes)
    agent = _take_text(data, _HELLO.size + vehicle_bytes, agent_bytes)
    return Hello(Lane(lane), vehicle, agent, epoch, next_seq, next_note, _time(t_us), features)


def _decode_welcome(data: bytes) -> Welcome:
    _, is_storing, server_bytes, reserved, features, utc_us = _WELCOME.unpack_from(data)
    _zero(reserved)
    return Welcome(_take_text(data, _WELCOME.size, server_bytes), utc_us, _flag(is_storing), features)


def _decode_refused(data: bytes) -> Refused:
    _, code, text_bytes = _REFUSED.unpack_from(data)
    if text_bytes > MAX_TEXT_BYTES:
        raise ValueError(f"text of {text_bytes} bytes")
    _exact(data, _REFUSED.size + text_bytes)
    return Refused(RefusalCode(code), _take_text(data, _REFUSED.size, text_bytes))


def _decode_data(data: bytes) -> Data | WireData:
    _, encoding, reserved = _DATA.unpack_from(data)
    _zero(reserved)
    if encoding > _ON_WIRE:
        raise ValueError(f"encoding {encoding} is not known")
    return WireData(data[_DATA.size :]) if encoding == _ON_WIRE else Data(data[_DATA.size :])


def _decode_set(data: bytes) -> Received | Stored:
    one, size = _decode_set_at(data, 0)
    _exact(data, size)
    return one


def _decode_set_at(data: bytes, at: int) -> tuple[Received | Stored, int]:
    """One set of runs that begins at `at`, and where it ends."""
    kind, space, run_count, reserved, epoch = _SET.unpack_from(data, at)
    _zero(reserved)
    if kind not in (MessageType.RECEIVED, MessageType.STORED):
        raise ValueError(f"type {kind} where RECEIVED or STORED belongs")
    if kind == MessageType.STORED and space == Space.PREVIEW:
        raise ValueError("previews are never stored")
    if not 0 < run_count <= MAX_RUNS:
        raise ValueError(f"{run_count} runs; 1 to {MAX_RUNS}")
    flat = struct.unpack_from(f"<{2 * run_count}Q", data, at + _SET.size)
    runs = tuple(zip(flat[::2], flat[1::2], strict=True))
    before = 0
    for first, last in runs:
        if not before < first <= last:
            raise ValueError("runs are not in order")
        before = last
    made = Received if kind == MessageType.RECEIVED else Stored
    return made(epoch, Space(space), runs), at + _SET.size + _RUN_BYTES * run_count


def _decode_ping(data: bytes) -> Ping:
    _exact(data, _PING.size)
    _, reserved, reserved_too, token, t_us = _PING.unpack(data)
    _zero(reserved, reserved_too)
    return Ping(token, _time(t_us))


def _decode_pong(data: bytes) -> Pong:
    _exact(data, _PONG.size)
    _, reserved, reserved_too, token = _PONG.unpack(data)
    _zero(reserved, reserved_too)
    return Pong(token)


def _decode_ask(data: bytes) -> Ask:
    _exact(data, _ASK.size)
    _, reserved, reserved_too, reserved_three, epoch = _ASK.unpack(data)
    _zero(reserved, reserved_too, reserved_three)
    return Ask(epoch)


def _decode_held(data: bytes) -> Held:
    _, set_count, reserved, reserved_too, epoch = _HELD.unpack_from(data)
    _zero(reserved, reserved_too)
    at, sets = _HELD.size, []
    for _ in range(set_count):
        one, at = _decode_set_at(data, at)
        if one.epoch != epoch:
            raise ValueError("set of another epoch")
        sets.append(one)
    _exact(data, at)
    return Held(epoch, tuple(sets))


def _decode_storage(data: bytes) -> Storage:
    _exact(data, _STORAGE.size)
    _, is_storing, reserved = _STORAGE.unpack(data)
    _zero(reserved)
    return Storage(_flag(is_storing))


def _decode_authority(data: bytes) -> Authority:
    _, reserved, der_bytes = _AUTHORITY.unpack_from(data)
    _zero(reserved)
    if not 0 < der_bytes <= MAX_CA_BYTES:
        raise ValueError(f"certificate of {der_bytes} bytes")
    _exact(data, _AUTHORITY.size + der_bytes)
    return Authority(data[_AUTHORITY.size :])


def _decode_enrol(data: bytes) -> Enrol:
    _exact(data, _ENROL.size)
    _, reserved, reserved_too, secret = _ENROL.unpack(data)
    _zero(reserved, reserved_too)
    return Enrol(secret)


def _decode_enrolled(data: bytes) -> Enrolled:
    _, vehicle_bytes, reserved, key = _ENROLLED.unpack_from(data)
    _zero(reserved)
    _exact(data, _ENROLLED.size + vehicle_bytes)
    return Enrolled(_take_text(data, _ENROLLED.size, vehicle_bytes), key)


_DECODERS: Final[dict[int, Callable[[bytes], Message]]] = {
    MessageType.HELLO: _decode_hello,
    MessageType.WELCOME: _decode_welcome,
    MessageType.REFUSED: _decode_refused,
    MessageType.DATA: _decode_data,
    MessageType.RECEIVED: _decode_set,
    MessageType.STORED: _decode_set,
    MessageType.PING: _decode_ping,
    MessageType.PONG: _decode_pong,
    MessageType.ASK: _decode_ask,
    MessageType.HELD: _decode_held,
    MessageType.STORAGE: _decode_storage,
    MessageType.AUTHORITY: _decode_authority,
    MessageType.ENROL: _decode_enrol,
    MessageType.ENROLLED: _decode_enrolled,
}
