"""What cars and viewers cost a server on this machine, from `ved loadtest`; beside it the peers' pattern (MQTT).

usage: bench_loadtest.py [--seconds 6] [--minutes 15] [--docs] [--from-json]

Each figure is a run of its own against a server of its own: 1 to 64 cars of 6,000 frames/s with 10 viewers, and 10 to
1,000 viewers (20 signals at 100 samples/s) of one car. Then the highest number that holds the promises, by halving.
With `--docs` it writes docs/loadtest.json, docs/img/loadtest-*.svg, and the part of docs/loadtest.md between its two
marks; `--from-json` makes plots and tables again from docs/loadtest.json.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bench_peers_mqtt
import numpy as np

from ved.cli.loadtest_target import near_rig, scratch_server
from ved.config.places import vehicles_folder
from ved.config.vehicle import load_vehicle
from ved.errors import VedError
from ved.loadtest.chart import Chart, Line, svg_of
from ved.loadtest.plan import P99_MS, Load, Outcome
from ved.loadtest.trial import run_trial

CARS = (1, 4, 16, 64, 2, 8, 32)
VIEWERS = (10, 100, 1000, 50, 250, 500)
HALVINGS = 3
FULL_CORES = 1.9
DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- figures: made by benchmarks/bench_loadtest.py -->", "<!-- end of figures -->"
BASE = Load(cars=1, frames_per_s=6000, viewers=10, signals=20, rate_hz=100.0)

Row = dict[str, Any]


def run(load: Load) -> Outcome:
    """One run against a fresh server."""
    car = load_vehicle(vehicles_folder() / "fs")
    with scratch_server() as settings, near_rig(settings, is_owner=False, is_kept=True) as rig:
        return run_trial(load, rig.target_for(load.cars), car, lambda _: None)


def row_of(number: int, outcome: Outcome) -> Row:
    lake = outcome.lake
    return {
        "number": number,
        "p50_ms": outcome.p50_ms,
        "p90_ms": outcome.p90_ms,
        "p99_ms": outcome.p99_ms,
        "frames_per_s": outcome.frames_per_s,
        "messages_per_s": outcome.messages_per_s,
        "bytes_per_frame": outcome.bytes_per_frame,
        "lost": outcome.lost,
        "missed": outcome.missed,
        "behind": outcome.behind,
        "lake_after_s": None if lake is None else lake.after_s,
        "lake_missing": None if lake is None else lake.missing,
        "lake_twice": None if lake is None else lake.duplicates,
        "core": {one.name: one.core for one in outcome.roles},
        "rss_mb": {one.name: one.rss_mb for one in outcome.roles},
        "generator_core": sum(one.core for one in outcome.generator),
        "others_core": outcome.others_core,
        "broken": list(outcome.broken_promises),
    }


class Sweep:
    """Runs at several numbers of `of`, then between the highest that held and the next."""

    def __init__(self, of: str, base: Load, until_s: float, save: Callable[[], None]) -> None:
        self.of = of
        self._base = base
        self._until_s = until_s
        self._save = save
        self.rows: list[Row] = []
        self.best = 0

    def go(self, numbers: tuple[int, ...]) -> None:
        for number in numbers:
            self._try(number)
        for _ in range(HALVINGS):
            held = [row["number"] for row in self.rows if not row["broken"]]
            broken = [row["number"] for row in self.rows if row["broken"]]
            low = max((one for one in held if all(one < other for other in broken)), default=0)
            high = min(broken, default=None)
            self.best = low
            if not low or high is None or high - low <= max(1, low // 12):
                break
            self._try((low + high) // 2)
        held = [row["number"] for row in self.rows if not row["broken"]]
        self.best = max(
            (one for one in held if all(one < row["number"] for row in self.rows if row["broken"])), default=0
        )
        self._save()

    def _try(self, number: int) -> None:
        if time.monotonic() > self._until_s:
            print(f"{number} {self.of}: left out, the time is over", flush=True)
            return
        try:
            outcome = run(self._base.with_number(self.of, number))
        except VedError as error:
            print(f"{number} {self.of}: {error}", flush=True)
            return
        row = row_of(number, outcome)
        self.rows.append(row)
        self.rows.sort(key=lambda one: one["number"])
        p99 = "none" if row["p99_ms"] is None else f"{row['p99_ms']:.0f} ms"
        cores = ", ".join(f"{name} {core:.0%}" for name, core in row["core"].items())
        held = "held" if not row["broken"] else "; ".join(row["broken"])
        print(f"{number} {self.of}: p99 {p99}, {row['frames_per_s']:,.0f} frames/s, {cores}: {held}", flush=True)
        self._save()


def measure(seconds: float, minutes: float, save: Callable[[Row], None]) -> Row:
    """All of it; `save` gets what is there after each run."""
    until_s = time.monotonic() + minutes * 60
    document: Row = {"when": datetime.now(UTC).date().isoformat(), "seconds": seconds}
    print("peers' pattern: a JSON message per signal over MQTT, points in InfluxDB", flush=True)
    try:
        document["peer"] = asdict(bench_peers_mqtt.measure(4.0, 10))
    except (OSError, RuntimeError, AssertionError) as error:
        print(f"left out: {error}")
        document["peer"] = None
    for of, numbers, base in (
        ("cars", CARS, replace(BASE, seconds=seconds)),
        ("viewers", VIEWERS, replace(BASE, seconds=seconds)),
    ):
        span_s = until_s if of == "viewers" else time.monotonic() + (until_s - time.monotonic()) * 0.6

        def keep(sweep: "Sweep", of: str = of) -> None:
            document[of], document[f"most_{of}"] = sweep.rows, sweep.best
            save(document)

        sweep = Sweep(of, base, span_s, lambda: keep(sweep))  # noqa: B023  # called before the next turn
        sweep.go(numbers)
    others = [row["others_core"] for of in ("cars", "viewers") for row in document[of]]
    document["others_core"] = statistics.median(others) if others else 0.0
    return document


def steady(rows: list[Row]) -> list[Row]:
    """Runs whose figures say what a car or viewer costs: nothing was lost, and the machine was not full."""
    return [row for row in rows if not row["lost"] and sum(row["core"].values()) + row["generator_core"] < FULL_CORES]


def slope(rows: list[Row], role: str) -> tuple[float, float]:
    """(cores without any, cores for each more) of a role, by a straight line through the steady runs."""
    found = [(row["number"], row["core"].get(role, 0.0)) for row in steady(rows)]
    if len(found) < 2:
        return 0.0, 0.0
    per_one, base = np.polyfit([n for n, _ in found], [core for _, core in found], 1)
    return float(base), float(per_one)


def table(rows: list[Row], of: str) -> list[str]:
    roles = sorted({role for row in rows for role in row["core"]})
    head = [
        of,
        "p50",
        "p99",
        "frames/s stored",
        "messages/s",
        *(f"{role}, core" for role in roles),
        "memory",
        "promises",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [
            f"{row['number']:,}",
            *("none" if row[key] is None else f"{row[key]:.0f} ms" for key in ("p50_ms", "p99_ms")),
            f"{row['frames_per_s']:,.0f}",
            f"{row['messages_per_s']:,.0f}",
            *(f"{row['core'].get(role, 0.0):.0%}" for role in roles),
            f"{sum(row['rss_mb'].values()):,.0f} MB",
            "held" if not row["broken"] else "not held: " + "; ".join(row["broken"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def paper(document: Row) -> list[str]:
    """What 1,000 cars would need, by straight lines through what was measured."""
    cars = steady(document["cars"])
    if len(cars) < 2:
        return ["Too few steady runs to say what 1,000 cars would need."]
    roles = sorted({role for row in cars for role in row["core"]})
    lines = ["| role | a car, ms of a core per second | 1,000 cars, cores |", "|---|---|---|"]
    total = 0.0
    for role in roles:
        base, per_one = slope(document["cars"], role)
        total += base + 1000 * per_one
        lines.append(f"| {role} | {1000 * per_one:.1f} | {base + 1000 * per_one:.1f} |")
    size = statistics.median(row["bytes_per_frame"] for row in cars)
    wire = 1000 * BASE.frames_per_s * size
    lines += [
        "",
        f"Together {total:.0f} cores for {1000 * BASE.frames_per_s:,} frames/s.",
        f"Up the wire {wire * 8 / 1e6:,.0f} Mbit/s ({size:.2f} B/frame).",
        f"Into the lake, at the budget of 5.7 B/frame, {6 * 5.7:,.0f} MB/s: {6 * 5.7 * 0.0864:.1f} TB a day.",
    ]
    return lines


def beside(document: Row) -> list[str]:
    """The peers' pattern and ours."""
    peer, cars = document.get("peer"), document["cars"]
    if not peer or not cars or not peer["frames_per_s"]:
        return ["The peers' pattern was not measured in this run."]
    most = document["most_cars"] * BASE.frames_per_s
    at = next((row for row in cars if row["number"] == document["most_cars"]), cars[0])
    ours_us = sum(at["core"].values()) / max(at["frames_per_s"], 1.0) * 1e6
    rows = [
        ("highest sustained, frames/s", most, peer["frames_per_s"], most / peer["frames_per_s"]),
        ("processor, µs a frame", ours_us, peer["cpu_us_per_frame"], peer["cpu_us_per_frame"] / max(ours_us, 1e-9)),
        (
            "on the wire, bytes a frame",
            at["bytes_per_frame"],
            peer["bytes_per_frame"],
            peer["bytes_per_frame"] / at["bytes_per_frame"],
        ),
    ]
    lines = ["| | ours | MQTT JSON to InfluxDB | ratio |", "|---|---|---|---|"]
    lines += [f"| {what} | {ours:,.1f} | {theirs:,.1f} | {ratio:,.1f}× |" for what, ours, theirs, ratio in rows]
    signals = f"{peer['signals_per_frame']:.1f} signals a frame, {peer['signals_per_s']:,.0f} signals/s at its highest"
    cores = (
        f"consumer {peer['consumer_core']:.0%}, mosquitto {peer['broker_core']:.0%}, InfluxDB {peer['store_core']:.0%}"
    )
    lines += ["", f"Theirs: {signals}; {cores} of a core.", f"Ours: all roles, {at['number']} cars, viewers served."]
    return lines


