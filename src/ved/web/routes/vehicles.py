"""The vehicles and their channels."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Response
from pydantic import StringConstraints

from ved.analysis.positions import find_map_channels
from ved.db.texts import list_texts
from ved.db.vehicles import VehicleRow, get_vehicle, list_vehicles
from ved.model.aliases import Aliases
from ved.model.channel import Channel
from ved.model.health import texts_of
from ved.model.vehicle import ChannelTexts, MapChannels
from ved.web import messages
from ved.web.answers import Asking, denied
from ved.web.clock import monotonic_us
from ved.web.guests import hidden_from, sees
from ved.web.hub import epoch_text
from ved.web.state import WebState
from ved.web.vehicle import VehicleFeed

Name = Annotated[str, StringConstraints(max_length=64)]


def add_vehicles(app: FastAPI, state: WebState) -> None:
    """The vehicles that the page can show, and their channels."""

    @app.get("/api/vehicles")
    async def vehicles(user: Asking) -> list[dict[str, Any]]:
        rows = {row.name: row for row in await asyncio.to_thread(list_vehicles, state.db)}
        feeds = state.hub.feeds()
        for name, feed in feeds.items():
            if feed.epochs:
                rows.setdefault(name, VehicleRow(name, name, name, None, ()))
        return [_vehicle_line(row, feeds.get(name)) for name, row in sorted(rows.items()) if sees(user, name)]

    @app.get("/api/vehicles/{name}", response_model=None)
    async def vehicle(name: Name, user: Asking) -> dict[str, Any] | Response:
        row = await asyncio.to_thread(get_vehicle, state.db, name)
        if row is None:
            if not await state.hub.is_vehicle(name):
                return denied(404, "unknown_vehicle", "no vehicle has this name")
            row = VehicleRow(name, name, name, None, ())
        channels = await state.hub.channels(name)
        aliases = state.hub.feed_of(name).aliases
        hidden = await asyncio.to_thread(hidden_from, user, state.db, name, channels, aliases)
        channels = [one for one in channels if one.name not in hidden]
        texts = await asyncio.to_thread(list_texts, state.db, name)
        return {
            "name": row.name,
            "title_en": row.title_en,
            "title_fr": row.title_fr,
            "channels": _listed(channels, aliases, texts),
            "map": None if hidden else _map_of(row.map or find_map_channels(channels)),
            "charts": [
                {
                    "title_en": one.title_en,
                    "title_fr": one.title_fr,
                    "channels": [channel for channel in one.channels if channel not in hidden],
                }
                for one in row.charts
            ],
        }


def _listed(channels: Sequence[Channel], aliases: Aliases, texts: Mapping[str, ChannelTexts]) -> list[dict[str, Any]]:
    out = []
    for one in channels:
        former = aliases.others(one.name)
        named = next((texts[name] for name in (one.name, *former) if name in texts), None) or texts_of(one.name)
        out.append(messages.listed_channel(one, named, former))
    return out


def _vehicle_line(row: VehicleRow, feed: VehicleFeed | None) -> dict[str, Any]:
    return {
        "name": row.name,
        "title_en": row.title_en,
        "title_fr": row.title_fr,
        "link": "unknown" if feed is None else feed.link,
        "age_ms": None if feed is None else feed.age_ms(monotonic_us()),
        "epoch": None if feed is None else epoch_text(feed),
    }


def _map_of(found: MapChannels | None) -> dict[str, str] | None:
    if found is None:
        return None
    return {"latitude": found.latitude, "longitude": found.longitude, "valid": found.valid}
