"""Two network namespaces, a car's and a server's, joined by TUN devices with an emulated link between them.

Needs root and /dev/net/tun, not the kernel's netem: see `why_not`. Names carry the process id, and everything is gone
at the end of the `with` block, whatever happened in it. Leftovers of processes that died are removed at the start.
"""

import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from tests.faults.netlab.emulator import Counts, Direction, Faults

EMULATOR = "own user-space emulator on TUN"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 1, 0x1000
_MOST_BYTES = 1 << 16
_AT_ONCE = 128
_NAME = re.compile(r"ved-(?:car|srv)-(\d+)-\d+")
_numbers = iter(range(1 << 30))


def why_not() -> str | None:
    """Why no lab can be made here, or None."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "/dev/net/tun is missing"
    try:
        _run("ip", "netns", "list")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"'ip netns' does not work: {error}"
    return None


def has_netem() -> bool:
    """True when the kernel has sch_netem."""
    name = f"ved-probe-{os.getpid()}"
    try:
        _run("ip", "netns", "add", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    try:
        _run(*_inside(name), "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
    except (OSError, subprocess.CalledProcessError):
        return False
    else:
        return True
    finally:
        _run("ip", "netns", "del", name)


class NetLab:
    """`up` is from the car to the server, `down` the way back. The counters are read at any time."""

    def __init__(self, *, seed: int = 1, mtu: int = 1400) -> None:
        number = next(_numbers)
        self.car_ns = f"ved-car-{os.getpid()}-{number}"
        self.server_ns = f"ved-srv-{os.getpid()}-{number}"
        self.server_ip = "10.77.0.1"
        self.car_ip = "10.77.0.2"
        self._car_host = 2
        self._mtu = mtu
        self._lock = threading.Lock()
        self._up, self._down = Direction(seed), Direction(seed + 1)
        self._fds: list[int] = []
        self._wake_r, self._wake_w = -1, -1
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._shovel, name="netlab", daemon=True)
        self.cpu_s = 0.0

    def __enter__(self) -> "NetLab":
        _remove_leftovers()
        try:
            self._build()
        except BaseException:
            self._tear_down()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending.set()
        os.write(self._wake_w, b"x")
        self._thread.join()
        self._tear_down()

    def set(self, *, up: Faults | None = None, down: Faults | None = None) -> None:
        """Change the link from now on."""
        with self._lock:
            now_s = time.monotonic()
            if up is not None:
                self._up.set(up, now_s)
            if down is not None:
                self._down.set(down, now_s)
        os.write(self._wake_w, b"x")

    def both(self, faults: Faults) -> None:
        self.set(up=faults, down=faults)

    @contextlib.contextmanager
    def dead_zone(self) -> Iterator[None]:
        """Nothing passes for the length of the block; then it is as before."""
        up, down = self._up.faults, self._down.faults
        self.set(up=replace(up, is_down=True), down=replace(down, is_down=True))
        try:
            yield
        finally:
            self.set(up=up, down=down)

    def counts(self) -> tuple[Counts, Counts]:
        """Copies of the counters, up and down."""
        with self._lock:
            return self._up.counts.copy(), self._down.counts.copy()

    def change_car_ip(self) -> str:
        """The car gets another address, as from a mobile network; the old one is gone at once."""
        self._car_host = self._car_host + 1 if self._car_host < 250 else 2
        old, self.car_ip = self.car_ip, f"10.77.0.{self._car_host}"
        _run("ip", "-n", self.car_ns, "addr", "del", f"{old}/24", "dev", "car0")
        _run("ip", "-n", self.car_ns, "addr", "add", f"{self.car_ip}/24", "dev", "car0")
        return self.car_ip

    def in_car(self) -> list[str]:
        """What to put before a command that runs in the car (the process id stays the command's)."""
        return _inside(self.car_ns)

    def in_server(self) -> list[str]:
        return _inside(self.server_ns)

    def _build(self) -> None:
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        sides = ((self.car_ns, "car0", self.car_ip), (self.server_ns, "srv0", self.server_ip))
        for name, device, ip in sides:
            _run("ip", "netns", "add", name)
            # Without it the kernel sends packets of its own, which would be counted.
            with contextlib.suppress(subprocess.CalledProcessError):
                _run(*_inside(name), "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            made = f"v{device[0]}{os.getpid() % 1_000_000}x{self.car_ns.rsplit('-', 1)[1]}"
            self._fds.append(_open_tun(made))
            _run("ip", "link", "set", made, "netns", name, "name", device)
            _run("ip", "-n", name, "addr", "add", f"{ip}/24", "dev", device)
            _run("ip", "-n", name, "link", "set", device, "mtu", str(self._mtu), "up")
            _run("ip", "-n", name, "link", "set", "lo", "up")

    def _tear_down(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        for fd in (self._wake_r, self._wake_w):
            if fd >= 0:
                os.close(fd)
        for name in (self.car_ns, self.server_ns):
            with contextlib.suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "del", name)

    def _shovel(self) -> None:
        """The thread: read both devices, let the directions decide, write what is due."""
        car, server = self._fds
        while not self._is_ending.is_set():
            with self._lock:
                due = [one.due_s for one in (self._up, self._down) if one.due_s is not None]
            wait_s = max(0.0, min(due) - time.monotonic()) if due else 1.0
            ready, _, _ = select.select([car, server, self._wake_r], [], [], min(wait_s, 1.0))
            if self._wake_r in ready:
                os.read(self._wake_r, 4096)
            packets = [(fd, packet) for fd in (car, server) if fd in ready for packet in _read_all(fd)]
            with self._lock:
                now_s = time.monotonic()
                for fd, packet in packets:
                    (self._up if fd == car else self._down).push(packet, now_s)
                up, down = self._up.pop(now_s), self._down.pop(now_s)
            _write_all(server, up)
            _write_all(car, down)
        self.cpu_s = time.thread_time()


def _inside(name: str) -> list[str]:
    """Not `ip netns exec`: that copies all mounts, and a disk that another test unmounts would live on in the copy."""
    return ["nsenter", f"--net=/run/netns/{name}"]


def _open_tun(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


def _read_all(fd: int) -> Iterator[bytes]:
    for _ in range(_AT_ONCE):
        try:
            yield os.read(fd, _MOST_BYTES)
        except OSError:  # nothing more, or the device is down
            return


def _write_all(fd: int, packets: list[bytes]) -> None:
    for packet in packets:
        with contextlib.suppress(OSError):  # the device is down: so is the link
            os.write(fd, packet)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _remove_leftovers() -> None:
    for line in _run("ip", "netns", "list").splitlines():
        name = line.split(" ")[0]
        found = _NAME.fullmatch(name)
        if found and not Path(f"/proc/{found[1]}").exists():
            with contextlib.suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "del", name)
