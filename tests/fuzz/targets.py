"""Every parser that reads what others made, as a function of bytes; what it may raise; and good bytes to begin with.

A target returns when the bytes were understood, and raises one of its `refusals` when not. Anything else that comes out
is a fault, as are a run of many seconds and memory without bound.
"""

import atexit
import importlib
import importlib.util
import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import zstandard

from ved.errors import CorruptDataError, UserError

TESTS: Final = Path(__file__).resolve().parents[1]
CONFORMANCE: Final = TESTS / "conformance"
ROOT: Final = TESTS.parent
SEALED: Final = struct.Struct("<BHQ")
Refusals = tuple[type[Exception], ...]
CORRUPT: Final[Refusals] = (CorruptDataError,)
BAD_INPUT: Final[Refusals] = (UserError,)
PACKED: Final = (1, 4, 6, 7)
"""Kinds of records whose body is a zstd frame: batch, description, preview, samples."""


@dataclass(frozen=True)
class Target:
    """`weight`: its share of the inputs, by how fast it is and how far its bytes come."""

    name: str
    make: Callable[[], Callable[[bytes], object]]
    refusals: Refusals
    seeds: Callable[[], list[bytes]]
    weight: int = 4
    max_len: int = 2048

    def run(self, parse: Callable[[bytes], object], data: bytes) -> bool:
        """True when the bytes were understood."""
        try:
            parse(data)
        except self.refusals:
            return False
        return True


def function(module: str, name: str) -> Callable[[], Callable[[bytes], object]]:
    return lambda: getattr(importlib.import_module(f"ved.{module}"), name)


def text_function(module: str, name: str) -> Callable[[], Callable[[bytes], object]]:
    """Of a parser of text."""

    def make() -> Callable[[bytes], object]:
        parse = function(module, name)()
        return lambda data: parse(data.decode("utf-8", "replace"))

    return make


# Parsers that are more than a function.


def make_wire(engine: str) -> Callable[[bytes], object]:
    """A connection: messages one after the other, each behind its length (u16)."""
    wire = importlib.import_module("ved.codec.wire")
    module = "ved.codec.wirebody" if engine == "ArrayEngine" else "ved.ingest.wirekernel"
    make_engine = getattr(importlib.import_module(module), engine)

    def parse(data: bytes) -> None:
        decoder = wire.WireDecoder("fs", make_engine())
        for piece in pieces(data):
            decoder.decode(piece)

    for good in wire_streams():  # the compiled one is compiled now, not while an input's time runs
        parse(good)
    return parse


