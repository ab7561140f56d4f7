"""What must hold of a folder of provisioned Grafana files; the SDK that makes them checks nothing."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ved.influx.grafana.units import is_known

BUILT_IN = {"timeFilter", "__interval"}
CONTENT_ONLY = {"text", "dashlist", "row"}
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def read(path: Path) -> Any:
    """A JSON file, or a YAML file of one comment and JSON."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text.split("\n", 1)[1] if path.suffix == ".yaml" else text)


def panels_of(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels, those of closed rows too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def problems(folder: Path) -> list[str]:
    """All that is wrong, one line each; nothing where all is well."""
    sources = {one["uid"] for one in read(folder / "provisioning/datasources/ved.yaml")["datasources"]}
    boards = {path.relative_to(folder): read(path) for path in sorted(folder.glob("dashboards/**/*.json"))}
    out = [f"uid {uid} twice" for uid in _twice(board["uid"] for board in boards.values())]
    for path, board in boards.items():
        out += [f"{path}: {problem}" for problem in _board(board, sources)]
    for parent in {path.parent for path in boards}:
        titles = [board["title"] for path, board in boards.items() if path.parent == parent]
        out += [f"{parent}: title {title} twice" for title in _twice(titles)]
    groups = [group for path in sorted(folder.glob("provisioning/alerting/*.yaml")) for group in read(path)["groups"]]
    rules = [rule for group in groups for rule in group["rules"]]
    out += [f"alert uid {uid} twice" for uid in _twice(rule["uid"] for rule in rules)]
    for group in groups:
        out += [f"alert group {group['name']}: {problem}" for problem in _alerts(group, sources)]
    if "home.json" not in {path.name for path in boards}:
        out.append("no home dashboard")
    return out


def _board(board: dict[str, Any], sources: set[str]) -> Iterator[str]:
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", board["uid"]):
        yield f"uid {board['uid']}"
    if not board["title"]:
        yield "no title"
    panels = list(panels_of(board))
    yield from (f"panel id {one} twice" for one in _twice(panel["id"] for panel in panels))
    yield from _grid(board["panels"])
    for row in board["panels"]:
        yield from _grid(row.get("panels", []))
    known = BUILT_IN | {one["name"] for one in board.get("templating", {}).get("list", [])}
    for panel in panels:
        yield from (f"panel {panel['id']}: {problem}" for problem in _panel(panel, sources, known))


def _panel(panel: dict[str, Any], sources: set[str], variables: set[str]) -> Iterator[str]:
    if not panel["title"].strip():
        yield "no title"
    targets = panel.get("targets", [])
    if panel["type"] in CONTENT_ONLY:
        return
    if not targets:
        yield "no query"
    yield from (f"query {one} twice" for one in _twice(target["refId"] for target in targets))
    for owner in (panel, *targets):
        if owner["datasource"]["uid"] not in sources:
            yield f"data source {owner['datasource']['uid']}"
    names = set()
    for target in targets:
        used = {one or other for one, other in VARIABLE.findall(target["query"])}
        yield from (f"variable {name}" for name in sorted(used - variables))
        names |= set(re.findall(r' AS "((?:[^"\\]|\\.)*)"', target["query"]))
    yield from _looks(panel, names)


def _looks(panel: dict[str, Any], names: set[str]) -> Iterator[str]:
    """Units, overrides and thresholds."""
    for unit in _units(panel):
        if not is_known(unit):
            yield f"unit {unit}"
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"]["options"].replace('"', '\\"') not in names:
            yield f"override of {override['matcher']['options']}, which no query names"
    for steps in _thresholds(panel):
        values = [step["value"] for step in steps]
        if values[0] is not None or values[1:] != sorted(set(values[1:])):
            yield f"thresholds {values}"


def _units(panel: dict[str, Any]) -> Iterator[str]:
    if "unit" in panel["fieldConfig"]["defaults"]:
        yield panel["fieldConfig"]["defaults"]["unit"]
    for override in panel["fieldConfig"]["overrides"]:
        yield from (one["value"] for one in override["properties"] if one["id"] == "unit")


def _thresholds(panel: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    if "thresholds" in panel["fieldConfig"]["defaults"]:
        yield panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    for override in panel["fieldConfig"]["overrides"]:
        yield from (one["value"]["steps"] for one in override["properties"] if one["id"] == "thresholds")


def _grid(panels: list[dict[str, Any]]) -> Iterator[str]:
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] < 0 or place["y"] < 0 or place["w"] < 1 or place["h"] < 1 or place["x"] + place["w"] > 24:
            yield f"panel {panel['id']}: outside of 24 columns"
    for one, other in itertools.combinations(panels, 2):
        a, b = one["gridPos"], other["gridPos"]
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        if not beside and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]:
            yield f"panels {one['id']} and {other['id']} overlap"


def _alerts(group: dict[str, Any], sources: set[str]) -> Iterator[str]:
    interval_s = int(group["interval"].removesuffix("s"))
    if interval_s % 10:
        yield f"interval {interval_s} s"
    yield from (f"title {one} twice" for one in _twice(rule["title"] for rule in group["rules"]))
    for rule in group["rules"]:
        ids = [one["refId"] for one in rule["data"]]
        if rule["condition"] not in ids:
            yield f"{rule['uid']}: condition {rule['condition']}"
        if len(rule["uid"]) > 40:
            yield f"{rule['uid']}: too long"
        if int(rule["for"].removesuffix("s")) % interval_s:
            yield f"{rule['uid']}: for {rule['for']}"
        for number, one in enumerate(rule["data"]):
            if one["datasourceUid"] not in sources | {"__expr__"}:
                yield f"{rule['uid']}: data source {one['datasourceUid']}"
            if "$" in json.dumps(one["model"]):
                yield f"{rule['uid']}: a $ in a query"
            if one["datasourceUid"] == "__expr__" and one["model"]["expression"] not in ids[:number]:
                yield f"{rule['uid']}: expression of {one['model']['expression']}"


def _twice(values: Any) -> list[Any]:
    found = list(values)
    return sorted({one for one in found if found.count(one) > 1})
