"""The built wheel in an empty environment: `ved demo` works as it does in a checkout."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_the_demo_runs_from_a_wheel(root: Path, tmp_path: Path):
    assert (root / "web" / "dist" / "index.html").is_file(), "the page is not built: make setup"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(root)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    # The locked versions constrain what the wheel itself asks for: nothing of the development tools comes along.
    lock = (root / "requirements.lock").read_text()
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(re.sub(r" \\\n(?:    --hash=\S+(?: \\)?\n)+", "\n", lock))
    subprocess.run(
        [
            *uv,
            "pip",
            "install",
            "-q",
            "--compile-bytecode",
            "--python",
            str(python),
            "-c",
            str(constraints),
            str(wheel),
        ],
        check=True,
    )

    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with (tmp_path / "demo.log").open("w") as log:
        demo = subprocess.Popen(
            [str(tmp_path / "venv" / "bin" / "ved"), "demo", "--web-port", "0", "--link-port", "0"],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip
        assert demo.stdout is not None
        try:
            link = next(
                (found[0] for line in demo.stdout if (found := re.search(r"http://\S+/signin\?token=\S+", line))), None
            )
            assert link is not None, (tmp_path / "demo.log").read_text()
            live = subprocess.run(
                [sys.executable, str(root / ".ci" / "await_live.py"), link], capture_output=True, text=True, check=False
            )
            assert live.returncode == 0, live.stderr
        finally:
            os.killpg(demo.pid, 2)
            said = demo.stdout.read()  # to its end
            code = demo.wait(60)
            demo.stdout.close()
    assert code == 0, (tmp_path / "demo.log").read_text()
    assert "Stopped" in said
    counted = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "ved"), "lake", "stats"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "frames" in counted.stdout
