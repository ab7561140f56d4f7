"""A soak's figures as plots and as a table for docs/soak.md.

PYTHONPATH=. python -m tests.soak.report ved-soak
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from tests.soak.measure import read_lines

ROOT: Final = Path(__file__).resolve().parents[2]
DOC: Final = ROOT / "docs" / "soak.md"
IMAGES: Final = ROOT / "docs" / "img"
BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"
COLOURS: Final = ("#0b6bcb", "#c4410c", "#1a7f37", "#8250df", "#9a6700", "#bf3989", "#57606a", "#0a3069")
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, LEGEND = 900, 320, 60, 30, 40, 130
BROKEN: Final = -1.0
Points = list[tuple[float, float]]


@dataclass
class Plot:
    """Lines over minutes; a point of BROKEN ends its line, and the next begins it anew."""

    title: str
    unit: str
    lines: dict[str, Points]
    marks: Sequence[tuple[float, float]] = ()
    """Spans of time (minutes) that are shaded."""

    def svg(self) -> str:
        points = [point for line in self.lines.values() for point in line]
        end = max(x for x, _ in points)
        top = max(y for _, y in points) * 1.05 or 1.0
        right = WIDTH - LEGEND

        def at(x: float, y: float) -> str:
            return f"{LEFT + x / end * (right - LEFT):.1f},{HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM):.1f}"

        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        out = [f'{head}font-family="sans-serif" font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
        out.append(f'<text x="{LEFT}" y="18" font-size="14">{self.title}</text>')
        for begin, until in self.marks:
            x = LEFT + begin / end * (right - LEFT)
            wide = max(1.0, (min(until, end) - begin) / end * (right - LEFT))
            out.append(
                f'<rect x="{x:.1f}" y="{TOP}" width="{wide:.1f}" height="{HEIGHT - TOP - BOTTOM}" fill="#c4410c" '
                'opacity="0.12"/>'
            )
        for tick in ticks(top):
            place = at(0, tick).split(",")[1]
            out.append(
                f'<path d="M{LEFT} {place}H{right}" stroke="#d0d7de"/>'
                f'<text x="{LEFT - 6}" y="{float(place) + 4:.1f}" text-anchor="end">{tick:g}</text>'
            )
        for tick in ticks(end):
            place = at(tick, 0).split(",")[0]
            out.append(f'<text x="{place}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
        out.append(f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="end">minutes; {self.unit}</text>')
        for number, (name, line) in enumerate(self.lines.items()):
            colour = COLOURS[number % len(COLOURS)]
            out.append(
                f'<path d="{self._path(line, at)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
                f'<text x="{right + 10}" y="{TOP + 14 + 18 * number}" fill="{colour}">{name}</text>'
            )
        return "\n".join([*out, "</svg>\n"])

    def _path(self, line: Points, at: Any) -> str:
        parts, pen = [], "M"
        for x, y in line:
            if y == BROKEN:
                pen = "M"
            else:
                parts.append(f"{pen}{at(x, y)}")
                pen = "L"
        return "".join(parts)


def ticks(top: float) -> list[float]:
    """About five round numbers up to `top`."""
    rough = top / 5
    step = 10 ** np.floor(np.log10(rough))
    step *= next(factor for factor in (1, 2, 5, 10) if step * factor >= rough)
    return [round(float(step * number), 6) for number in range(int(top / step) + 1)]


def memory_and_files(out: Path) -> tuple[Plot, Plot]:
    """Of every process but the harness and the viewers; where a process was started anew its line ends."""
    memory: dict[str, Points] = {}
    files: dict[str, Points] = {}
    pids: dict[str, int] = {}
    for one in read_lines(out / "samples.jsonl"):
        name = one["name"]
        if name in ("harness", "viewers"):
            continue
        x = one["at_s"] / 60
        for lines, value in ((memory, one["mib"]), (files, one["files"])):
            line = lines.setdefault(name, [])
            if pids.get(name, one["pid"]) != one["pid"]:
                line.append((x, BROKEN))
            line.append((x, float(value)))
        pids[name] = one["pid"]
    return (
        Plot("Memory of each process (its own, without what it shares)", "MiB", memory),
        Plot("Open files of each process", "files", files),
    )


def latency(out: Path, result: dict[str, Any], begin_s: float) -> Plot:
    """Per minute, over all viewers."""
    by_minute: dict[int, list[float]] = {}
    for line in read_lines(out / "viewers.jsonl"):
        if "mono_s" in line:
            ages = [age for values in line["ages_ms"].values() for age in values]
            by_minute.setdefault(int((line["mono_s"] - begin_s) / 60), []).extend(ages)
    minutes = {minute: ages for minute, ages in sorted(by_minute.items()) if ages and minute >= 0}
    lines = {
        f"p{q}": [(minute + 0.5, float(np.percentile(ages, q))) for minute, ages in minutes.items()] for q in (50, 90)
    }
    marks = [(one["from_s"] / 60, one["to_s"] / 60) for one in result["faults"]]
    return Plot("From a frame's making in the car to the viewer; shaded: a fault", "ms", lines, marks)


def table(result: dict[str, Any]) -> str:
    """The lines of docs/soak.md."""
    verdict = result["verdict"]
    kinds: dict[str, int] = {}
    for one in result["faults"]:
        target = one["plan"]["target"]
        sort = "a car" if target in ("fs", "pe", "ps") else "the whole server" if target == "server" else "a role"
        kinds[f"{one['plan']['kind']} of {sort}"] = kinds.get(f"{one['plan']['kind']} of {sort}", 0) + 1
    faults = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items()))
    seen = result["seen"]
    what = (
        f"Seed {result['seed']}, {result['minutes']:.0f} minutes, 3 cars, {result['viewers']} viewers, "
        f"{len(result['faults'])} faults: {faults}. Mean load of the machine: {result['load_mean']:.0f} "
        "(two processors)."
    )
    came = (
        f"**Frames: {verdict['frames']:,} true, {verdict['stored']:,} stored, {verdict['missing']:,} missing, of these "
        f"{verdict['declared']:,} declared lost; {verdict['duplicated']} twice; {verdict['lives']} lives of the "
        f"agents.** Viewers got {seen['messages']:,} messages ({seen['bytes'] / 1e6:.0f} MB), connected "
        f"{seen['connects']} times, and were told of {seen['missed']:,} messages that they were too slow for."
    )
    rows = [what, "", came, "", f"Problems: {'; '.join(grouped(result['problems'])) or 'none'}.", ""]
    rows += ["| process | processor | memory: first, last | growth (allowed) | files: first, last | looked at |"]
    rows += ["|---|---|---|---|---|---|"]
    flat = {(one["name"], one["what"]): one for one in result["flat"]}
    for name, percent in result["cpu_percent"].items():
        memory, files = flat.get((name, "mib")), flat.get((name, "files"))
        if memory is None or files is None:
            continue
        grew = f"{memory['growth']:+.1f} MiB ({memory['allowed']:.0f})"
        held = f"{memory['first']:.0f}, {memory['last']:.0f} MiB"
        opened = f"{files['first']:.0f}, {files['last']:.0f}"
        rows.append(f"| {name} | {percent:.1f} % | {held} | {grew} | {opened} | {memory['minutes']:.0f} min |")
    rows += ["", "| age at the viewer, ms | first half, calm: p50, p90, p99 | second half, calm |", "|---|---|---|"]
    for vehicle, parts in result["ages_ms"].items():
        rows.append(f"| {vehicle} | {shown(parts['early calm'])} | {shown(parts['late calm'])} |")
    rows += ["", "| | first half: p50, p90, p99 | second half |", "|---|---|---|"]
    for name, parts in result["roles"].items():
        unit = "ms" if name.endswith("lag") else "frames"
        rows.append(f"| {name}, {unit} | {shown(parts['early'])} | {shown(parts['late'])} |")
    return "\n".join(rows)


def grouped(problems: Sequence[str]) -> list[str]:
    """Viewers with the same problem as one."""
    counts = Counter(re.sub(r"^viewer \d+ is", "viewers are", text) for text in problems)
    return [f"{count} {text}" if text.startswith("viewers are") else text for text, count in counts.items()]


def shown(part: dict[str, float]) -> str:
    return f"{part['p50']:.0f}, {part['p90']:.0f}, {part['p99']:.0f}" if part["n"] else "none"


def main(out: Path) -> None:
    result = json.loads((out / "result.json").read_text())
    memory, files = memory_and_files(out)
    IMAGES.mkdir(exist_ok=True)
    plots = {"memory": memory, "files": files, "latency": latency(out, result, result["begin_mono_s"])}
    for name, plot in plots.items():
        (IMAGES / f"soak-{name}.svg").write_text(plot.svg())
    text = DOC.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOC.write_text(f"{before}{BEGIN}\n{table(result)}\n{END}{after}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
