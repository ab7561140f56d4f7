"""The agent starts on a small board: it must not pull in what only the server needs."""

import json
import subprocess
import sys

HEAVY = (
    "numba",
    "pyarrow",
    "cantools",
    "pydantic",
    "can",
    "sqlalchemy",
    "fastapi",
    "cryptography",
    "deltalake",
    "pandas",
)


def test_agent_and_link_stay_light() -> None:
    imports = "import json, sys, ved.agent.agent, ved.link.enrol, ved.link.uplink"
    code = f"{imports}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "websockets" in loaded
    assert loaded.isdisjoint(HEAVY)
