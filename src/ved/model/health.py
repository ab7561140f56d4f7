"""Health figures: what is measured of the link, the buses and the server's roles, under one name everywhere.

The channel `health.bus.powertrain.load` is the metric `health_bus_load{bus="powertrain"}`.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from ved.model.channel import ChannelKind
from ved.model.samples import SampleChannel
from ved.model.vehicle import ChannelTexts

Scope = Literal["link", "bus", "role"]
_FRENCH_UNITS: Final = {"frames": "trames", "items": "éléments", "MB": "Mo", "ids": "id."}
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Figure:
    """One kind of figure; `comment` says what it is and how it comes about. `titles` in English and French take the
    bus or role at {}.
    """

    scope: Scope
    name: str
    titles: tuple[str, str]
    unit: str
    comment: str
    kind: ChannelKind = "continuous"


FIGURES: Final = (
    Figure(
        "link",
        "up",
        ("Link up", "Liaison établie"),
        "",
        "1 while the car's live connection stands, by ingest's link state.",
        "discrete",
    ),
    Figure(
        "link", "age", ("Data age", "Âge des données"), "ms", "Time since the newest live frame arrived at the server."
    ),
    Figure(
        "link",
        "rtt",
        ("Link round trip", "Aller-retour de la liaison"),
        "ms",
        "Smoothed round trip of the live connection, measured by ingest's pings.",
    ),
    Figure(
        "link",
        "frames",
        ("Frames of the car", "Trames de la voiture"),
        "1/s",
        "Frames that the car took, by the seqs and times of its live batches.",
    ),
    Figure("link", "loss", ("Frames lost", "Trames perdues"), "1/s", "Frames that were declared lost, at any place."),
    Figure(
        "link",
        "backlog",
        ("Still on the car", "Encore dans la voiture"),
        "frames",
        "Frames below the newest seq that the server lacks: the car still has them.",
    ),
    Figure(
        "link", "backfill", ("Coming late", "Arrivant en retard"), "1/s", "Frames that arrived over the backfill lane."
    ),
    Figure(
        "bus", "frames", ("Bus frames: {}", "Trames du bus : {}"), "1/s", "Frames on the bus, error frames left out."
    ),
    Figure(
        "bus",
        "load",
        ("Bus load: {}", "Charge du bus : {}"),
        "%",
        "Bit times of the frames, stuff bits included, of those that the bit rate offers.",
    ),
    Figure("bus", "errors", ("Error frames: {}", "Trames d'erreur : {}"), "1/s", "Error frames."),
    Figure(
        "bus",
        "unknown",
        ("Unknown ids: {}", "Identifiants inconnus : {}"),
        "ids",
        "Identifiers of the last 10 s that no DBC of the vehicle defines.",
        "discrete",
    ),
    Figure(
        "bus",
        "drops",
        ("Dropped by the kernel: {}", "Rejetées par le noyau : {}"),
        "1/s",
        "Frames that the car's kernel dropped, as it counted them.",
    ),
    Figure(
        "role",
        "lag",
        ("Lag: {}", "Retard : {}"),
        "ms",
        "Age of the oldest stream entry that the role has not dealt with.",
    ),
    Figure("role", "cpu", ("CPU: {}", "Processeur : {}"), "%", "CPU of the process, of one core."),
    Figure("role", "memory", ("Memory: {}", "Mémoire : {}"), "MB", "Resident memory of the process."),
    Figure("role", "disk", ("Disk used: {}", "Disque utilisé : {}"), "%", "How full the disk of the data folder is."),
    Figure(
        "role", "queue", ("Waiting: {}", "En attente : {}"), "items", "What waits in memory: entries, rows or messages."
    ),
    Figure(
        "role",
        "forward",
        ("Not in Kafka yet: {}", "Pas encore dans Kafka : {}"),
        "items",
        "Entries of the role's stream that are durable in its journal and that Kafka has not acknowledged.",
    ),
    Figure(
        "role",
        "delay",
        ("Loop delay: {}", "Retard de boucle : {}"),
        "ms",
        "How late the role's event loop came to a timer: it was busy or held up.",
    ),
    Figure(
        "role",
        "age",
        ("Silent for: {}", "Silence : {}"),
        "s",
        "Time since the role last wrote its figures: a role that hangs grows old.",
    ),
)
BY_NAME: Final = {(one.scope, one.name): one for one in FIGURES}


def channel_name(scope: Scope, name: str, subject: str = "") -> str:
    """The name of a figure's channel; `subject` is the bus or the role."""
    return ".".join(["health", scope, *([_ODD.sub("_", subject) or "_"] if scope != "link" else []), name])


def channel_of(scope: Scope, name: str, subject: str = "") -> SampleChannel:
    """The channel of a figure. KeyError for a figure that there is not."""
    figure = BY_NAME[scope, name]
    return SampleChannel(channel_name(scope, name, subject), figure.unit, figure.kind)


def figure_of(channel: str) -> Figure | None:
    """What a channel of this name measures, or None where it is no health figure."""
    parts = channel.split(".")
    if len(parts) != (3 if parts[1:2] == ["link"] else 4) or parts[0] != "health":
        return None
    return next((one for one in FIGURES if (one.scope, one.name) == (parts[1], parts[-1])), None)


def texts_of(channel: str) -> ChannelTexts | None:
    """What people read in place of a health channel's name and unit; None for any other channel."""
    figure = figure_of(channel)
    if figure is None:
        return None
    subject = channel.split(".")[2]
    english, french = (title.format(subject) for title in figure.titles)
    return ChannelTexts(channel, english, french, "", _FRENCH_UNITS.get(figure.unit, ""))
