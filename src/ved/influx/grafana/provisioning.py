"""All files of a Grafana that needs no click: data source, folders, dashboards, alert rules."""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from ved.influx.grafana.alerts import alert_group
from ved.influx.grafana.cars import Car
from ved.influx.grafana.dashboards import bus_board, home, overview
from ved.influx.grafana.queries import DATASOURCE_UID

DASHBOARDS_AT: Final = "/etc/grafana/dashboards"
_HEAD: Final = "# Made by `ved grafana build`. JSON is YAML.\n"


def files_of(cars: Sequence[Car]) -> dict[PurePosixPath, str]:
    """The text of each file by its path below the output folder."""
    out: dict[PurePosixPath, Any] = {
        PurePosixPath("provisioning/datasources/ved.yaml"): _datasource(),
        PurePosixPath("provisioning/dashboards/ved.yaml"): _provider(),
        PurePosixPath("dashboards/home.json"): home(cars),
    }
    for car in cars:
        out[PurePosixPath(f"provisioning/alerting/{car.name}.yaml")] = alert_group(car)
        folder = PurePosixPath("dashboards") / car.name
        out[folder / "overview.json"] = overview(car)
        for bus in car.vehicle.buses:
            if any(message.bus == bus.name for message in car.messages):
                out[folder / f"bus-{bus.name}.json"] = bus_board(car, bus.name)
    return {path: _text(path, content) for path, content in out.items()}


def _text(path: PurePosixPath, content: Any) -> str:
    """One line for each panel and each alert rule: changes are seen, and files stay short."""
    plain = json.loads(json.dumps(content, cls=JSONEncoder))
    if path.suffix == ".yaml":
        return f"{_HEAD}{_lines(plain, 4)}\n"
    return f"{_lines(plain, 2)}\n"


def _lines(value: Any, depth: int) -> str:
    """JSON; the values of containers that lie less than `depth` deep each begin a line."""
    if depth == 0 or not value or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    if isinstance(value, list):
        return "[\n" + ",\n".join(_lines(one, depth - 1) for one in value) + "\n]"
    inside = (f"{json.dumps(key, ensure_ascii=False)}: {_lines(value[key], depth - 1)}" for key in sorted(value))
    return "{\n" + ",\n".join(inside) + "\n}"


def _datasource() -> dict[str, Any]:
    """InfluxQL on the database of the role influx; the environment says where (deploy/grafana/README.md)."""
    return {
        "apiVersion": 1,
        "prune": True,
        "datasources": [
            {
                "name": "VED",
                "uid": DATASOURCE_UID,
                "type": "influxdb",
                "access": "proxy",
                "url": "$VED_INFLUX_URL",
                "user": "$VED_INFLUX_USER",
                "isDefault": True,
                "editable": False,
                "jsonData": {"dbName": "$VED_INFLUX_DATABASE", "httpMode": "POST", "version": "InfluxQL"},
                "secureJsonData": {"password": "$VED_INFLUX_PASSWORD"},
            }
        ],
    }


def _provider() -> dict[str, Any]:
    """Folders as they lie below `dashboards`; people may change copies, not these."""
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "ved",
                "orgId": 1,
                "type": "file",
                "disableDeletion": False,
                "allowUiUpdates": False,
                "updateIntervalSeconds": 30,
                "options": {"path": DASHBOARDS_AT, "foldersFromFilesStructure": True},
            }
        ],
    }
