"""The report of a load test: rows for a table, JSON, and an HTML page that needs nothing else."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from importlib.metadata import version
from typing import Any, Final

from ved.loadtest.chart import Chart, Line, bars_of, svg_of
from ved.loadtest.plan import P99_MS, Outcome
from ved.loadtest.search import Found

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--line:#d0d7de;--bad:#cf222e;--good:#1a7f37}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--line:#30363d;--bad:#ff7b72;--good:#3fb950}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:46rem;margin:2rem auto;
padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}
td,th{border-bottom:1px solid var(--line);padding:.25rem .8rem .25rem 0;text-align:left}
td:last-child{font-variant-numeric:tabular-nums}.bad{color:var(--bad)}.good{color:var(--good)}svg{width:100%;height:auto}
"""


def describe_load(outcome: Outcome) -> str:
    """The load in a line."""
    load = outcome.load
    cars = f"{load.cars} cars × {load.frames_per_s:,} frames/s over link '{load.link}'"
    return f"{cars}, {load.viewers} viewers × {load.signals} signals at {load.rate_hz:g}/s, {load.seconds:g} s"


def rows_of(outcome: Outcome) -> list[tuple[str, str]]:
    """What was measured, as (what, figure), for people."""
    rows = [
        (
            "capture to viewer, p50 / p90 / p99",
            " / ".join(_ms(one) for one in (outcome.p50_ms, outcome.p90_ms, outcome.p99_ms)),
        ),
        ("stored, sustained", f"{outcome.frames_per_s:,.0f} frames/s"),
        ("on the wire", f"{outcome.bytes_per_frame:.2f} B/frame"),
        ("frames captured", f"{outcome.captured:,}"),
        ("frames not stored", f"{outcome.lost:,}"),
        ("frames sent again", f"{outcome.resent:,} ({outcome.reconnects} reconnections)"),
        ("messages to viewers", f"{outcome.messages_per_s:,.0f}/s"),
        ("messages that viewers missed", f"{outcome.missed:,} ({outcome.behind} viewers behind)"),
    ]
    if outcome.lake is not None:
        lake = outcome.lake
        rows.append(("rows in the lake", f"{lake.rows:,} ({lake.missing:,} missing, {lake.duplicates:,} twice)"))
        rows.append(("all in the lake after", f"{lake.after_s:.1f} s"))
    used = (*outcome.roles, *outcome.generator)
    rows += [(one.name, f"{one.core:.0%} of a core, {one.rss_mb:,.0f} MB") for one in used]
    rows.append(("other programs", f"{outcome.others_core:.0%} of a core"))
    return rows


def verdict_of(outcome: Outcome) -> str:
    """Whether the promises were held."""
    broken = outcome.broken_promises
    return f"NOT held: {'; '.join(broken)}" if broken else "all promises held"


def found_text(of: str, found: Found) -> str:
    """The result of a search in a line."""
    if found.best == 0:
        return f"not even {found.worst} {of} hold the promises"
    end = "nothing more was tried" if found.worst is None else f"{found.worst} did not"
    return f"{found.best} {of} hold the promises; {end} ({found.trials} trials)"


def document_of(outcomes: Sequence[Outcome], searched: tuple[str, Found] | None) -> dict[str, Any]:
    """Everything, for JSON. The first of `outcomes` that matters to a reader is the last."""
    machine = {"cpus": os.cpu_count(), "system": platform.system(), "machine": platform.machine()}
    runs = [{**asdict(one), "promises_broken": list(one.broken_promises)} for one in outcomes]
    document: dict[str, Any] = {"version": 1, "ved": version("ved"), "machine": machine, "runs": runs}
    if searched is not None:
        document["find_max"] = {"of": searched[0], **asdict(searched[1])}
    return document


def html_of(outcomes: Sequence[Outcome], searched: tuple[str, Found] | None) -> str:
    """The page: the run that matters most (the last), and what a search went through."""
    main = outcomes[-1]
    parts = ["<h1>Load test</h1>"]
    if searched is not None:
        parts.append(f"<p><b>{escape(found_text(*searched))}</b></p>")
        parts.append(_search_chart(outcomes, searched[0]))
    is_good = "bad" if main.broken_promises else "good"
    parts.append(f"<p>{escape(describe_load(main))}</p><p class={is_good}>{escape(verdict_of(main))}</p>")
    parts += [f"<p class=bad>{escape(note)}</p>" for note in main.notes]
    cells = "".join(f"<tr><td>{escape(what)}</td><td>{escape(figure)}</td></tr>" for what, figure in rows_of(main))
    parts.append(f"<table>{cells}</table>")
    if main.shares:
        line = Line("samples", tuple((ms, 100 * share) for ms, share in main.shares))
        chart = Chart("From capture to the viewer", "delay in ms", "% of samples", (line,), None, y_most=100.0)
        parts.append(svg_of(chart))
    used = (*main.roles, *main.generator)
    parts.append(bars_of("Processors", "% of a core", [(one.name, 100 * one.core) for one in used]))
    parts.append(bars_of("Memory", "MB", [(one.name, one.rss_mb) for one in used]))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Load test</title><style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _search_chart(outcomes: Sequence[Outcome], of: str) -> str:
    points = {(one.load.cars if of == "cars" else one.load.viewers): one.p99_ms for one in outcomes}
    known = tuple((float(number), p99) for number, p99 in sorted(points.items()) if p99 is not None)
    lines = (Line("p99", known),)
    return svg_of(Chart("The search", of, "p99 in ms", lines, (P99_MS, f"{P99_MS:.0f} ms"), y_most=3 * P99_MS))


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{value:.0f} ms"