def pieces(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 2 <= len(data):
        (length,) = struct.unpack_from("<H", data, at)
        yield data[at + 2 : at + 2 + length]
        at += 2 + length


def join(parts: list[bytes]) -> bytes:
    return b"".join(struct.pack("<H", len(part)) + part for part in parts)


def make_sealed() -> Callable[[bytes], object]:
    """A record whose checksum is right and whose body is packed: kind (u8), count (u16), number (u64), the plain body.

    What is understood must fit wherever the roles put it.
    """
    decode, sealed_record = function("codec.records", "decode_record")(), importlib.import_module("tests.unit.sealed")
    kinds = importlib.import_module("ved.model.records").RecordKind

    def parse(data: bytes) -> None:
        if len(data) < SEALED.size or data[0] not in list(kinds):
            return
        kind, count, number = SEALED.unpack_from(data)
        body = data[SEALED.size :]
        body = zstandard.compress(body) if kind in PACKED else body
        told = sealed_record.numbers_of(decode(sealed_record.seal(kind, number, count, body)))
        assert all(abs(one) <= sealed_record.MOST for one in told), told

    return parse


def make_journal() -> Callable[[bytes], object]:
    """What recovery does with a segment: its records, then the next header behind the damage."""
    scan, layout = importlib.import_module("ved.journal.scan"), importlib.import_module("ved.journal.layout")

    def parse(data: bytes) -> None:
        layout.SegmentHeader.parse(data)
        layout.State.parse(data)
        layout.Mark.parse(data)
        at: int | None = 0
        while at is not None and at < len(data):
            parsed = scan.parse_records(data, at, 0, 0, 1 << 20)
            at = scan.find_header(data, parsed.at + 1, 0)

    return parse


def make_datagram() -> Callable[[bytes], object]:
    datagram = importlib.import_module("ved.codec.datagram")

    def parse(data: bytes) -> None:
        datagram.peek_key_id(data)
        datagram.has_right_mac(data, bytes(32))
        datagram.decode_datagram(data)

    return parse


def make_json_value() -> Callable[[bytes], object]:
    jsonvalues, values = (importlib.import_module(f"ved.sensors.{name}") for name in ("jsonvalues", "values"))

    def parse(data: bytes) -> None:
        found = values.ValueList()
        jsonvalues.add_json_value(data, "board.temperature", found)
        found.values()

    return parse


def make_talk(module: str, name: str, *given: str) -> Callable[[bytes], object]:
    """A stream that comes in two pieces."""
    talk = function(module, name)()

    def parse(data: bytes) -> None:
        one = talk(*given)
        one.feed(data[: len(data) // 3])
        one.feed(data[len(data) // 3 :])

    return parse


def make_definitions(suffix: str) -> Callable[[bytes], object]:
    """As an upload is taken in: read, linted, written as a DBC."""
    take_in = function("dbc.intake", "take_in")()
    return lambda data: take_in(data, f"a{suffix}", "main")


def make_vehicle() -> Callable[[bytes], object]:
    load_vehicle = function("config.vehicle", "load_vehicle")()
    path = Path(mkdtemp(prefix="ved-fuzz-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    for dbc in (ROOT / "vehicles").glob("*/*.dbc"):
        (path / dbc.name).write_bytes(dbc.read_bytes())

    def parse(data: bytes) -> None:
        (path / "vehicle.toml").write_bytes(data)
        load_vehicle(path)

    return parse


def make_maths() -> Callable[[bytes], object]:
    syntax = importlib.import_module("ved.analysis.maths.syntax")
    return lambda data: syntax.parse(data.decode("utf-8", "replace"))


def make_address() -> Callable[[bytes], object]:
    address = importlib.import_module("ved.canbus.network.address")

    def parse(data: bytes) -> None:
        address.parse_address(data.decode("utf-8", "replace"), address.BUS_FORMS | address.SENSOR_FORMS)

    return parse


# Good bytes.


def files(*patterns: str) -> list[bytes]:
    return [path.read_bytes() for pattern in patterns for path in sorted(CONFORMANCE.glob(pattern))]


def hex_of(path: str) -> list[bytes]:
    """Every `bytes` of a JSON file, wherever it stands."""

    def walk(node: Any) -> Iterator[bytes]:
        if isinstance(node, dict):
            if isinstance(node.get("bytes"), str):
                yield bytes.fromhex(node["bytes"])
            node = list(node.values())
        if isinstance(node, list):
            for one in node:
                yield from walk(one)

    return list(walk(json.loads((CONFORMANCE / path).read_text())))


def records() -> list[bytes]:
    return [*files("batch/*.bin", "samples/*.bin"), *hex_of("records/notes.json")]


def sealed() -> list[bytes]:
    """Good records taken apart."""
    header, out = importlib.import_module("ved.codec.header"), []
    for record in records():
        found = header.peek(record)
        body = record[found.body_at :]
        if found.kind in PACKED and body:
            body = zstandard.decompress(body, max_output_size=1 << 24)
        out.append(SEALED.pack(found.kind, found.count, found.number) + body)
    return out


def link_messages() -> list[bytes]:
    return hex_of("link/messages.json")


def wire_streams() -> list[bytes]:
    spec = importlib.util.spec_from_file_location("wire_vectors", CONFORMANCE / "wire_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    vectors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vectors)
    return [join(vectors.read_messages(path.stem)) for path in sorted(vectors.FOLDER.glob("*.bin"))]


def journals() -> list[bytes]:
    layout = importlib.import_module("ved.journal.layout")
    good = [layout.pack_record(0, number, record) for number, record in enumerate(records()[:4])]
    return [b"".join(good), good[0] + b"\0" * 9 + good[1]]


def definitions(suffix: str) -> list[bytes]:
    found = sorted((TESTS / "data" / "cantools-dbc").rglob(f"*{suffix}"), key=lambda path: path.stat().st_size)
    return [path.read_bytes() for path in found[:12]]


def codes() -> list[bytes]:
    make_code = function("link.credentials", "make_code")()
    return [make_code(bytes(range(16)), b"certificate").encode()]


def workbooks() -> list[bytes]:
    """A sheet of definitions; nothing in it is compressed, so that a changed byte is a changed letter."""
    openpyxl = importlib.import_module("openpyxl")
    book, out, plain = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    for line in SHEET.decode().splitlines():
        book.active.append(line.split(","))
    book.save(out)
    with zipfile.ZipFile(out) as packed, zipfile.ZipFile(plain, "w", zipfile.ZIP_STORED) as stored:
        for member in packed.namelist():
            stored.writestr(zipfile.ZipInfo(member), packed.read(member))
    return [plain.getvalue()]


SHEET: Final = b"message,id,length,signal,start,size,unit\nMotor,0x100,8,Speed,0,16,rpm\n"
LINES: Final = [
    b"air,place=pit temperature=21.5,count=3i,on=t 1690000000000000000\nair humidity=40",
    b'a\\ b,c\\,d=e\\=f g="text \\" x",h=-1e3,i=5u',
]
JSON_VALUES: Final = [b"21.5", b"true", b'{"value": 21.5, "t": 1690000000.25, "unit": "V"}']
CANNELLONI: Final = [
    bytes([2, 0, 7, 0, 2]) + bytes.fromhex("00000123 02 a1b2 98000001 84 01 01020304".replace(" ", "")),
    bytes([2, 0, 0, 0, 0]),
]
MULTICAST: Final = [
    bytes.fromhex("83ae6172626974726174696f6e5f6964cd0123a3646c6302a464617461c40201ff") + b"".join(()),
]
MQTT_FRAMES: Final = [
    struct.pack("<BBHIIQ", 1, 0, 1, 77, 1, 1_000_000) + struct.pack("<IIBB", 0x123, 5, 2, 0) + b"\1\2",
]
CANDUMP: Final = [
    b"(1690000000.123456) can0 123#1122\n(1690000000.223456) can0 18DA0001##1AABB\n  can0  123   [2]  11 22\n",
    b"(1690000000.000001) can1 7FF#R8\n can0  123  [08]  01 02 03 04 05 06 07 08   'ab'\ncan0 1 [0] remote request\n",
]
SOCKETCAND: Final = [
    b"< hi >< ok >< ok >< frame 123 23.424242 11 22 33 >< error 0 >< frame 1FFFFFFF 23.424242 >",
    b"<hi><ok><ok>< fdframe 123 1.000000 1 00112233 >",
]
TEXTS: Final = [
    b'{"type":"watch","id":1,"vehicle":"fs","channels":["A.b"],"rate_hz":20,"window_s":60,"until_utc_us":9}',
    b'{"type":"unwatch","id":1}',
]
MATHS: Final = [b'average(A.b, 0.5 [s]) * 3.6 + max("C d", 2)', b"if(not A.b > 1 and C != 2, 0, -A.b ** 2)"]
URLS: Final = [b"wss://telemetry.example.org:8790", b"wss://[::1]:8790"]
ADDRESSES: Final = [b"cannelloni://0.0.0.0:20000?from=10.0.0.2", b"mqtt://user@host:1883/can/0?password_file=x"]


def const(*values: list[bytes]) -> Callable[[], list[bytes]]:
    return lambda: [one for part in values for one in part]


TARGETS: Final = (
    Target("batch", function("codec.batch", "decode_batch"), CORRUPT, lambda: files("batch/*.bin"), 500),
    Target("record", function("codec.records", "decode_record"), CORRUPT, records, 500),
    Target("record, sealed", make_sealed, CORRUPT, sealed, 600, 4096),
    Target("samples", function("codec.samples", "decode_samples"), CORRUPT, lambda: files("samples/*.bin"), 500),
    Target("link message", function("codec.link", "decode_message"), CORRUPT, link_messages, 900),
    Target("wire", partial(make_wire, "ArrayEngine"), CORRUPT, wire_streams, 15, 8192),
    Target("wire, compiled", partial(make_wire, "CompiledEngine"), CORRUPT, wire_streams, 15, 8192),
    Target("live message", function("codec.live", "decode_message"), CORRUPT, lambda: files("live/*.bin"), 900),
    Target("live text", text_function("web.messages", "parse_client_message"), (ValueError,), const(TEXTS), 80),
    Target("journal", make_journal, (), journals, 500, 4096),
    Target("datagram", make_datagram, CORRUPT, lambda: hex_of("datagram/datagrams.json"), 900),
    Target("line protocol", function("sensors.lineprotocol", "parse_lines"), (), const(LINES), 500),
    Target("JSON value", make_json_value, CORRUPT, const(JSON_VALUES), 900, 256),
    Target("cannelloni", function("canbus.network.cannelloni", "parse_cannelloni"), CORRUPT, const(CANNELLONI), 700),
    Target("multicast", function("canbus.network.multicast", "parse_multicast"), CORRUPT, const(MULTICAST), 800, 256),
    Target("MQTT frames", function("canbus.network.mqttframes", "parse_mqtt_frames"), CORRUPT, const(MQTT_FRAMES), 700),
    Target("candump", partial(make_talk, "canbus.network.candumptext", "CandumpTalk"), (), const(CANDUMP), 400),
    Target(
        "socketcand", partial(make_talk, "canbus.network.socketcand", "SocketcandTalk", "can0"), CORRUPT,
        const(SOCKETCAND), 400),
    Target("DBC", partial(make_definitions, ".dbc"), BAD_INPUT, lambda: definitions(".dbc"), 20, 4096),
    Target("CSV", partial(make_definitions, ".csv"), BAD_INPUT, lambda: [SHEET], 20),
    Target("xlsx", partial(make_definitions, ".xlsx"), BAD_INPUT, workbooks, 10, 16384),
    Target("KCD", partial(make_definitions, ".kcd"), BAD_INPUT, lambda: definitions(".kcd"), 5, 4096),
    Target("SYM", partial(make_definitions, ".sym"), BAD_INPUT, lambda: definitions(".sym"), 5, 4096),
    Target(
        "vehicle.toml", make_vehicle, BAD_INPUT,
        lambda: [path.read_bytes() for path in sorted((ROOT / "vehicles").glob("*/vehicle.toml"))], 10, 4096),
    Target("maths", make_maths, BAD_INPUT, const(MATHS), 600, 512),
    Target("enrolment code", text_function("link.credentials", "parse_code"), BAD_INPUT, codes, 500, 256),
    Target("server address", text_function("link.credentials", "parse_server_url"), BAD_INPUT, const(URLS), 500, 256),
    Target("source address", make_address, BAD_INPUT, const(ADDRESSES), 500, 256),
)  # fmt: skip
BY_NAME: Final = {target.name: target for target in TARGETS}
