"""The panels that dashboards are made of."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import stat, statetimeline, timeseries, xychart
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    GridPos,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.xychart import SeriesMapping

from ved.influx.grafana.cars import Car, Shown, told_apart
from ved.influx.grafana.queries import DATASOURCE, Target, chart_targets, last_target, where_of
from ved.influx.grafana.units import AGO
from ved.influx.names import quoted
from ved.model.alarmrule import Rule

MOST_SERIES: Final = 24
LEAST_INTERVAL: Final = "10ms"
CONNECT_MS: Final = 5000
"""Points further apart are not connected: nothing came in between."""

_COLOURS: Final = {"info": "blue", "warning": "orange", "critical": "red"}
_FINE: Final = "green"
_RANK: Final = ("info", "warning", "critical")


class Grid:
    """Places panels from left to right, then below; 24 columns."""

    def __init__(self, top: int = 0) -> None:
        self._x, self._y, self._row_height = 0, top, 0

    def next(self, width: int, height: int) -> GridPos:
        """The place of the next panel."""
        if self._x + width > 24:
            self.end_row()
        place = GridPos(h=height, w=width, x=self._x, y=self._y)
        self._x += width
        self._row_height = max(self._row_height, height)
        return place

    def end_row(self) -> int:
        """Go on below; where that is."""
        self._x, self._y, self._row_height = 0, self._y + self._row_height, 0
        return self._y


class Ids:
    """Numbers panels from 1."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def next(self) -> int:
        """The next number."""
        return next(self._numbers)


def chart(title: str, channels: Sequence[Shown], place: GridPos, number: int) -> timeseries.Panel:
    """Strip chart of continuous channels; each keeps its unit, and limits of rules are lines."""
    shown = told_apart(channels)
    panel = (
        timeseries.Panel()
        .id(number)
        .title(title)
        .datasource(DATASOURCE)
        .grid_pos(place)
        .interval(LEAST_INTERVAL)
        .unit(shown[0].unit)
        .line_width(1)
        .fill_opacity(0)
        .show_points(common.VisibilityMode.AUTO)
        .span_nulls(float(CONNECT_MS))
        .legend(_legend())
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .targets(list(chart_targets(shown)))
    )
    if description := _description(shown):
        panel.description(description)
    for one in shown:
        properties = [DynamicConfigValue("unit", one.unit)] if one.unit != shown[0].unit else []
        if steps := threshold_steps(one.rules):
            properties += [
                DynamicConfigValue("thresholds", {"mode": "absolute", "steps": steps}),
                DynamicConfigValue("custom.thresholdsStyle", {"mode": "dashed"}),
            ]
        if properties:
            panel.override_by_name(one.title, properties)
    return panel


def states(title: str, channels: Sequence[Shown], place: GridPos, number: int) -> statetimeline.Panel:
    """States and switches over time, with the texts of the value tables."""
    shown = told_apart(channels)
    panel = (
        statetimeline.Panel()
        .id(number)
        .title(title)
        .datasource(DATASOURCE)
        .grid_pos(place)
        .interval(LEAST_INTERVAL)
        .show_value(common.VisibilityMode.AUTO)
        .merge_values(merge_values=True)
        .row_height(0.8)
        .fill_opacity(70)
        .targets(list(chart_targets(shown, "last", "none")))
    )
    for one in shown:
        if one.channel.choices:
            panel.override_by_name(one.title, [DynamicConfigValue("mappings", value_mappings(one))])
    return panel


def latest(channel: Shown, place: GridPos, number: int) -> stat.Panel:
    """The newest value, in the colour of its limits."""
    panel = (
        stat.Panel()
        .id(number)
        .title(channel.title)
        .datasource(DATASOURCE)
        .grid_pos(place)
        .unit(channel.unit)
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(threshold_steps(channel.rules) or [Threshold(None, "text")]))
        .targets([last_target(channel)])
    )
    if channel.channel.choices:
        panel.mappings(value_mappings(channel))
    return panel


