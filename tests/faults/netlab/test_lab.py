"""Two namespaces, real TCP and UDP through the emulated link, and nothing left afterwards."""

import json
import os
import subprocess
import sys

import pytest
from tests.faults.netlab import lab
from tests.faults.netlab.emulator import Faults
from tests.faults.netlab.lab import NetLab

pytestmark = pytest.mark.skipif(lab.why_not() is not None, reason=str(lab.why_not()))

SERVER = """
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 9000))
print("up", flush=True)
while True:
    data, peer = udp.recvfrom(2000)
    udp.sendto(data, peer)
"""
CLIENT = """
import json, socket, sys, time
count, size, wait_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(wait_s)
sent, got, times = {}, [], []
for number in range(count):
    sent[number] = time.monotonic()
    udp.sendto(number.to_bytes(4, "big") + bytes(size - 4), ("10.77.0.1", 9000))
    time.sleep(0.001)
try:
    while True:
        number = int.from_bytes(udp.recv(2000)[:4], "big")
        got.append(number)
        times.append(time.monotonic() - sent[number])
        if len(got) == count and sys.argv[4] == "exact":
            break
except TimeoutError:
    pass
print(json.dumps({"got": got, "times": sorted(times)}))
"""


def names() -> str:
    return subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout


def echo(net: NetLab, count: int, size: int = 100, wait_s: float = 0.4, how: str = "all") -> dict:
    command = [*net.in_car(), sys.executable, "-c", CLIENT, str(count), str(size), str(wait_s), how]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


@pytest.fixture
def net():
    with NetLab(seed=3) as made:
        server = subprocess.Popen([*made.in_server(), sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
        server.stdout.readline()
        yield made
        server.kill()
        server.wait()
        server.stdout.close()


def test_a_clean_link_then_delay_loss_doubles_and_a_dead_zone(net):
    assert echo(net, 50, how="exact")["got"] == list(range(50))
    net.both(Faults(delay_s=0.05))
    slow = echo(net, 20, how="exact")
    assert slow["times"][0] >= 0.1
    net.set(up=Faults(loss=0.3, burst=3, duplicate=0.2), down=Faults())
    before = net.counts()[0]
    got = echo(net, 200)["got"]
    up = net.counts()[0].since(before)
    assert up.offered == 200
    assert up.lost > 10
    assert up.duplicated > 5
    assert len(got) == up.passed
    net.both(Faults())
    with net.dead_zone():
        assert echo(net, 5, wait_s=0.2)["got"] == []
    assert net.counts()[0].down == 5
    assert echo(net, 5, how="exact")["got"] == list(range(5))


def test_one_way_size_limit_and_a_new_address(net):
    net.set(down=Faults(is_down=True))
    assert echo(net, 3, wait_s=0.2)["got"] == []
    assert (net.counts()[0].passed, net.counts()[1].down) == (3, 3)
    net.both(Faults(largest_bytes=500))
    assert echo(net, 3, size=600, wait_s=0.2)["got"] == []
    assert net.counts()[0].too_large == 3
    old = net.car_ip
    assert net.change_car_ip() != old
    assert echo(net, 3, how="exact")["got"] == [0, 1, 2]


def test_nothing_is_left_also_when_the_block_fails():
    def fail() -> None:
        with NetLab() as net:
            assert net.car_ns in names()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert f"-{os.getpid()}-" not in names()


def test_what_a_dead_process_left_is_removed():
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = f"ved-car-{dead.pid}-0"
    subprocess.run(["ip", "netns", "add", left], check=True)
    with NetLab():
        assert left not in names()


def test_looking_for_netem_leaves_nothing():
    assert isinstance(lab.has_netem(), bool)
    assert "ved-probe" not in names()
