"""The golden link messages, and `python -m tests.conformance.link_vectors`, which writes them anew.

Written anew only when docs/spec/link.md changed first: the file is the contract, not this program.
"""

import dataclasses
import json
from enum import IntEnum
from pathlib import Path
from typing import Any

from ved.codec import link_messages
from ved.codec.link import (
    Ask,
    Authority,
    Data,
    Enrol,
    Enrolled,
    Held,
    Hello,
    Message,
    Ping,
    Pong,
    Received,
    RefusalCode,
    Refused,
    Space,
    Storage,
    Stored,
    Welcome,
    WireData,
    encode_message,
)
from ved.model.records import Lane

FILE = Path(__file__).parent / "link" / "messages.json"
EPOCH = bytes(range(16))


def cases() -> dict[str, Message]:
    """Name -> message."""
    return {
        "hello_live": Hello(Lane.LIVE, "fs", "ved 0.1.0", EPOCH, 1, 1, 1_234_567, 0),
        "hello_backfill": Hello(Lane.BACKFILL, "pe-2", "", bytes(16), 2**40 + 1, 77, link_messages.NO_TIME, 0x80000001),
        "welcome": Welcome("ved ingest", 1_700_000_000_000_000, is_storing=True, features=0),
        "welcome_full_disk": Welcome("", 0, is_storing=False, features=1),
        "refused": Refused(RefusalCode.VEHICLE, "clé d'une autre voiture"),
        "data": Data(b"\x01\x02record bytes\xff"),
        "data_wire": WireData(b"\x01\x02wire bytes\xff"),
        "received": Received(EPOCH, Space.SEQ, ((1, 600),)),
        "received_previews": Received(EPOCH, Space.PREVIEW, ((3, 5),)),
        "stored_runs": Stored(EPOCH, Space.NOTE, ((1, 1), (3, 9), (2**32 + 1, 2**64 - 1))),
        "ping_car": Ping(7, 123_456_789),
        "ping_server": Ping(0xFFFFFFFF),
        "pong": Pong(7),
        "ask": Ask(EPOCH),
        "held_nothing": Held(EPOCH, ()),
        "held": Held(
            EPOCH,
            (
                Received(EPOCH, Space.SEQ, ((1, 1200), (1801, 2400))),
                Stored(EPOCH, Space.SEQ, ((1, 600),)),
                Received(EPOCH, Space.NOTE, ((1, 2),)),
            ),
        ),
        "storage_no": Storage(is_storing=False),
        "storage_yes": Storage(is_storing=True),
        "authority": Authority(b"\x30\x03\x02\x01\x05"),
        "enrol": Enrol(bytes(range(16, 32))),
        "enrolled": Enrolled("fs", bytes(range(32, 64))),
    }


def to_json(value: Any) -> Any:
    """A message (or a note) as plain JSON: bytes as hex, enumerations by name, what is nested with its type."""
    if dataclasses.is_dataclass(value):
        fields = {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, IntEnum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, tuple):
        return [to_json(one) for one in value]
    return value


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    entries = [
        {"name": name, "bytes": encode_message(message).hex(), "message": to_json(message)}
        for name, message in cases().items()
    ]
    FILE.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