def last_data(title: str, channel: Shown, place: GridPos, number: int) -> stat.Panel:
    """How long ago the newest point of a channel is."""
    return (
        stat.Panel()
        .id(number)
        .title(title)
        .datasource(DATASOURCE)
        .grid_pos(place)
        .unit(AGO)
        .color_mode(common.BigValueColorMode.NONE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).fields("/^Time$/"))
        .targets([last_target(channel)])
    )


def track(title: str, car: Car, place: GridPos, number: int) -> xychart.Panel | None:
    """Positions from above, without map tiles: there is no internet at the track. None without a [map]."""
    where = car.vehicle.map
    if where is None:
        return None
    latitude, longitude = car.channels[where.latitude], car.channels[where.longitude]
    if (latitude.measurement, latitude.bus) != (longitude.measurement, longitude.bus):
        return None
    query = (
        f'SELECT mean({quoted(longitude.field)}) AS "longitude", mean({quoted(latitude.field)}) AS "latitude" '  # noqa: S608
        f"FROM {quoted(latitude.measurement)} WHERE {where_of(latitude)} AND $timeFilter "
        "GROUP BY time($__interval) fill(none)"
    )
    dimensions = xychart.XYDimensionConfig().frame(0).x("longitude").exclude(["Time"])
    return (
        xychart.Panel()
        .id(number)
        .title(title)
        .datasource(DATASOURCE)
        .grid_pos(place)
        .interval("200ms")
        .unit("degree")
        .decimals(5)
        .series_mapping(SeriesMapping.AUTO)
        .dims(dimensions)
        .targets([Target(query, form="table")])
    )


def threshold_steps(rules: Sequence[Rule]) -> list[Threshold]:
    """Colours from below: bad below the limits of `below`, fine, bad above those of `above`. None without limits."""
    lows = [(rule.limit, rule.severity) for rule in rules if rule.kind == "below" and rule.limit is not None]
    highs = [(rule.limit, rule.severity) for rule in rules if rule.kind == "above" and rule.limit is not None]
    for rule in rules:
        if rule.kind == "outside" and rule.low is not None and rule.high is not None:
            lows.append((rule.low, rule.severity))
            highs.append((rule.high, rule.severity))
    if not lows and not highs:
        return []
    lows.sort()
    steps = [Threshold(None, _COLOURS[lows[0][1]] if lows else _FINE)]
    for at, (limit, _) in enumerate(lows):
        steps.append(Threshold(limit, _COLOURS[lows[at + 1][1]] if at + 1 < len(lows) else _FINE))
    rank = -1
    for limit, severity in sorted(highs):
        if _RANK.index(severity) > rank:
            rank = _RANK.index(severity)
            steps.append(Threshold(limit, _COLOURS[severity]))
    return steps


def value_mappings(channel: Shown) -> list[ValueMapping]:
    """The value table as texts in place of numbers."""
    signal = channel.channel
    options = {
        str(value): ValueMappingResult(text=text, index=number) for number, (value, text) in enumerate(signal.choices)
    }
    return [ValueMap(options)]


def parts_of(channels: Sequence[Shown]) -> Iterator[tuple[str, list[Shown]]]:
    """(unit, channels) of the charts of a message: by unit, at most MOST_SERIES in each."""
    units = dict.fromkeys(one.channel.unit for one in channels)
    for unit in units:
        together = [one for one in channels if one.channel.unit == unit]
        for at in range(0, len(together), MOST_SERIES):
            yield unit, together[at : at + MOST_SERIES]


def _thresholds(steps: list[Threshold]) -> dashboard_builders.ThresholdsConfig:
    return dashboard_builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _legend() -> common_builders.VizLegendOptions:
    return (
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
    )


def _description(channels: Sequence[Shown]) -> str:
    return "\n".join(f"{one.title}: {one.channel.comment}" for one in channels if one.channel.comment)
