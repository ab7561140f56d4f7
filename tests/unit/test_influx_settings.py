"""Where the role influx comes from: the settings of a server."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from ved.cli.server import Server, influx_target
from ved.config.settings import load_settings
from ved.errors import UserError
from ved.influx.settings import InfluxSettings


def test_without_an_address_there_is_no_role(tmp_path: Path) -> None:
    settings = load_settings(None, {"data": tmp_path})
    assert "influx" in settings.roles
    assert [spec.name for spec in Server(settings)._specs()].count("influx") == 0


def test_with_an_address_the_role_is_told_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VED_INFLUX_TOKEN", "t0ken")
    given = {"data": tmp_path, "influx_url": "https://db.example:8086/", "influx_api": "v2", "influx_org": "team"}
    (spec,) = [one for one in Server(load_settings(None, given))._specs() if one.name == "influx"]
    told = TypeAdapter(InfluxSettings).validate_json(TypeAdapter(InfluxSettings).dump_json(spec.settings))
    assert told == spec.settings
    target = told.target
    assert (target.url, target.api, target.org, target.token) == ("https://db.example:8086", "v2", "team", "t0ken")
    assert (target.database, target.rate_hz) == ("ved", 100.0)
    assert "t0ken" not in repr(told)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"roles": ("ingest", "watch", "influx")}, "roles: influx needs the address of a database; set influx_url"),
        ({"influx_url": "influx:8086"}, "give an address like"),
        ({"influx_url": "http://a:b@host"}, "leave user and password out of it"),
        ({"influx_url": "http://127.0.0.1:99999"}, "give an address like"),
        ({"influx_url": "http://x", "influx_api": "v3"}, "influx_api = 'v3'"),
        ({"influx_url": "http://x", "influx_rate_hz": -1}, "influx_rate_hz = -1"),
    ],
)
def test_bad_input_is_one_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        influx_target(load_settings(None, given))
    assert "\n" not in str(raised.value)
