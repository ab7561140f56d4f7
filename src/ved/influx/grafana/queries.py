"""InfluxQL for Grafana's built-in InfluxDB data source."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final, Literal

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from ved.influx.grafana.cars import Shown
from ved.influx.names import quoted, quoted_text, tag_value

DATASOURCE_UID: Final = "ved-influx"
DATASOURCE: Final = DataSourceRef("influxdb", DATASOURCE_UID)
AGGREGATE: Final = "aggregate"
"""The dashboards' variable that names how the points of a bucket become one."""

Format = Literal["time_series", "table"]


class Target(Dataquery, Builder[Dataquery]):
    """A query in plain InfluxQL. `alias` names its series."""

    def __init__(self, query: str, alias: str = "", form: Format = "time_series", ref_id: str = "A") -> None:
        self.query, self.alias, self.form, self.ref_id = query, alias, form, ref_id

    def build(self) -> Dataquery:
        """Itself: it is its own builder."""
        return self

    def to_json(self) -> dict[str, object]:
        """As it stands in a panel."""
        return {
            "refId": self.ref_id,
            "datasource": DATASOURCE.to_json(),
            "rawQuery": True,
            "query": self.query,
            "resultFormat": self.form,
            **({"alias": self.alias} if self.alias else {}),
        }


def where_of(channel: Shown) -> str:
    """The condition that chooses the channel's series."""
    return f'"vehicle" = {quoted_text(channel.vehicle)} AND "bus" = {quoted_text(tag_value(channel.bus))}'


def chart_targets(channels: Sequence[Shown], function: str = f"${{{AGGREGATE}}}", fill: str = "null") -> list[Target]:
    """One query for each message of these channels; series are named by their titles."""
    ordered = sorted(channels, key=lambda one: (one.bus, one.measurement))
    out = []
    for number, (_, group) in enumerate(groupby(ordered, key=lambda one: (one.bus, one.measurement))):
        together = list(group)
        columns = ", ".join(f"{function}({quoted(one.field)}) AS {quoted(one.title)}" for one in together)
        first = together[0]
        query = (
            f"SELECT {columns} FROM {quoted(first.measurement)} "  # noqa: S608 - names are quoted
            f"WHERE {where_of(first)} AND $timeFilter GROUP BY time($__interval) fill({fill})"
        )
        out.append(Target(query, "$col", ref_id=ref_id(number)))
    return out


def last_target(channel: Shown) -> Target:
    """The newest value in the shown span, with its time."""
    query = (
        f"SELECT last({quoted(channel.field)}) AS {quoted(channel.title)} "  # noqa: S608
        f"FROM {quoted(channel.measurement)} WHERE {where_of(channel)} AND $timeFilter"
    )
    return Target(query, "$col")


def ref_id(number: int) -> str:
    """A to Z, then AA …"""
    letters = ""
    while number >= 0:
        letters = chr(ord("A") + number % 26) + letters
        number = number // 26 - 1
    return letters
