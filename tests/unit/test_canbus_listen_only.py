"""Nothing from the network reaches a CAN bus: the sources have no code that could send, and load nothing heavy."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import ved.canbus.merged
from ved.canbus.network.socketcand import SocketcandTalk, is_channel

FOLDER = Path(ved.canbus.merged.__file__).parent
SENDING = {
    "send",
    "sendall",
    "sendto",
    "sendmsg",
    "sendmsg_afalg",
    "sendmmsg",
    "send_fds",
    "sendfile",
    "send_periodic",
    "write",
    "writev",
    "pwrite",
    "write_bytes",
    "fdopen",
    "makefile",
    "splice",
    "syscall",
    "getattr",
    "__getattr__",
}
HEAVY = {"numba", "pyarrow", "can", "pandas", "cantools", "pydantic"}


def names(tree: ast.AST) -> set[str]:
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_no_source_names_anything_that_sends() -> None:
    files = sorted(FOLDER.glob("*.py"))
    assert {"socketcan.py", "recvmmsg.py", "pythoncan.py"} <= {file.name for file in files}
    found = {file.name: sorted(names(ast.parse(file.read_text())) & SENDING) for file in files}
    assert {name: sends for name, sends in found.items() if sends} == {}


def test_over_a_network_only_the_words_of_a_dialogue_go_out() -> None:
    """A socketcand could send frames for us: what is ever said to it is fixed, and a bus's name cannot hold more."""
    files = sorted((FOLDER / "network").glob("*.py"))
    found = {file.name: sorted(names(ast.parse(file.read_text())) & SENDING) for file in files}
    assert {name: sends for name, sends in found.items() if sends} == {"streams.py": ["sendall"]}
    talk = SocketcandTalk("can0")
    for said in (b"< hi >", b"< ok >< ok >", b"< frame 123 1.000000 11 >< error unknown command >< ok >< hi >"):
        talk.feed(said)
    assert talk.answer == b"< open can0 >< rawmode >"
    assert not any(is_channel(name) for name in ("", "can0 >< send 1 0", "can0>", "a" * 17, "can 0", "can0\n"))


def test_the_only_foreign_function_calls_are_known() -> None:
    """Through ctypes the whole C library is in reach: these two are used."""
    used = set()
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "_libc":
                used.add(node.attr)
    assert used == {"recvmmsg", "adjtimex"}


def test_real_buses_load_nothing_heavy() -> None:
    code = "import json, sys, ved.canbus.merged; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "numpy" in loaded
    assert loaded.isdisjoint(HEAVY)
