"""What `ved grafana build` makes: up to date in deploy/grafana, sound by our rules, and every query has its series."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.integration.grafana_rules import panels_of, problems, read
from tests.integration.influx_server import influxd

from ved.canbus.faults import Fault
from ved.canbus.simulator import simulate_columns
from ved.cli.grafana import build_grafana
from ved.config.places import vehicles_folder
from ved.config.settings import ServerSettings
from ved.config.vehicle import load_vehicle
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource, load_set
from ved.errors import UserError
from ved.influx.client import InfluxClient
from ved.influx.grafana.cars import Car
from ved.influx.grafana.panels import threshold_steps
from ved.influx.grafana.provisioning import files_of
from ved.influx.lines import Lines, LineWriter, Source
from ved.influx.sender import bodies
from ved.influx.settings import InfluxTarget
from ved.model.alarmrule import Rule
from ved.model.frames import FrameColumns
from ved.model.vehicle import ChannelTexts, ChartPanel, Vehicle, VehicleBus

SHIPPED = Path(__file__).parents[2] / "deploy" / "grafana"
NAMES = ("fs", "pe", "ps")
UTC_US = 1_750_000_000_000_000
SECONDS = 8


def build(out: Path, *names: str, language: str = "en") -> Path:
    build_grafana(out, names, language, ServerSettings(data=out / "no-data"))
    return out


def files(folder: Path) -> dict[str, str]:
    paths = [path for part in ("provisioning", "dashboards") for path in (folder / part).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in paths}


def test_the_ready_made_files_are_up_to_date(tmp_path: Path) -> None:
    assert files(SHIPPED) == files(build(tmp_path)), "run: ved grafana build --out deploy/grafana"
    for path in SHIPPED.glob("provisioning/**/*.yaml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8")) == read(path)


def test_the_files_are_sound_in_both_languages(tmp_path: Path) -> None:
    assert problems(SHIPPED) == []
    french = build(tmp_path, "pe", language="fr")
    assert problems(french) == []
    assert "Vitesse du véhicule" in files(french)["dashboards/pe/overview.json"]


def _change(path: Path, change) -> None:
    content = read(path)
    change(content)
    path.write_text(("# \n" if path.suffix == ".yaml" else "") + json.dumps(content), encoding="utf-8")


def _chart(board):
    return next(panel for panel in panels_of(board) if panel["type"] == "timeseries")


FAULTS = {
    "overlap": ("dashboards/pe/overview.json", lambda board: board["panels"][1]["gridPos"].update(x=0, y=0)),
    "outside of 24": ("dashboards/pe/overview.json", lambda board: _chart(board)["gridPos"].update(x=20, y=900)),
    "id 1 twice": ("dashboards/pe/overview.json", lambda board: board["panels"][1].update(id=1)),
    "data source other": ("dashboards/pe/overview.json", lambda board: _chart(board)["datasource"].update(uid="other")),
    "variable nobody": (
        "dashboards/pe/overview.json",
        lambda board: _chart(board)["targets"][0].update(query="SELECT $nobody"),
    ),
    "variable aggregate": ("dashboards/pe/overview.json", lambda board: board["templating"].update(list=[])),
    "unit furlong": (
        "dashboards/pe/overview.json",
        lambda board: _chart(board)["fieldConfig"]["defaults"].update(unit="furlong"),
    ),
    "no title": ("dashboards/home.json", lambda board: _chart(board).update(title=" ")),
    "uid ved-pe twice": ("dashboards/home.json", lambda board: board.update(uid="ved-pe")),
    "which no query names": (
        "dashboards/pe/overview.json",
        lambda board: _chart(board)["fieldConfig"]["overrides"].append({"matcher": {"options": "x"}, "properties": []}),
    ),
    "a $ in a query": (
        "provisioning/alerting/pe.yaml",
        lambda content: content["groups"][0]["rules"][0]["data"][0]["model"].update(query="$timeFilter"),
    ),
    "expression of Z": (
        "provisioning/alerting/pe.yaml",
        lambda content: content["groups"][0]["rules"][0]["data"][1]["model"].update(expression="Z"),
    ),
}


@pytest.mark.parametrize("said", FAULTS)
def test_the_rules_find_what_is_wrong(tmp_path: Path, said: str) -> None:
    for part in ("provisioning", "dashboards"):
        shutil.copytree(SHIPPED / part, tmp_path / part)
    path, change = FAULTS[said]
    _change(tmp_path / path, change)
    found = problems(tmp_path)
    assert any(said in one for one in found), found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    with influxd(tmp_path_factory.mktemp("influx") / "db") as influx:
        yield influx


def drive(name: str, url: str, *faults: str) -> None:
    """A simulated drive, from UTC_US on, in the database as the role writes it."""
    vehicle = load_vehicle(vehicles_folder() / name)
    simulated = simulate_columns(vehicle, SECONDS, 1, [Fault.parse(fault) for fault in faults])
    frames = FrameColumns.concatenate(list(simulated))
    sources = [
        DbcSource(bus.index, bus.name, dbc, text)
        for bus in vehicle.buses
        for dbc, text in zip(bus.dbc_names, bus.dbc_texts, strict=True)
    ]
    lines = Lines()
    source = Source(name, bytes(16), UTC_US, {bus.index: bus.name for bus in vehicle.buses})
    seq = np.arange(1, len(frames) + 1)
    LineWriter(100.0).frames(source, seq, frames, Decoder(load_set(sources)), lines)

    write(url, lines)


def write(url: str, lines: Lines) -> None:
    """As the role does."""

    async def send() -> None:
        client = InfluxClient(InfluxTarget(url))
        for body in bodies(lines.parts):
            assert await client.write(body) is None
        await client.close()

    asyncio.run(send())


def asked(query: str, function: str = "mean") -> str:
    """The query as Grafana sends it for the drive's span."""
    span = f"time >= {UTC_US - 1}u AND time < {UTC_US + SECONDS * 1_000_000}u"
    out = query.replace("${aggregate}", function).replace("$timeFilter", span).replace("$__interval", "500ms")
    assert "$" not in out
    return out