def compared(document: Row) -> list[str]:
    """Against the budgets of the design."""
    forty = next((row for row in document["cars"] if row["number"] >= 40), None)
    five_hundred = next((row for row in document["viewers"] if row["number"] == 500), None)
    lines = ["| budget | found |", "|---|---|"]
    most = f"{document['most_cars']} cars hold the promises ({document['most_cars'] * BASE.frames_per_s:,} frames/s)"
    lines.append(
        f"| 40 cars × 6,000 frames/s into journal and lake | {most}, generator and 10 viewers on the same cores |"
    )
    if five_hundred is not None:
        web = five_hundred["core"].get("web", 0.0)
        p99 = "nothing came" if five_hundred["p99_ms"] is None else f"p99 {five_hundred['p99_ms']:.0f} ms"
        budget = (
            "500 viewers × 20 signals at 100/s on one core, p99 ≤ 100 ms after a batch is cut (200 ms from capture)"
        )
        found = f"{p99} from capture, web {web:.0%} of a core; {document['most_viewers']} viewers hold the promises"
        lines.append(f"| {budget} | {found} |")
    if forty is not None and forty["number"] != document["most_cars"]:
        held = "held" if not forty["broken"] else "not held"
        lines.append(f"| | {forty['number']} cars: {forty['frames_per_s']:,.0f} frames/s stored, {held} |")
    return lines


