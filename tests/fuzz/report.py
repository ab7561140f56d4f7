"""What fuzzing did, as the table of docs/security.md.

PYTHONPATH=. python -m tests.fuzz.report ved-fuzz/outcomes.json…
"""

import json
import sys
from pathlib import Path
from typing import Final

DOC: Final = Path(__file__).resolve().parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- fuzz begin -->", "<!-- fuzz end -->"


def table(paths: list[Path]) -> str:
    """One line a target, runs of several files added up; the targets with the most inputs first."""
    found: dict[str, dict[str, float]] = {}
    for path in paths:
        for one in json.loads(path.read_text()):
            if one["is_good"]:
                sums = found.setdefault(one["target"], {"inputs": 0, "seconds": 0.0, "edges": 0, "peak_mb": 0})
                sums["inputs"] += one["inputs"]
                sums["seconds"] += one["seconds"]
                sums["edges"] = max(sums["edges"], one["edges"])
                sums["peak_mb"] = max(sums["peak_mb"], one["peak_mb"])
    rows = [
        "| parser | inputs | time, s | coverage, edges | peak memory, MB, with the fuzzer's |",
        "|---|---|---|---|---|",
    ]
    for name, one in sorted(found.items(), key=lambda item: -item[1]["inputs"]):
        figures = f"{one['inputs']:,.0f} | {one['seconds']:,.0f} | {one['edges']:.0f} | {one['peak_mb']:.0f}"
        rows.append(f"| {name} | {figures} |")
    rows.append(f"| **all** | **{sum(one['inputs'] for one in found.values()):,.0f}** | | | |")
    return "\n".join(rows)


def main() -> None:
    text = DOC.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOC.write_text(f"{before}{BEGIN}\n{table([Path(one) for one in sys.argv[1:]])}\n{END}{after}")


if __name__ == "__main__":
    main()
