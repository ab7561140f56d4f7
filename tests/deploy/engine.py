"""A small stand-in for a container engine: services of a compose file as processes, each in a root of its own.

One network namespace holds all; every service has an address in it, by name. A service's root is this machine's files,
read-only, with the service's own users, host names and mounts over them; it runs as the service's user, with no
capabilities but those that the file adds. What the images hold (Kafka's start scripts, PostgreSQL's entrypoint) is in
images.py. Needs root and overlayfs.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.composefile import FILE, ROOT, environment, mounts

READY_S = 400
STOP_S = 60


@dataclass(frozen=True)
class Image:
    """What an image brings: entrypoint, command, environment, users (name -> number), files (path -> content)."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    users: tuple[tuple[str, int], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    folders: tuple[tuple[str, int], ...] = ()
    """Folders with an owner, which an empty volume that is mounted over one takes."""


def can_make_namespaces() -> str:
    """Empty, or why not."""
    if os.geteuid() != 0:
        return "only root may make the namespaces of the services"
    overlay = "mount -t overlay o -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r"
    script = f"mount --make-rprivate / && mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/r && {overlay}"
    command = ["unshare", "-n", "-m", "-u", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"namespaces cannot be made here: {done.stderr.strip()[-200:]}"


class Engine:
    """Starts, asks, stops and kills."""

    def __init__(self, folder: Path, services: Mapping[str, dict[str, Any]], images: Mapping[str, Image]) -> None:
        self.folder, self.services, self.images = folder, services, images
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._addresses = {name: f"172.30.0.{number}" for number, name in enumerate(sorted(services), 2)}
        self._volumes = folder / "volumes"
        self._volumes.mkdir(parents=True, exist_ok=True)
        for name in services:
            self._make_volumes(name)
        self._network = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"], stdout=subprocess.PIPE
        )
        assert self._network.stdout is not None
        assert self._network.stdout.readline() == b"up\n"
        for address in self._addresses.values():
            self.inside("ip", "address", "add", f"{address}/32", "dev", "lo")

    @property
    def network_pid(self) -> int:
        """A process that holds the network namespace."""
        return self._network.pid

    def inside(self, *command: str, is_checked: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of this machine in the services' network."""
        enter = ["nsenter", "-t", str(self.network_pid), "-n", "--", *command]
        return subprocess.run(enter, capture_output=True, text=True, timeout=120, check=is_checked)

    def volume(self, name: str) -> Path:
        return self._volumes / name

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def image(self, name: str) -> Image:
        return self.images[self.services[name]["image"].split(":")[0]]

    def _make_volumes(self, name: str) -> None:
        """When a container is made, an empty volume takes what the image has in its place, owners too."""
        for mount in mounts(self.services[name]):
            volume = self.volume(mount.source)
            if not mount.is_named or (volume.exists() and any(volume.iterdir())):
                continue
            volume.mkdir(exist_ok=True)
            for path, owner in self.image(name).folders:
                if Path(path).is_relative_to(mount.target):
                    inside = volume / Path(path).relative_to(mount.target)
                    inside.mkdir(exist_ok=True)
                    os.chown(inside, owner, owner)

    def up(self, names: Iterable[str]) -> None:
        """Start these and all that they need, each when what it needs is as it asks."""
        for name in names:
            if name in self.processes and self.processes[name].poll() in (None, 0):
                continue
            for needed, how in self.services[name].get("depends_on", {}).items():
                self.up([needed])
                self.wait_for(needed, how["condition"])
            self.start(name)

    def start(self, name: str) -> None:
        service, image = self.services[name], self.image(name)
        command = [*(service.get("entrypoint") or image.entrypoint), *(service.get("command") or image.command)]
        words = dict(image.environment) | environment(service)
        run = self._as_user(service, words, command)
        script = self._root_script(name, service, image) + f"exec chroot {self._root(name)} {shlex.join(run)}\n"
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                ["nsenter", "-t", str(self.network_pid), "-n", "--", "unshare", "-m", "-u", "sh", "-ec", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def execute(self, name: str, *command: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """As `docker compose exec`: in the service's root, as its user, with its environment."""
        service, image = self.services[name], self.image(name)
        run = self._as_user(service, dict(image.environment) | environment(service), list(command))
        enter = ["nsenter", "-t", str(self.processes[name].pid), "-m", "-n", "-u", "-r", "-w", "--"]
        return subprocess.run([*enter, *run], capture_output=True, text=True, timeout=timeout_s, check=False)

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """Its health check, once."""
        how = self.services[name]["healthcheck"]["test"]
        assert how[0] == "CMD"
        return self.execute(name, *how[1:])

    def stop(self, names: Iterable[str]) -> dict[str, int]:
        """As the engine does it: a signal, a time of grace, then the end. The exit codes."""
        codes = {}
        for name in names:
            process = self.processes.pop(name)
            if process.poll() is None:
                # PostgreSQL's image asks for SIGINT, its fast shutdown.
                process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
            try:
                codes[name] = process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._kill(process)
                codes[name] = -9
        return codes

    def kill_all(self) -> None:
        """The machine's power goes."""
        for process in self.processes.values():
            self._kill(process)
        self.processes.clear()

    def keep_up(self, names: Iterable[str], until_s: float = READY_S) -> None:
        """As after the machine has started: all at once, and what ends is started again, until all are in order."""
        waiting = set(names)
        for name in waiting:
            self.start(name)
        deadline = time.monotonic() + until_s
        while waiting:
            assert time.monotonic() < deadline, {name: self.log(name)[-1500:] for name in waiting}
            for name in sorted(waiting):
                if self.processes[name].poll() is not None:
                    self.start(name)
                elif self.check(name).returncode == 0:
                    waiting.discard(name)
            time.sleep(2)

    def close(self) -> None:
        self.kill_all()
        self._network.kill()
        self._network.wait()
        assert self._network.stdout is not None
        self._network.stdout.close()

    def wait_for(self, name: str, condition: str = "service_healthy") -> None:
        process = self.processes[name]
        if condition == "service_completed_successfully":
            assert process.wait(READY_S) == 0, self.log(name)
            return
        deadline = time.monotonic() + READY_S
        said = ""
        while time.monotonic() < deadline:
            assert process.poll() is None, f"{name} ended: {self.log(name)[-3000:]}"
            done = self.check(name)
            if done.returncode == 0:
                return
            said = done.stdout + done.stderr
            time.sleep(2)  # as `start_interval` says
        raise AssertionError(f"{name} is not in order: {said}\n{self.log(name)[-3000:]}")

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own: roles and their children
        process.wait()

    def _root(self, name: str) -> Path:
        return self.folder / "roots" / name

    def _as_user(self, service: Mapping[str, Any], words: Mapping[str, str], command: list[str]) -> list[str]:
        user, _, group = service["user"].partition(":")
        kept = ",".join(f"+{one.lower()}" for one in service.get("cap_add", []))
        limits = [f"--bounding-set=-all{',' if kept else ''}{kept}", "--inh-caps=-all", "--no-new-privs"]
        path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        given = {"PATH": path, "HOME": "/tmp", "PYTHONUNBUFFERED": "1"} | words
        clean = ["env", "-i", *(f"{name}={value}" for name, value in given.items())]
        return ["setpriv", f"--reuid={user}", f"--regid={group or user}", "--clear-groups", *limits, *clean, *command]

    def _root_script(self, name: str, service: Mapping[str, Any], image: Image) -> str:
        """What makes the service's root, in a mount namespace of its own."""
        base, root = self.folder / "overlays" / name, self._root(name)
        base.mkdir(parents=True, exist_ok=True)
        root.mkdir(parents=True, exist_ok=True)
        hosts = "".join(f"{address} {host}\n" for host, address in self._addresses.items() if host != name)
        lines = [
            "mount --make-rprivate /",
            f"mount -t tmpfs none {base}",
            f"mkdir {base}/upper {base}/work",
            f"mount -t overlay overlay -o lowerdir=/,upperdir={base}/upper,workdir={base}/work {root}",
            f"printf '127.0.0.1 localhost\\n{self._addresses[name]} {name}\\n{hosts}' > {root}/etc/hosts",
            *(f"mount --rbind /{one} {root}/{one}" for one in ("proc", "dev")),
        ]
        for user, number in image.users:
            lines.append(f"sed -i '/^{user}:/d' {root}/etc/passwd {root}/etc/group")
            lines.append(f"echo {user}:x:{number}:{number}::/tmp:/bin/sh >> {root}/etc/passwd")
        roads = _roads_to(sys.executable, shutil.which("java") or "", str(ROOT))
        lines.extend(f"chmod o+x {root}{path}" for path in roads)
        for path, content in image.files:
            lines.append(f"mkdir -p {root}{Path(path).parent} && printf %s {shlex.quote(content)} > {root}{path}")
            lines.append(f"chmod 755 {root}{path}")
        for mount in mounts(service):
            source = self.volume(mount.source) if mount.is_named else (FILE.parent / mount.source).resolve()
            target = f"{root}{mount.target}"
            lines.append(
                f"mkdir -p {target}" if source.is_dir() else f"mkdir -p {Path(target).parent} && touch {target}"
            )
            lines.append(f"mount --bind {source} {target}")
            if mount.is_read_only:
                lines.append(f"mount -o remount,bind,ro {target}")
        for one in service.get("tmpfs", []):
            path, _, given = one.partition(":")
            options = ["nosuid", "nodev", *([] if "exec" in given.split(",") else ["noexec"]), given]
            lines.append(f"mkdir -p {root}{path} && mount -t tmpfs -o {','.join(options)} none {root}{path}")
            if ROOT.is_relative_to(path):  # the program that is tested lies there, which no image would
                lines.append(f"mkdir -p {root}{ROOT} && mount --rbind {ROOT} {root}{ROOT}")
        if service.get("read_only"):
            lines.append(f"mount -o remount,ro {root}")
        if service.get("hostname"):
            lines.append(f"hostname {service['hostname']}")
        return "\n".join(lines) + "\n"


def _roads_to(*files: str) -> list[str]:
    """The folders above, which a service's user must be able to walk through."""
    found: dict[str, None] = {}
    for file in files:
        for one in (Path(file), Path(file).resolve()):
            for parent in reversed(one.parents):
                if file and str(parent) != "/":
                    found[str(parent)] = None
    return list(found)
