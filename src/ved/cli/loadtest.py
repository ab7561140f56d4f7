"""`ved loadtest`: cars and viewers against a server, measured."""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from ved.cli.loadtest_target import Far, Rig, far_rig, near_rig, notes, scratch_server
from ved.cli.simulate import find_vehicle
from ved.config.settings import ServerSettings
from ved.errors import UserError
from ved.loadtest.plan import MAX_CARS, MAX_VIEWERS, Load, Outcome
from ved.loadtest.report import describe_load, document_of, found_text, html_of, rows_of, verdict_of
from ved.loadtest.search import Found, find_max
from ved.loadtest.trial import run_trial

VEHICLE: Final = "fs"
console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for, beside the load: where it goes (`far`; a server made for it; else the data folder's),
    what to search the highest number of, and where the reports are written.
    """

    far: Far | None
    is_scratch: bool
    is_owner: bool
    is_kept: bool
    find: str | None
    json_path: Path | None
    html_path: Path | None


def run_loadtest(load: Load, wish: Wish, settings: ServerSettings) -> bool:
    """Run, print, write; False when a promise was broken (of a search: when nothing held)."""
    _check(load, wish)
    with contextlib.ExitStack() as stack:
        if wish.far is not None:
            rig = stack.enter_context(far_rig(load, wish.far, is_owner=wish.is_owner))
        else:
            if wish.is_scratch:
                settings = stack.enter_context(scratch_server())
            is_kept = wish.is_kept or wish.is_scratch
            rig = stack.enter_context(near_rig(settings, is_owner=wish.is_owner, is_kept=is_kept))
        return _run(load, wish, settings, rig)


def _check(load: Load, wish: Wish) -> None:
    load.check()
    if wish.find not in (None, "cars", "viewers"):
        raise UserError(f"--find-max {wish.find}: give cars or viewers")
    if wish.find is not None and load.viewers < 1:
        raise UserError("--find-max needs a viewer, who sees how late things come; give --viewers 1 or more")
    if wish.is_scratch and wish.far is not None:
        raise UserError("--scratch starts a server of its own; leave out --server")
    for path in (wish.json_path, wish.html_path):
        if path is not None and not path.resolve().parent.is_dir():
            raise UserError(f"{path}: there is no folder {path.resolve().parent}; make it, or choose another file")


def _run(load: Load, wish: Wish, settings: ServerSettings, rig: Rig) -> bool:
    vehicle = find_vehicle(VEHICLE, settings.data)
    outcomes: list[Outcome] = []

    def trial(one: Load) -> Outcome:
        outcome = run_trial(one, rig.target_for(one.cars), vehicle, lambda text: notes.print(f"… {text}"))
        outcomes.append(outcome)
        return outcome

    searched: tuple[str, Found] | None = None
    if wish.find is None:
        trial(load)
    else:
        searched = (wish.find, _search(load, wish.find, trial))
        held = [one for one in outcomes if not one.broken_promises]
        best = max(held, key=lambda one: one.load.cars + one.load.viewers, default=outcomes[-1])
        outcomes = [*(one for one in outcomes if one is not best), best]
    _print(outcomes[-1])
    if searched is not None:
        console.print(found_text(*searched), markup=False)
    _write(wish, outcomes, searched)
    return searched[1].best > 0 if searched else not outcomes[-1].broken_promises


def _search(load: Load, of: str, trial: Callable[[Load], Outcome]) -> Found:
    most = MAX_CARS if of == "cars" else MAX_VIEWERS

    def holds(number: int) -> bool:
        outcome = trial(load.with_number(of, number))
        p99 = "none" if outcome.p99_ms is None else f"{outcome.p99_ms:.0f} ms"
        console.print(
            f"{number} {of}: p99 {p99}, {outcome.frames_per_s:,.0f} frames/s: {verdict_of(outcome)}", markup=False
        )
        return not outcome.broken_promises

    return find_max(holds, load.cars if of == "cars" else load.viewers, most)


def _print(outcome: Outcome) -> None:
    console.print(describe_load(outcome), markup=False)
    table = Table(box=None, show_header=False)
    for what, figure in rows_of(outcome):
        table.add_row(what, figure)
    console.print(table)
    for note in outcome.notes:
        console.print(f"note: {note}", markup=False)
    console.print(verdict_of(outcome), markup=False)


def _write(wish: Wish, outcomes: Sequence[Outcome], searched: tuple[str, Found] | None) -> None:
    for path, text in (
        (wish.json_path, json.dumps(document_of(outcomes, searched), indent=1)),
        (wish.html_path, html_of(outcomes, searched)),
    ):
        if path is not None:
            try:
                path.write_text(text)
            except OSError as error:
                raise UserError(f"{path}: cannot write this file ({error.strerror})") from None
            notes.print(f"{path} is written", markup=False)
