"""How findings are shown."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.text import Text

from ved.cli.doctor.finding import Finding

console = Console(highlight=False, soft_wrap=True, markup=False)
_COLOURS: Final = {"ok": "green", "warning": "bold yellow", "problem": "bold red"}


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> bool:
    """One line each, then a sum; False when one is a problem."""
    counts = Counter(one.state for one in findings)
    is_good = not counts["problem"]
    if as_json:
        print(json.dumps({"is_good": is_good, "findings": [asdict(one) for one in findings]}))
        return is_good
    width = max(len(one.check) for one in findings)
    for one in findings:
        line = Text(f"{one.state:8}", style=_COLOURS[one.state])
        line.append(f"{one.check:{width}}  {one.text}", style="default")
        if one.advice:
            line.append(f"  ->  {one.advice}", style="default")
        console.print(line)
    console.print(f"problems: {counts['problem']}, warnings: {counts['warning']}, in order: {counts['ok']}")
    return is_good
