"""embedded/ved_sender.h, compiled with gcc and sanitizers, against test vectors, golden datagrams and a model."""

import hashlib
import hmac
import json
import random
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from ved.codec.datagram import MAX_SENT_US, Datagram, decode_datagram, encode_datagram, has_right_mac
from ved.model.frames import FrameColumns

STRICT: Final = (
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wshadow",
)
OK, NOT_SENT, BAD_ENTRY, BAD_SETUP, OVER = range(5)
KEY: Final = bytes(range(32))
MAX_SEQ, MAX_T_US = 1 << 48, 1 << 53
Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def gcc(service_missing: Callable[[str], Any]) -> str:
    return shutil.which("gcc") or service_missing("gcc is not installed (Debian: apt install gcc libc6-dev)")


def compile_c(gcc: str, root: Path, source: Path, out: Path, *options: str) -> None:
    done = subprocess.run(
        [gcc, *STRICT, *options, f"-I{root / 'embedded'}", str(source), "-o", str(out)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def driver(gcc: str, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver program; a sanitizer that finds anything ends it."""
    out = tmp_path_factory.mktemp("embedded") / "driver"
    source = root / "tests" / "integration" / "embedded_driver.c"
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    compile_c(gcc, root, source, out, "-g", "-O1", *sanitizers)
    return out


def run(driver: Path, commands: bytes) -> Iterator[tuple[str, bytes]]:
    """What the driver says to these commands: ("R", result), ("D", datagram), ("H", digest)."""
    done = subprocess.run([driver], check=False, input=commands, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    at = 0
    while at < len(done.stdout):
        kind, size = struct.unpack_from("<BH", done.stdout, at)
        yield chr(kind), done.stdout[at + 3 : at + 3 + size]
        at += 3 + size


def init(kind: int, key_id: int, epoch: bytes, size: int = 1472, next_seq: int = 1) -> bytes:
    return struct.pack("<cBI32s16sHQ", b"I", kind, key_id, KEY, epoch, size, next_seq)


def frame(t_us: int, bus: int, can_id: int, flags: int, length: int, data: bytes) -> bytes:
    return struct.pack("<cQIBBB64s", b"F", t_us, can_id, bus, flags, length, data)


def sample(t_us: int, name: bytes, unit: bytes, value: float) -> bytes:
    return struct.pack("<cQdH", b"S", t_us, value, len(name)) + name + struct.pack("<H", len(unit)) + unit


def flush(now_us: int) -> bytes:
    return struct.pack("<cQ", b"X", now_us)


def lost(count: int, now_us: int) -> bytes:
    return struct.pack("<cIQ", b"L", count, now_us)


def test_sha256_and_hmac_are_those_of_the_standards(driver: Path):
    """FIPS 180-4's examples, RFC 4231's cases, and every length around the block borders against hashlib."""
    texts = {
        b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": "248d6a61d20638b8e5c026930c3e6039"
        "a33ce45964ff2167f6ecedd419db06c1",
        b"a" * 1_000_000: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    }
    macs = [
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        (b"\xaa" * 131, (b"This is a test using a larger than block-size key and a larger than block-size data. The "
                         b"key needs to be hashed before being used by the HMAC algorithm."),
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
    ]  # fmt: skip
    more = [random.Random(size).randbytes(size) for size in range(300)]
    commands = [struct.pack("<cI", b"H", len(one)) + one for one in (*texts, *more)]
    commands += [
        struct.pack("<cH", b"M", len(key)) + key + struct.pack("<I", len(one)) + one
        for key, one in [*((key, one) for key, one, _ in macs), *((one[:99], one) for one in more)]
    ]
    expected = [*texts.values(), *(hashlib.sha256(one).hexdigest() for one in more), *(one[2] for one in macs)]
    expected += [hmac.digest(one[:99], one, "sha256").hex() for one in more]
    assert [digest.hex() for _, digest in run(driver, b"".join(commands))] == expected


def test_golden_datagrams_are_written_byte_for_byte(driver: Path, root: Path):
    stored = json.loads((root / "tests" / "conformance" / "datagram" / "datagrams.json").read_text())
    assert stored["key"] == KEY.hex()
    commands = []
    for entry in stored["good"]:
        one = entry["datagram"]
        is_frames = "frames" in one
        commands.append(
            init(1 if is_frames else 2, one["key_id"], bytes.fromhex(one["epoch"]), next_seq=one["first_seq"])
        )
        for t_us, bus, can_id, flags, length, data in one.get("frames", []):
            commands.append(frame(t_us, bus, can_id, flags, length, bytes.fromhex(data)))
        for t_us, name, unit, value in one.get("samples", []):
            commands.append(sample(t_us, name.encode(), unit.encode(), float.fromhex(value)))
        commands.append(flush(one["sent_at_us"]))
    said = list(run(driver, b"".join(commands)))
    assert {data for what, data in said if what == "R"} == {bytes((OK,))}
    assert [data.hex() for what, data in said if what == "D"] == [entry["bytes"] for entry in stored["good"]]


@dataclass
class Model:
    """What the header says that a sender does, in the plainest way."""

    kind: int = 0
    key_id: int = 0
    epoch: bytes = b""
    room: int = 0
    next_seq: int = 1
    rows: list[Row] = field(default_factory=list)
    sizes: int = 0
    fails: int = 0
    said: list[tuple[str, Any]] = field(default_factory=list)

    def begin(self, kind: int, key_id: int, epoch: bytes, size: int, next_seq: int) -> None:
        self.kind, self.key_id, self.epoch, self.room = kind, key_id, epoch, min(size, 1472) - 64
        self.next_seq, self.rows, self.sizes, self.fails = next_seq, [], 0, 0
        self.said.append(("R", OK if size >= 139 and kind in (1, 2) else BAD_SETUP))

    def flush(self, now_us: int) -> int:
        if not self.rows:
            return OK
        first_seq = self.next_seq - len(self.rows)
        sent_us = min(max(now_us - self.rows[0][0], 0), MAX_SENT_US)
        self.said.append(("D", (self.kind, self.key_id, self.epoch, first_seq, self.rows[0][0] + sent_us, self.rows)))
        self.rows, self.sizes = [], 0
        if self.fails:
            self.fails -= 1
            return NOT_SENT
        return OK

    def _add(self, row: Row, size: int) -> int:
        if row[0] > MAX_T_US or self.next_seq > MAX_SEQ:
            return OVER
        result = OK
        if self.rows and (self.sizes + size > self.room or abs(row[0] - self.rows[0][0]) > 2**31 - 1):
            result = self.flush(row[0])
        self.rows.append(row)
        self.sizes += size
        self.next_seq += 1
        return result

    def frame(self, t_us: int, bus: int, can_id: int, flags: int, length: int, data: bytes) -> int:
        is_fd, is_remote = flags & 2, flags & 16
        limit = 1 << (29 if flags & 1 else 11)
        if self.kind != 1 or flags & 128 or length > (64 if is_fd else 8) or (is_fd and is_remote) or can_id >= limit:
            return BAD_ENTRY
        sent = b"" if is_remote else data[:length].ljust(length, b"\0")
        return self._add((t_us, bus, can_id, flags, length, sent), 11 + len(sent))

    def sample(self, t_us: int, name: bytes, unit: bytes, value: float) -> int:
        size = 14 + len(name) + len(unit)
        if self.kind != 2 or not 1 <= len(name) <= 255 or len(unit) > 64 or size > self.room:
            return BAD_ENTRY
        return self._add((t_us, name.decode(), unit.decode(), struct.pack("<d", value)), size)

    def lost(self, count: int, now_us: int) -> int:
        result = self.flush(now_us)
        if self.next_seq + count > MAX_SEQ + 1:
            return OVER
        self.next_seq += count
        return result


def rows_of(datagram: Datagram) -> list[Row]:
    if isinstance(datagram.entries, FrameColumns):
        frames = datagram.entries
        columns = (frames.t_us, frames.bus, frames.arbitration_id, frames.flags, frames.length)
        heads = zip(*(column.tolist() for column in columns), frames.payload, strict=True)
        return [(*head[:5], b"" if head[3] & 16 else head[5][: head[4]].tobytes()) for head in heads]
    channels, columns = datagram.entries.channels, datagram.entries.samples
    rows = zip(columns.t_us.tolist(), columns.channel.tolist(), columns.value.tolist(), strict=True)
    return [(t_us, channels[at].name, channels[at].unit, struct.pack("<d", value)) for t_us, at, value in rows]


NAMES: Final = (b"a", "Pack.énergie".encode(), b"n" * 255, b"n" * 256, b"n" * 300, b"", b"speed")


class Player:
    """Draws one sequence of calls, for the driver and the model alike."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.model = Model()
        self.commands: list[bytes] = []
        self.t_us = self.random.choice((0, 0, 5, 2**31, 2**53 - 1000, self.random.randrange(2**53)))

    def play(self, calls: int) -> None:
        draw = self.random
        kind = draw.choice((1, 1, 1, 2, 2, 0, 3)) if draw.random() < 0.1 else draw.choice((1, 1, 2))
        size = draw.choice((0, 138, 139, 140, 200, 256, 1232, 1472, 1473, 65535, draw.randrange(139, 1500)))
        next_seq = draw.choice((1, 1, 1, draw.randrange(1, 2**48), 2**48 - draw.randrange(5)))
        setup = (kind, draw.randrange(2**32), draw.randbytes(16), size, next_seq)
        self.commands.append(init(*setup))
        self.model.begin(*setup)
        if self.model.said[-1] == ("R", BAD_SETUP):
            return
        for _ in range(calls):
            self._move_time()
            self._call(draw.random())

    def _move_time(self) -> None:
        step = self.random.choice((0, 1, 250, 1000, -250, 100_000, 2**31, -(2**31), 2**33))
        self.t_us = min(max(self.t_us + step, 0), 2**53 + 2)

    def _call(self, dice: float) -> None:
        draw, model, t_us = self.random, self.model, self.t_us
        if dice < 0.8:
            is_frame = (model.kind == 1) == (draw.random() < 0.97)
            self._frame(t_us) if is_frame else self._sample(t_us)
        elif dice < 0.88:
            self.commands.append(flush(t_us))
            model.said.append(("R", model.flush(t_us)))
        elif dice < 0.94:
            count = draw.choice((0, 1, 17, 2**32 - 1))
            self.commands.append(lost(count, t_us))
            model.said.append(("R", model.lost(count, t_us)))
        else:
            model.fails = draw.randrange(3)
            self.commands.append(struct.pack("<cB", b"N", model.fails))

    def _frame(self, t_us: int) -> None:
        draw = self.random
        flags = draw.choice((0, 0, 1, 2, 3, 6, 14, 16, 17, 32, 64, 18, 128, draw.randrange(256)))
        can_id = draw.choice((0, 0x7FF, 0x800, 2**29 - 1, 2**29, draw.randrange(2**11), draw.randrange(2**32)))
        length = draw.choice((0, 1, 8, 8, 8, 9, 12, 64, 65, 255))
        row = (t_us, draw.randrange(256), can_id, flags, length, draw.randbytes(min(length, 64)))
        self.commands.append(frame(*row))
        self.model.said.append(("R", self.model.frame(*row)))

    def _sample(self, t_us: int) -> None:
        draw = self.random
        name = draw.choice(NAMES)
        unit = (b"", b"V", "°C".encode(), b"u" * 64, b"u" * 65)[len(name) % 5]  # a channel has one unit
        value = struct.unpack("<d", draw.randbytes(8))[0]
        self.commands.append(sample(t_us, name, unit, value))
        self.model.said.append(("R", self.model.sample(t_us, name, unit, value)))


def compare(driver: Path, seeds: range) -> int:
    """Play sequences in one run of the driver; returns how many datagrams came."""
    players = [Player(seed) for seed in seeds]
    for player in players:
        player.play(player.random.randrange(30))
    said = run(driver, b"".join(command for player in players for command in player.commands))
    datagrams = 0
    for player in players:
        for what, expected in player.model.said:
            kind, data = next(said)
            assert kind == what, f"seed {seeds}: {kind} instead of {what}"
            if what == "R":
                assert data == bytes((expected,))
                continue
            datagrams += 1
            kind, key_id, epoch, first_seq, sent_at_us, rows = expected
            assert len(data) <= player.model.room + 64
            assert has_right_mac(data, KEY)
            found = decode_datagram(data)
            assert (data[3], found.key_id, found.epoch, found.first_seq) == (kind, key_id, epoch, first_seq)
            assert (found.sent_at_us, rows_of(found)) == (sent_at_us, rows)
            if datagrams % 10 == 0:
                assert encode_datagram(found, KEY) == data
    assert next(said, None) is None
    return datagrams


def test_random_calls_do_what_the_model_says(driver: Path):
    assert compare(driver, range(400)) > 500


@pytest.mark.slow
def test_a_hundred_thousand_random_sequences_do_what_the_model_says(driver: Path):
    assert sum(compare(driver, range(first, first + 2000)) for first in range(1000, 101_000, 2000)) > 100_000


def test_it_compiles_everywhere_it_can_here(gcc: str, root: Path, tmp_path: Path):
    (tmp_path / "one.c").write_text('#define VED_SENDER_IMPLEMENTATION\n#include "ved_sender.h"\n')
    (tmp_path / "ved_key.h").write_text("#define VED_KEY_ID 7u\n#define VED_KEY {0x01, 0x02}\n")
    for options in (("-Os",), ("-Os", "-DVED_SENDER_NO_SAMPLES"), ("-O0", "-std=c11", "-funsigned-char")):
        compile_c(gcc, root, tmp_path / "one.c", tmp_path / "one.o", "-c", *options)
    # Without an operating system's headers: a bare 32-bit target, all of libc that it may use declared here.
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "string.h").write_text(
        "#include <stddef.h>\nvoid *memcpy(void *, const void *, size_t);\nvoid *memset(void *, int, size_t);\n"
    )
    bare = ("-c", "-Os", "-m32", "-ffreestanding", f"-I{tmp_path / 'bare'}")
    compile_c(gcc, root, tmp_path / "one.c", tmp_path / "bare.o", *bare)
    symbols = subprocess.run(["nm", "-u", tmp_path / "bare.o"], check=True, capture_output=True, text=True).stdout
    assert set(symbols.split()) - {"U", "_GLOBAL_OFFSET_TABLE_"} <= {"memcpy", "memset"}
    for example in ("posix_main.c", "loop.c"):
        options = ("-c", "-O2", f"-I{tmp_path}")
        compile_c(gcc, root, root / "embedded" / "examples" / example, tmp_path / "example.o", *options)


def test_the_readme_tells_the_size(gcc: str, root: Path, tmp_path: Path):
    """The figures of the README are those of this compiler, within a tenth."""
    readme = (root / "embedded" / "README.md").read_text()
    (tmp_path / "one.c").write_text('#define VED_SENDER_IMPLEMENTATION\n#include "ved_sender.h"\n')
    for row, options in (("with samples", ()), ("frames alone", ("-DVED_SENDER_NO_SAMPLES",))):
        compile_c(gcc, root, tmp_path / "one.c", tmp_path / "one.o", "-c", "-Os", *options)
        text = subprocess.run(["size", tmp_path / "one.o"], check=True, capture_output=True, text=True).stdout
        code, data, bss = (int(one) for one in text.splitlines()[1].split()[:3])
        told = int(re.search(rf"\| {row} \| ([\d,]+) ", readme)[1].replace(",", ""))
        assert told == pytest.approx(code, rel=0.1)
        assert data == bss == 0