@pytest.mark.parametrize("name", ["pe", *(pytest.param(one, marks=pytest.mark.slow) for one in ("fs", "ps"))])
def test_every_query_of_every_panel_returns_its_series(server, name: str) -> None:
    server.query("DROP DATABASE ved")
    drive(name, server.url)
    count = 0
    boards = [SHIPPED / "dashboards" / "home.json", *sorted((SHIPPED / "dashboards" / name).glob("*.json"))]
    for board in map(read, boards):
        for panel in panels_of(board):
            for target in panel.get("targets", []):
                if f"'{name}'" not in target["query"]:
                    continue  # home shows all vehicles
                (series,) = server.series(asked(target["query"]))
                wanted = [text.replace('\\"', '"') for text in re.findall(r' AS "((?:[^"\\]|\\.)*)"', target["query"])]
                assert series["columns"] == ["time", *wanted]
                for at, title in enumerate(wanted, start=1):
                    values = [row[at] for row in series["values"] if row[at] is not None]
                    assert values, f"{panel['title']}: no values of {title}"
                    count += 1
    channels = len(Car(load_vehicle(vehicles_folder() / name)).channels)
    assert count > channels  # every signal is on a bus's dashboard, some on the overview besides
    for function in ("mean", "max", "min", "last", "median", "spread"):
        chart = _chart(read(SHIPPED / "dashboards" / name / "overview.json"))
        assert server.series(asked(chart["targets"][0]["query"], function))
    _alerts_have_values(server, name)


def _alerts_have_values(server, name: str) -> None:
    (group,) = read(SHIPPED / "provisioning" / "alerting" / f"{name}.yaml")["groups"]
    for rule in group["rules"]:
        query = rule["data"][0]["model"]["query"]
        whole = query.replace("time > now() - 30s", f"time > {UTC_US - 1}u")
        assert whole != query
        found = server.series(whole)
        if "count(" not in query:  # (a state that does not occur has no points to count)
            assert found[0]["values"][0][1] is not None, rule["uid"]


HOSTILE_DBC = """VERSION ""
BU_: A
BO_ 1 time: 8 A
 SG_ bus : 0|16@1+ (1,0) [0|0] "x'y" A
 SG_ from : 16|8@1+ (1,0) [0|0] "" A
VAL_ 1 from 0 "<b>'off'" 1 "on" ;
"""


