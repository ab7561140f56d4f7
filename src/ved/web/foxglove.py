"""The Foxglove WebSocket protocol, as far as it is spoken here (docs/spec/foxglove.md): no I/O."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from ved.dbc.decode import Decoder
from ved.model.aliases import Aliases
from ved.model.channel import Channel
from ved.model.frames import FrameColumns

SUBPROTOCOLS: Final = ("foxglove.sdk.v1", "foxglove.websocket.v1")
MAX_SUBSCRIPTIONS: Final = 1000
WARNING: Final = 1
_MESSAGE: Final = struct.Struct("<BIQ")
_TIME: Final = struct.Struct("<BQ")
_Id = Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)]


class Wish(BaseModel):
    """A channel that the client wants under a subscription id of its own."""

    id: _Id
    channelId: _Id  # noqa: N815  (the protocol's name)


class Subscribe(BaseModel):
    """Send these from now on."""

    op: Literal["subscribe"]
    subscriptions: Annotated[list[Wish], Field(max_length=MAX_SUBSCRIPTIONS)]


class Unsubscribe(BaseModel):
    """Send these no more."""

    op: Literal["unsubscribe"]
    subscriptionIds: Annotated[list[_Id], Field(max_length=MAX_SUBSCRIPTIONS)]  # noqa: N815


_CLIENT: Final[TypeAdapter[Subscribe | Unsubscribe]] = TypeAdapter(
    Annotated[Subscribe | Unsubscribe, Field(discriminator="op")]
)


@dataclass(frozen=True, slots=True)
class Topic:
    """The signals of one message of a vehicle, sent as one JSON object."""

    vehicle: str
    message: str
    channels: tuple[Channel, ...]

    @property
    def name(self) -> str:
        """As the client lists it."""
        return f"/{self.vehicle}/{self.message}"

    def advertised(self, number: int) -> dict[str, Any]:
        """As it is offered."""
        signals = {_signal(one): _schema(one) for one in self.channels}
        schema = {"type": "object", "title": self.message, "properties": signals}
        return {
            "id": number,
            "topic": self.name,
            "encoding": "json",
            "schemaName": f"{self.vehicle}.{self.message}",
            "schemaEncoding": "jsonschema",
            "schema": json.dumps(schema, ensure_ascii=False),
        }


def parse_client_message(text: str) -> Subscribe | Unsubscribe:
    """What the client wants; ValueError with one line for anything else."""
    try:
        return _CLIENT.validate_json(text)
    except ValidationError as error:
        raise ValueError(str(error.errors(include_url=False, include_input=False)[0]["msg"])) from None


def server_info(session: str) -> str:
    """The first message."""
    return json.dumps({"op": "serverInfo", "name": "ved", "capabilities": ["time"], "sessionId": session})


def advertise(topics: Mapping[int, Topic]) -> str:
    """Topics by channel id."""
    return json.dumps({"op": "advertise", "channels": [one.advertised(number) for number, one in topics.items()]})


def unadvertise(numbers: Sequence[int]) -> str:
    """These are no more."""
    return json.dumps({"op": "unadvertise", "channelIds": list(numbers)})


def status(message: str) -> str:
    """Something that a person at the client should know."""
    return json.dumps({"op": "status", "level": WARNING, "message": message})


def time_frame(utc_us: int) -> bytes:
    """The server's time."""
    return _TIME.pack(2, utc_us * 1000)


def message_frame(subscription: int, utc_us: int, payload: bytes) -> bytes:
    """One message: opcode 1, subscription id, time in ns, payload."""
    return _MESSAGE.pack(1, subscription, utc_us * 1000) + payload


def topics_of(vehicle: str, channels: Sequence[Channel]) -> list[Topic]:
    """A topic for each message that these channels belong to."""
    found: dict[str, list[Channel]] = {}
    for one in channels:
        found.setdefault(one.name.rpartition(".")[0] or one.message, []).append(one)
    return [Topic(vehicle, message, tuple(ones)) for message, ones in found.items()]


def read_messages(
    decoder: Decoder, aliases: Aliases, frames: FrameColumns, topics: Sequence[Topic]
) -> list[tuple[Topic, int, bytes]]:
    """Each frame of one of the topics as (topic, row of the frame, JSON), in the order of the frames."""
    numbers = decoder.dbc_set.numbers
    wanted: NDArray[np.bool_] = np.zeros(len(decoder.channels), np.bool_)
    places = []
    for topic in topics:
        found = [(_signal(one), aliases.index(numbers, one.name)) for one in topic.channels]
        known = [(signal, index) for signal, index in found if index is not None]
        wanted[[index for _, index in known]] = True
        places.append((topic, known))
    if not wanted.any():
        return []
    decoded = decoder.decode(frames, wanted)
    out: list[tuple[Topic, int, bytes]] = []
    for topic, known in places:
        rows: dict[int, dict[str, float | None]] = {}
        for signal, index in known:
            part = slice(int(decoded.starts[index]), int(decoded.starts[index + 1]))
            for row, value in zip(decoded.rows[part].tolist(), decoded.values[part].tolist(), strict=True):
                rows.setdefault(row, {})[signal] = value if abs(value) < float("inf") else None
        out += [(topic, row, json.dumps(said, ensure_ascii=False).encode()) for row, said in rows.items()]
    out.sort(key=lambda one: one[1])
    return out


def _signal(channel: Channel) -> str:
    return channel.name.rpartition(".")[2]


def _schema(channel: Channel) -> dict[str, Any]:
    said = [part for part in (channel.unit and f"[{channel.unit}]", channel.comment) if part]
    return {"type": "number", **({"description": " ".join(said)} if said else {})}
