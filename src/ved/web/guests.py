"""What a guest link opens: one session, without positions and driver notes unless they are allowed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ved.analysis.positions import find_map_channels, tells_a_place
from ved.api.maths import is_maths, maths_of
from ved.db.database import Database
from ved.db.people import GuestScope, User
from ved.db.vehicles import get_vehicle
from ved.model.aliases import Aliases
from ved.model.channel import Channel
from ved.model.vehicle import MapChannels

_SESSION: Final = re.compile(r"/api/sessions/([^/]+)(/laps|/channels|/series)?")
_VEHICLE: Final = re.compile(r"/api/vehicles/([^/]+)")
NOTES: Final = ("driver", "setup", "notes")


def may_guest(scope: GuestScope, method: str, path: str) -> bool:
    """True for what a guest may ask: the page's files, who they are, their vehicle and their session."""
    if method == "SOCKET":
        return path == "/api/live"
    if method == "POST":
        return path == "/api/signout"
    if method not in ("GET", "HEAD"):
        return False
    if path in ("/api/me", "/api/vehicles"):
        return True
    if found := _SESSION.fullmatch(path):
        return found[1] == scope.session or found[1] in scope.former
    if found := _VEHICLE.fullmatch(path):
        return found[1] == scope.vehicle
    is_of_server = path.startswith(("/api", "/metrics", "/foxglove"))
    return not is_of_server


def sees(user: User, vehicle: str) -> bool:
    """True when the vehicle is one that the user may know of."""
    return user.scope is None or user.scope.vehicle == vehicle


def hidden_from(user: User, db: Database, vehicle: str, channels: Sequence[Channel], aliases: Aliases) -> set[str]:
    """Names (former ones too) of the channels that the user may not see. Blocking."""
    if user.scope is None or user.scope.shows_positions:
        return set()
    row = get_vehicle(db, vehicle)
    found = [row.map if row is not None else None, find_map_channels(channels)]
    decoded = [one for one in channels if not is_maths(one.name)]
    inputs = {name: one.inputs for name, one in maths_of(db, vehicle, decoded, aliases).programs.items()}
    return hidden_channels(channels, [one for one in found if one is not None], inputs, aliases)


def hidden_channels(
    channels: Sequence[Channel], maps: Iterable[MapChannels], inputs: Mapping[str, Sequence[str]], aliases: Aliases
) -> set[str]:
    """The channels that tell where the vehicle is: their whole messages, and the maths channels made of them.

    `inputs`: what each maths channel reads, by full name, each after those that it reads. One that is not there is
    hidden: nobody knows what it is made of.
    """
    named = {name for one in maps for name in (one.latitude, one.longitude, one.valid) if name}
    named |= {other for name in named for other in aliases.others(name)}
    messages = {(one.bus, one.message) for one in channels if one.name in named or tells_a_place(one)}
    hidden = named | {one.name for one in channels if (one.bus, one.message) in messages}
    hidden |= {other for name in hidden for other in aliases.others(name)}
    for name, read in inputs.items():
        if not hidden.isdisjoint(read):
            hidden.add(name)
    return hidden | {one.name for one in channels if is_maths(one.name) and one.name not in inputs}


def session_for(user: User, told: Mapping[str, Any]) -> dict[str, Any]:
    """A session as the user may read it."""
    shown = dict(told)
    if user.scope is None:
        return shown
    if "edits" in shown:
        shown["edits"] = []
    if not user.scope.shows_notes:
        shown |= dict.fromkeys((name for name in NOTES if name in shown), "")
        shown |= {"tags": []} if "tags" in shown else {}
    if not user.scope.shows_positions:
        shown |= {"track": None} if "track" in shown else {}
    return shown