def test_names_that_mean_something_elsewhere(server, tmp_path: Path) -> None:
    bus_name = 'o\'bus "1", a=b\\'
    texts = (ChannelTexts("time.bus", "O\"Brien's = 1, 2\\", ""), ChannelTexts("time.from", "${aggregate} $x é", ""))
    rule = Rule("a", "above", 'it\'s "hot"', "x", "critical", "time.bus", 3.0)
    vehicle = Vehicle(
        "odd",
        "Odd",
        "Odd",
        (VehicleBus(0, bus_name, 1, "", ("a.dbc",), (HOSTILE_DBC,)),),
        charts=(ChartPanel('Chart\'s "1"', "x", ("time.bus", "time.from")),),
        texts=texts,
        rules=(rule,),
    )
    for path, text in files_of([Car(vehicle)]).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    server.query("DROP DATABASE ved")
    frames = FrameColumns(
        np.arange(3) * 1000,
        np.zeros(3, np.uint8),
        np.ones(3, np.uint32),
        np.zeros(3, np.uint8),
        np.full(3, 8, np.uint8),
        np.full((3, 8), 1, np.uint8),
    )
    lines = Lines()
    decoder = Decoder(load_set([DbcSource(0, bus_name, "a", HOSTILE_DBC)]))
    LineWriter(0).frames(Source("odd", bytes(16), UTC_US, {}), np.arange(1, 4), frames, decoder, lines)
    write(server.url, lines)
    count = 0
    for path in sorted((tmp_path / "dashboards").rglob("*.json")):
        for panel in panels_of(read(path)):
            for target in panel.get("targets", []):
                query = target["query"].replace("${aggregate}(", "mean(").replace("$timeFilter", f"time >= {UTC_US}u")
                (series,) = server.series(
                    query.replace("$__interval", "1s").replace("u GROUP", f"u AND time < {UTC_US + 9_000_000}u GROUP")
                )
                assert any(value is not None for row in series["values"] for value in row[1:]), query
                count += 1
    assert count >= 5
    (alert,) = read(tmp_path / "provisioning/alerting/odd.yaml")["groups"][0]["rules"]
    (series,) = server.series(alert["data"][0]["model"]["query"].replace("now() - 30s", f"{UTC_US - 1}u"))
    assert series["values"][0][1] == 257


def test_an_alert_fires_where_its_limit_is_passed_and_not_elsewhere(server) -> None:
    rules = read(SHIPPED / "provisioning" / "alerting" / "pe.yaml")["groups"][0]["rules"]
    (rule,) = [one for one in rules if one["uid"] == "ved-pe-cell-voltage-critical"]
    a, b, c = rule["data"]
    assert (b["model"]["type"], b["model"]["expression"], c["model"]["expression"]) == ("reduce", "A", "B")
    (condition,) = c["model"]["conditions"]
    assert condition["evaluator"] == {"type": "lt", "params": [3.0]}
    query = a["model"]["query"].replace("time > now() - 30s", f"time > {UTC_US - 1}u")
    for volts, is_bad in ((3.1, False), (2.9, True)):
        server.query("DROP DATABASE ved")
        server.query("CREATE DATABASE ved")
        server.write("ved", [f"CellSummary,bus=main,vehicle=pe MinimumVoltage={volts} {UTC_US}"])
        (series,) = server.series(query)
        assert (series["values"][0][1] < 3.0) == is_bad


def rule(kind: str, severity: str, **more) -> Rule:
    return Rule("x", kind, "x", "x", severity, "a.b", **more)


@pytest.mark.parametrize(
    ("rules", "steps"),
    [
        ([], []),
        ([rule("above", "warning", limit=100.0)], [(None, "green"), (100.0, "orange")]),
        (
            [
                rule("below", "critical", limit=3.0),
                rule("below", "warning", limit=3.4),
                rule("above", "info", limit=4.2),
            ],
            [(None, "red"), (3.0, "orange"), (3.4, "green"), (4.2, "blue")],
        ),
        (
            [rule("above", "critical", limit=120.0), rule("above", "warning", limit=130.0)],
            [(None, "green"), (120.0, "red")],
        ),
        ([rule("outside", "warning", low=1.0, high=2.0)], [(None, "orange"), (1.0, "green"), (2.0, "orange")]),
        ([rule("no_data", "warning", for_ms=3)], []),
    ],
)
def test_thresholds_from_rules(rules, steps) -> None:
    assert [(step.value, step.color) for step in threshold_steps(rules)] == steps


def test_the_admin_has_no_default_password_and_nobody_is_let_in_unasked() -> None:
    text = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert re.search(r"GF_AUTH_ANONYMOUS_ENABLED` \| `false`", text)
    assert "GF_SECURITY_ADMIN_PASSWORD__FILE" in text
    every = "".join(files(SHIPPED).values())
    assert "password" in every
    assert re.findall(r'"password": "([^"]*)"', every) == ["$VED_INFLUX_PASSWORD"]


@pytest.mark.parametrize(
    ("names", "language", "said"),
    [(("nobody",), "en", "known are fs, pe, ps"), (("fs",), "de", "give en or fr")],
)
def test_bad_input_is_one_clear_line(tmp_path: Path, names, language, said) -> None:
    with pytest.raises(UserError, match=said):
        build(tmp_path, *names, language=language)
