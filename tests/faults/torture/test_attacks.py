"""Whoever reaches the link's port can be rude; a car that drives must not notice."""

import contextlib
import random
import socket
import ssl
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.faults.torture.checker import arrivals, live_ages_ms
from tests.faults.torture.site import Figures, Places, Site, copy_state, mono_us, wait_until

from ved.ingest.gate import MAX_PENDING_OF_ONE


class Flood:
    """Threads that open connections and send what nobody should: plain bytes, half a TLS hello, TLS and then noise,
    TLS and a wrong key, or nothing at all."""

    def __init__(self, port: int, threads: int) -> None:
        self._port = port
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed,), daemon=True) for seed in range(threads)]
        self.tries = [0] * threads
        self.handshakes = [0] * threads

    def __enter__(self) -> "Flood":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        chance = random.Random(seed)
        idle: list[socket.socket] = []
        while not self._end.is_set():
            with contextlib.suppress(OSError):
                self._try(chance, idle, seed)
            self.tries[seed] += 1
            time.sleep(0.005)
        for one in idle:
            one.close()

    def _try(self, chance: random.Random, idle: list[socket.socket], seed: int) -> None:
        how = chance.randrange(5)
        plain = socket.create_connection(("127.0.0.1", self._port), 2)
        if how == 0 and len(idle) < 50:
            idle.append(plain)
            return
        with plain:
            if how <= 1:
                plain.sendall(chance.randbytes(chance.randrange(1, 20_000)))
            elif how == 2:
                plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + chance.randbytes(60))
            else:
                tls = ssl.create_default_context()
                tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
                with tls.wrap_socket(plain, do_handshake_on_connect=False) as secure:
                    secure.do_handshake()
                    self.handshakes[seed] += 1
                    head = b"GET /publish HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                    wrong = b"Sec-WebSocket-Protocol: ved-link.1\r\nAuthorization: Bearer " + b"A" * 43 + b"\r\n\r\n"
                    secure.sendall(chance.randbytes(5000) if how == 3 else head + key + wrong)
                    secure.recv(200)


def open_files(site: Site) -> list[Path]:
    """What the role ingest has open at the moment."""
    return [one for one in Path(f"/proc/{site.roles['ingest'].pid}/fd").iterdir() if one.is_symlink()]


def resident_kb(site: Site) -> int:
    status = Path(f"/proc/{site.roles['ingest'].pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


# `wrap_socket` leaves its socket open when the connection was reset before it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seconds", [2.0, pytest.param(60.0, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_garbage_floods_the_port_while_a_car_drives(tmp_path, seconds):
    with Site(Places.under(tmp_path)) as site:
        site.prepare()
        site.start_server()
        site.enrol()
        site.start_car()
        site.wait_stored()
        before_us = mono_us()
        time.sleep(1.5)
        began_us = mono_us()
        memory_kb = resident_kb(site)
        with Flood(site.port, 3) as flood:
            time.sleep(seconds)
            wait_until(lambda: sum(flood.tries) >= 60 and sum(flood.handshakes) >= 10, "the flood is under way", 60)
            wait_until(lambda: "turned away" in site.log("ingest"), "one address has too many connections", 60)
            sockets = sum("socket:" in str(one.readlink()) for one in open_files(site))
            end_us = mono_us()
        assert sockets < MAX_PENDING_OF_ONE + 20, "connections without a key are not bounded"
        assert resident_kb(site) - memory_kb < 64 << 10
        site.wait_stored(200)
        assert site.roles["ingest"].poll() is None
        verdict = site.settle()
        came = arrivals(site.places.data)
        ages = {
            "before": live_ages_ms(came, site.places.truth, before_us, began_us),
            "during": live_ages_ms(came, site.places.truth, began_us, end_us),
        }
        figures = {f"live_p99_ms_{when}": float(np.percentile(one, 99)) for when, one in ages.items()}
        Figures("garbage flood").add(verdict, tries=sum(flood.tries), handshakes=sum(flood.handshakes), **figures)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cloned_card_and_a_replayed_journal(tmp_path):
    """Two cars with one card at the same time, then an old copy of the journal is put back and sent again."""
    with Site(Places.under(tmp_path)) as site:
        site.prepare()
        site.start_server()
        site.enrol()
        site.start_car()
        site.wait_stored()
        site.kill_car()
        clone, old = tmp_path / "clone", tmp_path / "old"
        copy_state(site.places.state, clone)
        copy_state(site.places.state, old)
        site.start_car()
        site.start_car(clone)
        for life in (2, 3):
            wait_until(lambda life=life: site.progress(life).get("stored_frames", 0) > 600, f"life {life} is stored")
        site.start_car(old)
        wait_until(lambda: site.progress(4).get("stored_frames", 0) > 600, "life 4 is stored")
        verdict = site.settle(
            allowed=lambda verdict: (
                verdict.missing == verdict.lives[0].tail
                and all(site.progress(life)["stored_frames"] == site.true_frames(life) for life in (2, 3, 4))
            )
        )
        assert len({one.epoch for one in verdict.lives}) == 4
        Figures("cloned card, replayed journal").add(verdict)
