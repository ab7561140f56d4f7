"""What the program is made of, as CycloneDX: dist/sbom.json (Python, from requirements.lock), dist/sbom-web.json (npm).

Fails when a locked package is missing. Then asks OSV's database whether one of them has a known hole, where it can be
reached; where it cannot, says so and does not fail. Run it with the project's own Python: `make sbom`.
"""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
DATABASE = "api.osv.dev"
BIN = Path(sys.executable).parent


def components(path: Path) -> set[tuple[str, str]]:
    """(name, version) of all that an SBOM names."""
    found = json.loads(path.read_text())["components"]
    return {(f"{one['group']}/{one['name']}" if one.get("group") else one["name"], one["version"]) for one in found}


def normal(name: str) -> str:
    """The one way to write a Python package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> set[tuple[str, str]]:
    """Of requirements.lock."""
    lines = re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", LOCK.read_text(), re.MULTILINE)
    return {(normal(name), version) for name, version in lines}


def locked_web() -> set[tuple[str, str]]:
    """Of web/package-lock.json; packages that other systems need are named there too, but not in the SBOM."""
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    return {
        (path.rpartition("node_modules/")[2], entry["version"])
        for path, entry in packages.items()
        if path and not entry.get("optional")
    }


def must_name(path: Path, wanted: set[tuple[str, str]], found: set[tuple[str, str]]) -> None:
    """End with what is missing in the SBOM at `path`."""
    missing = wanted - found
    if missing:
        sys.exit(f"{path}: lacks {', '.join(f'{name} {version}' for name, version in sorted(missing))}")
    print(f"{path}: {len(found)} components, every locked package among them")


def make(out: Path) -> None:
    """Write and check both SBOMs."""
    out.mkdir(exist_ok=True)
    python, web = out / "sbom.json", out / "sbom-web.json"
    subprocess.run(  # noqa: S603 - our own tools
        [BIN / "cyclonedx-py", "requirements", LOCK, "--output-reproducible", "--of", "JSON", "-o", python], check=True
    )
    must_name(python, locked(), {(normal(name), version) for name, version in components(python)})
    npm = [BIN / "npm", "sbom", "--sbom-format", "cyclonedx", "--package-lock-only"]
    where = ROOT / "web"
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(npm, cwd=where, env=environment, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    web.write_text(done.stdout)
    must_name(web, locked_web(), components(web))


def audit() -> int:
    """0: no known hole, or nobody there to ask."""
    try:
        socket.create_connection((DATABASE, 443), timeout=5).close()
    except OSError as error:
        print(f"known holes: not asked, {DATABASE} cannot be reached ({error})")
        return 0
    command = [BIN / "pip-audit", "--vulnerability-service", "osv", "--disable-pip", "--require-hashes", "-r", LOCK]
    return subprocess.run(command, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    make(ROOT / "dist")
    sys.exit(audit())