def plots(document: Row) -> dict[str, str]:
    out = {}
    for of in ("cars", "viewers"):
        rows = document[of]
        if not rows:
            continue
        roles = sorted({role for row in rows for role in row["core"]})
        lines = [Line(role, tuple((row["number"], row["core"].get(role, 0.0)) for row in rows)) for role in roles]
        lines.append(Line("generator", tuple((row["number"], row["generator_core"]) for row in rows)))
        out[f"loadtest-{of}-cpu"] = svg_of(
            Chart(f"Processors, by number of {of}", of, "cores", tuple(lines), is_doubling=True)
        )
        delays = [
            Line(name, tuple((row["number"], row[key]) for row in rows if row[key] is not None))
            for name, key in (("p50", "p50_ms"), ("p90", "p90_ms"), ("p99", "p99_ms"))
        ]
        limit = (P99_MS, f"promise: {P99_MS:.0f} ms")
        out[f"loadtest-{of}-delay"] = svg_of(
            Chart(f"Capture to viewer, by number of {of}", of, "ms (cut off above)", tuple(delays), limit,
                  is_doubling=True, y_most=3 * P99_MS)
        )  # fmt: skip
    return out


def write_docs(document: Row) -> None:
    (DOCS / "loadtest.json").write_text(json.dumps(document, indent=1) + "\n")
    for name, svg in plots(document).items():
        (DOCS / "img" / f"{name}.svg").write_text(svg)
    busy = document.get("others_core", 0.0)
    quiet = "alone on the machine" if busy < 0.2 else f"**while other programs used {busy:.1f} of the cores: too slow**"
    text = [
        BEGIN,
        "",
        f"Measured on {document['when']}, two shared x86-64 cores, {document['seconds']:g} s each, {quiet}.",
        "The generator runs on the same cores.",
        "",
        "### Against the design's budgets",
        "",
        *compared(document),
        "",
        "### 1 to 64 cars (6,000 frames/s each), 10 viewers",
        "",
        *table(document["cars"], "cars"),
        "",
        "![processors by number of cars](img/loadtest-cars-cpu.svg)",
        "![delay by number of cars](img/loadtest-cars-delay.svg)",
        "",
        "### 10 to 1,000 viewers (20 signals at 100 samples/s), one car",
        "",
        *table(document["viewers"], "viewers"),
        "",
        "![processors by number of viewers](img/loadtest-viewers-cpu.svg)",
        "![delay by number of viewers](img/loadtest-viewers-delay.svg)",
        "",
        "### Beside the peers' pattern, in the same run",
        "",
        *beside(document),
        "",
        "### On paper: 1,000 cars",
        "",
        *paper(document),
        "",
        END,
    ]
    page = DOCS / "loadtest.md"
    whole = page.read_text()
    before, after = whole.split(BEGIN)[0], whole.split(END)[1]
    page.write_text(before + "\n".join(text) + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--from-json", action="store_true")
    given = parser.parse_args()
    if given.from_json:
        document = json.loads((DOCS / "loadtest.json").read_text())
    else:
        partial = Path(tempfile.gettempdir()) / "ved-loadtest-partial.json"
        document = measure(given.seconds, given.minutes, lambda so_far: partial.write_text(json.dumps(so_far)) and None)
        partial.unlink(missing_ok=True)
    if given.docs or given.from_json:
        write_docs(document)
    print("\n".join([*compared(document), "", *beside(document), "", *paper(document)]))


if __name__ == "__main__":
    main()
