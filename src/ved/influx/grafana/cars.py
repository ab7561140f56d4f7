"""A vehicle as dashboards see it: for each channel its measurement, field, title, unit and rules."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ved.dbc.load import DbcSource, load_set
from ved.dbc.names import readable
from ved.influx.grafana.units import grafana_unit
from ved.influx.names import fields_of, measurements_of
from ved.model.alarmrule import Rule
from ved.model.channel import Channel
from ved.model.vehicle import Vehicle

Language = Literal["en", "fr"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A channel, where its points are, and how people read it."""

    channel: Channel
    vehicle: str
    measurement: str
    field: str
    bus: str
    title: str
    unit: str
    rules: tuple[Rule, ...]

    @property
    def is_discrete(self) -> bool:
        """True for states and switches."""
        return self.channel.kind == "discrete"


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a bus and its channels."""

    name: str
    bus: str
    comment: str
    channels: tuple[Shown, ...]


class Car:
    """A vehicle's folder, made ready."""

    def __init__(self, vehicle: Vehicle, language: Language = "en") -> None:
        self.vehicle, self.language = vehicle, language
        sources = [
            DbcSource(bus.index, bus.name, name, text)
            for bus in vehicle.buses
            for name, text in zip(bus.dbc_names, bus.dbc_texts, strict=True)
        ]
        dbc_set = load_set(sources)
        measurements, fields = measurements_of(dbc_set), fields_of(dbc_set)
        titles = {one.channel: one.title_fr if language == "fr" else one.title_en for one in vehicle.texts}
        messages = []
        for number, message in enumerate(dbc_set.messages):
            first = dbc_set.first_channels[number]
            shown = tuple(
                self._shown(channel, (measurements[number], fields[first + at], message.bus_name), titles)
                for at, channel in enumerate(dbc_set.channels[first : first + len(message.signals)])
            )
            if shown:
                messages.append(Message(measurements[number], message.bus_name, message.comment, shown))
        self.messages = tuple(messages)
        self.channels = {one.channel.name: one for message in messages for one in message.channels}

    @property
    def name(self) -> str:
        """That of the vehicle."""
        return self.vehicle.name

    @property
    def title(self) -> str:
        """What people call the vehicle."""
        return self.say(self.vehicle.title_en, self.vehicle.title_fr)

    @property
    def speed(self) -> Shown:
        """The channel under the alias `speed`, else the first of the layout, else the first of all."""
        target = dict(self.vehicle.aliases).get("speed")
        first = [name for chart in self.vehicle.charts for name in chart.channels]
        names = [name for name in (target, *first, *self.channels) if name in self.channels]
        return self.channels[str(names[0])]

    def say(self, english: str, french: str) -> str:
        """The text of this car's language."""
        return french if self.language == "fr" else english

    def _shown(self, channel: Channel, place: tuple[str, str, str], titles: dict[str, str]) -> Shown:
        measurement, field, bus = place
        title = titles.get(channel.name) or readable(channel.name)
        rules = tuple(rule for rule in self.vehicle.rules if rule.channel == channel.name and rule.is_enabled)
        return Shown(channel, self.name, measurement, field, bus, title, grafana_unit(channel.unit), rules)


def told_apart(channels: Sequence[Shown]) -> list[Shown]:
    """The channels, with their names behind those titles that stand for several of them."""
    titles = [one.title for one in channels]
    return [
        replace(one, title=f"{one.title} ({one.channel.name})") if titles.count(one.title) > 1 else one
        for one in channels
    ]
