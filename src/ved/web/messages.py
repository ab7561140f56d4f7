"""The text messages of the live protocol: what a client may say, and how the server says its part."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, field_validator

from ved.codec.live import LIVE_VERSION
from ved.db.people import User
from ved.dbc.names import readable, unit_in_french
from ved.model.channel import Channel
from ved.model.vehicle import ChannelTexts
from ved.web.limits import MAX_CHANNELS, MAX_NAME_CHARS

Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS)]
SubscriptionId = Annotated[int, Field(ge=0, le=65_535)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Watch(_Message):
    """The client wants these channels of a vehicle under this id: from now on, or with `until_utc_us` what was."""

    type: Literal["watch"]
    id: SubscriptionId
    vehicle: Name
    channels: Annotated[list[Name], Field(max_length=MAX_CHANNELS)]
    rate_hz: Annotated[float, Field(ge=1, le=100)]
    window_s: Annotated[float, Field(ge=1, le=86_400)]
    until_utc_us: Annotated[int, Field(ge=0, le=2**53)] | None = None

    @field_validator("channels")
    @classmethod
    def _distinct(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError("a channel is named twice")
        return names


class Unwatch(_Message):
    """The client no longer wants the subscription of this id."""

    type: Literal["unwatch"]
    id: SubscriptionId


ClientMessage = Annotated[Watch | Unwatch, Field(discriminator="type")]
_CLIENT: Final[TypeAdapter[Watch | Unwatch]] = TypeAdapter(ClientMessage)


def parse_client_message(text: str) -> Watch | Unwatch:
    """The client's message; ValueError with one line that says what is wrong."""
    try:
        return _CLIENT.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise ValueError(f"{where}: {first['msg']}" if where else str(first["msg"])) from None


def to_text(message: dict[str, Any]) -> str:
    """JSON without spaces; a non-finite number is an error of ours and raises ValueError."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def welcome(user: User, server_utc_us: int) -> str:
    """The first message of a connection."""
    who = {"name": user.name, "role": user.role}
    return to_text({"type": "welcome", "version": LIVE_VERSION, "user": who, "server_utc_us": server_utc_us})


def error(code: str, message: str, subscription: int | None = None) -> str:
    """Something that the client asked for was not done."""
    body: dict[str, Any] = {"type": "error", "code": code, "message": message}
    if subscription is not None:
        body["id"] = subscription
    return to_text(body)


def live_channel(index: int, name: str, channel: Channel) -> dict[str, Any]:
    """A channel as `watching` shows it; `name` is the one that was asked for, perhaps a former one."""
    return {
        "index": index,
        "name": name,
        "channel": channel.name,
        "unit": channel.unit,
        "kind": channel.kind,
        "choices": [[value, text] for value, text in channel.choices],
        "minimum": finite(channel.minimum),
        "maximum": finite(channel.maximum),
    }


def listed_channel(channel: Channel, texts: ChannelTexts | None, former: Sequence[str]) -> dict[str, Any]:
    """A channel as the list of a vehicle's channels shows it, with the names that it had before."""
    texts = texts or ChannelTexts(channel.name)
    title = readable(channel.name)
    return {
        "name": channel.name,
        "unit": channel.unit,
        "kind": channel.kind,
        "title_en": texts.title_en or title,
        "title_fr": texts.title_fr or title,
        "unit_en": texts.unit_en or channel.unit,
        "unit_fr": texts.unit_fr or unit_in_french(channel.unit),
        "former": list(former),
        "message": channel.message,
        "signal": channel.signal,
        "bus": channel.bus,
        "comment": channel.comment,
        "choices": [[value, text] for value, text in channel.choices],
        "minimum": finite(channel.minimum),
        "maximum": finite(channel.maximum),
    }


def missed(subscription: int, messages: int, from_utc_us: int, to_utc_us: int) -> str:
    """Increments of a subscription were dropped because the client is slow."""
    return to_text(
        {
            "type": "missed",
            "id": subscription,
            "messages": messages,
            "from_utc_us": from_utc_us,
            "to_utc_us": to_utc_us,
        }
    )


def reset(subscription: int, moved: tuple[int, int] | None = None) -> str:
    """What the client has of a subscription no longer holds. `moved`: what was from this time (UTC in µs) on, by µs."""
    told = None if moved is None else {"from_utc_us": moved[0], "by_us": moved[1]}
    return to_text({"type": "reset", "id": subscription, "moved": told})


def finite(value: float | None) -> float | None:
    """The value, or None where JSON could not say it."""
    return value if value is not None and abs(value) < float("inf") else None
