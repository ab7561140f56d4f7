"""Channels on one time base: what `Session.frame` and `Lap.frame` return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ved.errors import UserError
from ved.model.channel import Channel

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """n rows on a regular time base, a column for each channel; NaN where there is no value.

    `utc_us` i64[n]: µs since 1970. `columns`: name as it was asked for -> f64[n], physical. `channels`: the same names
    -> what the channel is. `start_utc_us`: where `time_s` is 0, the start of the session or lap.
    """

    start_utc_us: int
    utc_us: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]
    channels: Mapping[str, Channel]

    def __len__(self) -> int:
        """Rows."""
        return len(self.utc_us)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """A column by its name. KeyError."""
        return self.columns[name]

    def __repr__(self) -> str:
        """Rows and columns with their units."""
        described = ", ".join(f"{name} [{unit}]" if unit else name for name, unit in self.units.items())
        return f"<Frame of {len(self)} rows: {described}>"

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns)

    @property
    def units(self) -> dict[str, str]:
        """Unit of each column, empty where the DBC gives none."""
        return {name: channel.unit for name, channel in self.channels.items()}

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Seconds since the start of the session or lap: f64[n]."""
        return (self.utc_us - self.start_utc_us) / 1e6

    def to_numpy(self) -> NDArray[np.float64]:
        """All columns as a matrix f64[n, columns], in the order of `names`."""
        return np.column_stack(list(self.columns.values())) if self.columns else np.empty((len(self), 0))

    def to_arrow(self) -> pa.Table:
        """Columns `time_s`, `utc` (timestamp) and one for each channel, null where there is no value.

        The fields' metadata have `unit`, `kind` and the full name `channel`.
        """
        import pyarrow as pa

        fields = [
            pa.field("time_s", pa.float64(), metadata={"unit": "s"}),
            pa.field("utc", pa.timestamp("us", "UTC")),
        ]
        for name, channel in self.channels.items():
            about = {"unit": channel.unit, "kind": channel.kind, "channel": channel.name}
            fields.append(pa.field(name, pa.float64(), metadata=about))
        times = [pa.array(self.time_s), pa.array(self.utc_us).cast(fields[1].type)]
        values = [pa.array(column, from_pandas=True) for column in self.columns.values()]
        return pa.Table.from_arrays([*times, *values], schema=pa.schema(fields))

    def to_polars(self) -> pl.DataFrame:
        """As `to_arrow`; Polars keeps no units, see `units`. UserError when Polars is not installed."""
        try:
            import polars as pl
        except ImportError as error:
            raise UserError("to_polars() needs Polars; run `pip install polars`") from error
        frame = pl.from_arrow(self.to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def to_pandas(self) -> pd.DataFrame:
        """Indexed by `time_s`; units in `attrs["units"]`. UserError when pandas is not installed."""
        try:
            import pandas as pd
        except ImportError as error:
            raise UserError("to_pandas() needs pandas; run `pip install pandas`") from error
        columns: dict[str, Any] = {"utc": pd.to_datetime(self.utc_us, unit="us", utc=True), **self.columns}
        out = pd.DataFrame(columns, index=pd.Index(self.time_s, name="time_s"))
        out.attrs["units"] = self.units
        return out


@dataclass(frozen=True, slots=True, eq=False)
class ChannelSamples:
    """A channel's samples as they came: `utc_us` i64[n], `values` f64[n] in `channel.unit`."""

    start_utc_us: int
    channel: Channel
    utc_us: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        """Samples."""
        return len(self.values)

    @property
    def unit(self) -> str:
        """The channel's unit, empty where the DBC gives none."""
        return self.channel.unit

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Seconds since the start of the session or lap: f64[n]."""
        return (self.utc_us - self.start_utc_us) / 1e6
