from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.simulated import vehicle

from ved.analysis.positions import find_map_channels, find_speed_channels, speed_factor
from ved.dbc.load import DbcSource, load_set
from ved.model.channel import Channel
from ved.model.vehicle import MapChannels

DATA = Path(__file__).parents[1] / "data"


def channel(
    name: str, *, unit: str = "deg", kind: str = "continuous", frame: int = 1, bus: int | None = None
) -> Channel:
    message, _, signal = name.partition(".")
    return Channel(name, unit, kind, bus, message, signal, frame, False)  # type: ignore[arg-type]


def test_a_recorded_gps_module_is_found_with_its_validity() -> None:
    text = (DATA / "canedge-gps" / "canmod-gps.dbc").read_text(encoding="utf-8")
    channels = load_set([DbcSource(None, "", "canmod-gps.dbc", text)]).channels
    assert find_map_channels(channels) == MapChannels(
        "gnss_pos.Latitude", "gnss_pos.Longitude", "gnss_pos.PositionValid"
    )


def test_of_two_sets_of_ids_the_one_that_is_given_is_found() -> None:
    text = (DATA / "canedge-gnss-two-parts" / "gnss.dbc").read_text(encoding="utf-8")
    channels = load_set([DbcSource(None, "", "gnss.dbc", text)]).channels
    second = [each for each in channels if each.arbitration_id > 16]
    expected = MapChannels("gnss_pos@13.Latitude", "gnss_pos@13.Longitude", "gnss_pos@13.PositionValid")
    assert find_map_channels(second) == expected


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        ("P.Latitude", "P.Longitude"),
        ("P.GPS_Lat", "P.GPS_Lon"),
        ("P.gpsLat", "P.gpsLong"),
        ("P.GPS_LATITUDE", "P.GPS_LONGITUDE"),
        ("P.lat_deg", "P.lng_deg"),
    ],
)
def test_usual_names(latitude: str, longitude: str) -> None:
    assert find_map_channels([channel(latitude), channel(longitude)]) == MapChannels(latitude, longitude, "")


@pytest.mark.parametrize(
    ("latitude", "longitude", "unit"),
    [
        ("P.LatAcc", "P.LongAcc", ""),
        ("P.Lat", "P.Long", "m/s^2"),
        ("P.LatitudeAccuracy", "P.LongitudeAccuracy", "deg"),
        ("P.Plateau", "P.Longest", ""),
        ("P.FrontLat", "P.RearLon", "deg"),
    ],
)
def test_what_is_no_position(latitude: str, longitude: str, unit: str) -> None:
    assert find_map_channels([channel(latitude, unit=unit), channel(longitude, unit=unit)]) is None


def test_one_axis_alone_is_no_position() -> None:
    assert find_map_channels([channel("P.Latitude")]) is None
    assert find_map_channels([channel("P.Longitude")]) is None
    assert find_map_channels([]) is None


def test_a_pair_never_spans_two_buses() -> None:
    assert find_map_channels([channel("P.Latitude", bus=0), channel("P.Longitude", bus=1)]) is None


def test_both_axes_may_lie_in_different_frames_but_one_frame_is_better() -> None:
    apart = [channel("A.Latitude", frame=1), channel("B.Longitude", frame=2)]
    assert find_map_channels(apart) == MapChannels("A.Latitude", "B.Longitude", "")
    together = [*apart, channel("A.Longitude", frame=1)]
    assert find_map_channels(together) == MapChannels("A.Latitude", "A.Longitude", "")


def test_a_pair_with_validity_stands_before_one_without() -> None:
    plain = [channel("A.Latitude", frame=1), channel("A.Longitude", frame=1)]
    checked = [replace(each, arbitration_id=2, name=each.name.replace("A", "B", 1)) for each in plain]
    flags = [
        channel("B.TimeValid", unit="", kind="discrete", frame=2),
        channel("B.PositionValid", unit="", kind="discrete", frame=2),
    ]
    assert find_map_channels([*plain, *checked, *flags]) == MapChannels("B.Latitude", "B.Longitude", "B.PositionValid")
    assert find_map_channels([*plain, *checked, flags[0]]) == MapChannels("B.Latitude", "B.Longitude", "B.TimeValid")


def test_the_speed_of_the_vehicle_is_found_by_name_and_unit():
    found = [
        one.name
        for name in ("fs", "pe", "ps")
        for one in find_speed_channels(
            load_set(
                [
                    DbcSource(bus.index, bus.name, file, text)
                    for bus in vehicle(name).buses
                    for file, text in zip(bus.dbc_names, bus.dbc_texts, strict=True)
                ]
            ).channels
        )
    ]
    assert set(found) == {"VehicleMotion.Speed", "GpsMotion.Speed"}
    assert len(found) == 6
    assert speed_factor("km/h") == pytest.approx(1 / 3.6)
