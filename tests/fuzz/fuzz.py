"""Coverage-guided fuzzing of all parsers with atheris (libFuzzer): `make fuzz`, or for one of them

PYTHONPATH=. python -m tests.fuzz.fuzz --count 100000 --only batch

Each target runs in a process of its own, begins with its good bytes and the corpus, and stops after its share of
`--count` inputs. Inputs that reached something new go into the corpus, the smallest of them. A fault ends its target,
is written to `--out`, and fails the run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.fuzz import corpus
from tests.fuzz.targets import BY_NAME, TARGETS, Target

TIMEOUT_S: Final = 30
MEMORY_MB: Final = 2048
COMPILED: Final = ["ved.dbc.kernel", "ved.api.unpack", "ved.ingest.wirekernel", "ved.ingest.packkernel"]
"""numba cannot compile what is instrumented: of these modules no coverage is seen."""


@dataclass
class Outcome:
    """What became of one target."""

    target: str
    inputs: int
    seconds: float
    edges: int
    peak_mb: int
    is_good: bool


def child(target: Target, arguments: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["ved"], exclude=COMPILED):
        parse = target.make()
    atheris.Setup([sys.argv[0], *arguments], lambda data: target.run(parse, bytes(data)) and None)
    atheris.Fuzz()


def libfuzzer(target: Target, arguments: list[str], log: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.fuzz.fuzz", "--child", target.name, *arguments]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with log.open("wb") as out:
        code = subprocess.run(command, stdout=out, stderr=out, env=environment, check=False).returncode
    return code, log.read_text(errors="replace")


def fuzz(target: Target, inputs: int, out: Path, seed: int) -> Outcome:
    name = corpus.file_of(target.name).stem
    seeds, found = out / f"{name}-seeds", out / f"{name}-found"
    for folder in (seeds, found):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*target.seeds(), *corpus.read(target.name)]):
        (seeds / str(number)).write_bytes(data)
    limits = [f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={target.max_len}"]
    began_s = time.monotonic()
    code, said = libfuzzer(
        target,
        [f"-runs={inputs}", f"-seed={seed}", "-print_final_stats=1", f"-artifact_prefix={out}/{name}-", *limits,
         str(found), str(seeds)],
        out / f"{name}.log",
    )  # fmt: skip
    seconds = time.monotonic() - began_s
    figures = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", said)}
    edges = [int(one) for one in re.findall(r"\bcov: (\d+)", said)]
    outcome = Outcome(
        target.name, figures.get("number_of_executed_units", 0), round(seconds, 1), edges[-1] if edges else 0,
        figures.get("peak_rss_mb", 0), code == 0,
    )  # fmt: skip
    if code == 0:
        corpus.write(target.name, [*corpus.read(target.name), *(path.read_bytes() for path in found.iterdir())])
    return outcome


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        child(BY_NAME[sys.argv[2]], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000, help="inputs over all targets")
    parser.add_argument("--only", action="append", choices=sorted(BY_NAME), help="this target; repeatable")
    parser.add_argument("--out", type=Path, default=Path("ved-fuzz"))
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chosen = [target for target in TARGETS if given.only is None or target.name in given.only]
    given.out.mkdir(parents=True, exist_ok=True)
    total = sum(target.weight for target in chosen)
    outcomes: list[dict[str, Any]] = []
    for target in chosen:
        outcome = fuzz(target, max(1, given.count * target.weight // total), given.out, given.seed)
        outcomes.append(asdict(outcome))
        print(json.dumps(outcomes[-1]), flush=True)
        (given.out / "outcomes.json").write_text(json.dumps(outcomes, indent=1))
    return 0 if all(one["is_good"] for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
