"""The sentences in the program's source that can reach the page, found in the syntax trees of its modules.

Two kinds. Told: what is given to an error or a refusal, whole sentences. Parts: every other text that reads like prose
in the modules that make sentences of parts; none can be forgotten, because every text is looked at.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final

import ved

HOLE: Final = "\0"
"""Where something is filled in."""

ROOT: Final = Path(ved.__file__).parent
PACKAGES: Final = ("dbc", "analysis", "model", "db", "api", "notify", "web")
"""All that the web role's answers can come from; a new module in one of them is looked at by itself."""

PROSE: Final = (
    "dbc",
    "analysis/maths",
    "analysis/alarms/binding.py",
    "analysis/alarms/conditions.py",
    "analysis/naming.py",
    "model/alarmrule.py",
    "api/assigning.py",
    "api/comparing.py",
    "api/intake.py",
    "api/intake_worker.py",
    "api/alarmcheck.py",
    "web/answers.py",
    "web/bodylimit.py",
    "web/passwords.py",
    "web/routes",
)
"""Modules that make sentences of parts."""

TELLS: Final = {
    "UserError": 0,
    "ExpressionError": 1,
    "DeliveryError": 0,
    "denied": 2,
    "HTTPException": 1,
}
"""Who tells people a whole sentence, and in which argument it stands."""

PARTS: Final = {"_FaultyRowError": 0, "_fail": 0, "_close": 0, "problem": 1, "Problem": 3}
"""Who takes a part of a sentence."""

_SILENT: Final = frozenset(
    {"debug", "info", "warning", "error", "exception", "CorruptDataError", "StorageError", "compile"}
)
"""Whose arguments nobody reads on the page."""

_NO_PROSE: Final = ("BO_ ", "SG_ ", "BA_", "CM_ ", "VAL_", "SIG_", "SG_MUL", "attachment; ")
_WORDS: Final = re.compile(r"(?=.* )(?=.*[a-z]{2})", re.DOTALL)


@dataclass(frozen=True)
class Sentence:
    """A text with HOLEs, where it stands, and whether it is told (else it is a part of a sentence)."""

    text: str
    where: str
    is_told: bool

    @property
    def parts(self) -> list[str]:
        """What stands between the holes; a message and its signal are one name."""
        return self.text.replace(f"{HOLE}.{HOLE}", HOLE).split(HOLE)


@cache
def sentences() -> list[Sentence]:
    """All of them."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            found += _of_module(ast.parse(path.read_text()), name, is_prose=name.startswith(PROSE))
    return found


def of_source(source: str, name: str = "new.py") -> list[Sentence]:
    """Those of one module's text."""
    return list(_of_module(ast.parse(source), name, is_prose=True))


def _of_module(tree: ast.Module, name: str, *, is_prose: bool) -> Iterator[Sentence]:
    docs = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    told: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _told(node, name, told)
    if is_prose:
        yield from _written(tree, name, docs | told)


def _told(call: ast.Call, name: str, told: set[int]) -> Iterator[Sentence]:
    is_whole = _name(call.func) in TELLS
    at = (TELLS | PARTS).get(_name(call.func))
    if at is None or len(call.args) <= at:
        return
    given = call.args[at]
    if isinstance(given, ast.Dict):  # {"code": …, "message": …}
        pairs = zip(given.keys, given.values, strict=True)
        given = next((one for key, one in pairs if isinstance(key, ast.Constant) and key.value == "message"), given)
    for text in _texts(given):
        if text.strip(HOLE):
            yield Sentence(text, f"src/ved/{name}:{given.lineno}", is_told=is_whole)
    told.update(id(node) for node in ast.walk(given) if isinstance(node, ast.Constant | ast.JoinedStr))


def _written(node: ast.AST, name: str, known: set[int]) -> Iterator[Sentence]:
    """Texts in the tree below `node` that are in no other text."""
    for child in ast.iter_child_nodes(node):
        if id(child) in known or (isinstance(child, ast.Call) and _name(child.func) in _SILENT):
            continue
        if isinstance(child, ast.JoinedStr) or (isinstance(child, ast.Constant) and isinstance(child.value, str)):
            for text in (one.replace("{}", HOLE) for one in _texts(child)):
                if _WORDS.match(text.replace(HOLE, "")) and not text.startswith(_NO_PROSE):
                    yield Sentence(text, f"src/ved/{name}:{child.lineno}", is_told=False)
        inner = child.values if isinstance(child, ast.JoinedStr) else ()
        yield from _written(child, name, known | {id(one) for one in inner if isinstance(one, ast.Constant)})


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _texts(node: ast.expr) -> set[str]:
    """What an expression can be, with HOLEs."""
    match node:
        case ast.Constant(value=str() as text):
            return {text}
        case ast.JoinedStr(values=values):
            return {"".join(parts) for parts in product(*(_texts(one) for one in values))}
        case ast.FormattedValue(value=ast.Constant() | ast.BoolOp() as inner, conversion=conversion):
            return {one if one == HOLE or conversion != ord("r") else repr(one) for one in _texts(inner)}
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return {one + other for one, other in product(_texts(left), _texts(right))}
        case ast.IfExp(body=body, orelse=other):
            return _texts(body) | _texts(other)
        case ast.BoolOp(values=values):
            return set().union(*(_texts(one) for one in values))
    return {HOLE}
