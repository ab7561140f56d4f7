"""Text of an expression -> syntax tree (docs/spec/maths.md). Every node knows where it stands, counted from 1."""

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from ved.errors import UserError

LONGEST_TEXT: Final = 2000
DEEPEST: Final = 60

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<unit>\[[^\[\]]*\])
    |(?P<quoted>"[^"]*")
    |(?P<name>[^\W\d][\w@]*(?:\.[\w@]+)*)
    |(?P<sign>\*\*|<=|>=|==|!=|[-+*/%^(),<>])
    |(?P<end>\Z)
    )""",
    re.VERBOSE,
)
_COMPARISONS: Final = ("<", "<=", ">", ">=", "==", "!=")


class ExpressionError(UserError):
    """A wrong expression: `position` is the character, counted from 1, where it went wrong."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"position {position}: {reason}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Number:
    """A literal; `unit` is None where none is written."""

    at: int
    value: float
    unit: str | None


@dataclass(frozen=True, slots=True)
class Name:
    """A channel, as it is written."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator (by its sign; unary minus is `neg`) with its arguments."""

    at: int
    function: str
    arguments: tuple["Syntax", ...]


Syntax = Number | Name | Call


def parse(text: str) -> Syntax:
    """The tree of an expression. Raises ExpressionError: where, what is there, what was expected."""
    if len(text) > LONGEST_TEXT:
        raise ExpressionError(LONGEST_TEXT + 1, f"the expression is too long; at most {LONGEST_TEXT} characters")
    return _Parser(_tokens(text)).whole()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        found = _TOKEN.match(text, at)
        if found is None:
            at = len(text) - len(text[at:].lstrip())
            hint = _sign_hint(text[at:])
            raise ExpressionError(at + 1, f"{text[at]!r} has no meaning here{hint}")
        kind = str(found.lastgroup)
        tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
        at = found.end()
    return tokens


def _sign_hint(rest: str) -> str:
    if rest.startswith('"'):
        return '; the closing " is missing'
    if rest.startswith("["):
        return "; the closing ] of a unit is missing"
    words = {"&": "and", "|": "or", "!": "not", "=": "==", "?": "if(condition, then, else)"}
    return f"; write {words[rest[0]]}" if rest[0] in words else ""


class _Parser:
    """Recursive descent; one method for each level of binding, loosest first."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def whole(self) -> Syntax:
        tree = self._or()
        if self._peek.kind != "end":
            self._fail("an operator or the end")
        return tree

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *texts: str, kind: str = "sign") -> _Token | None:
        token = self._peek
        if token.kind == kind and (not texts or token.text in texts):
            self._next += 1
            return token
        return None

    def _fail(self, expected: str) -> NoReturn:
        token = self._peek
        there = "the end" if token.kind == "end" else f"'{token.text}'"
        raise ExpressionError(token.at, f"expected {expected}, not {there}")

    def _left_to_right(self, below: str, *texts: str, kind: str = "sign") -> Syntax:
        tree: Syntax = getattr(self, below)()
        while token := self._take(*texts, kind=kind):
            tree = Call(token.at, token.text, (tree, getattr(self, below)()))
        return tree

    def _or(self) -> Syntax:
        return self._left_to_right("_and", "or", kind="name")

    def _and(self) -> Syntax:
        return self._left_to_right("_not", "and", kind="name")

    def _not(self) -> Syntax:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(self._peek.at, f"nested more than {DEEPEST} deep")
        token = self._take("not", kind="name")
        tree = Call(token.at, "not", (self._not(),)) if token else self._comparison()
        self._depth -= 1
        return tree

    def _comparison(self) -> Syntax:
        tree = self._sum()
        token = self._take(*_COMPARISONS)
        if token is None:
            return tree
        tree = Call(token.at, token.text, (tree, self._sum()))
        if self._peek.text in _COMPARISONS:
            self._fail("'and' between two comparisons")
        return tree

    def _sum(self) -> Syntax:
        return self._left_to_right("_product", "+", "-")

    def _product(self) -> Syntax:
        return self._left_to_right("_signed", "*", "/", "%")

    def _signed(self) -> Syntax:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(self._peek.at, f"nested more than {DEEPEST} deep")
        if token := self._take("-"):
            tree: Syntax = Call(token.at, "neg", (self._signed(),))
        elif self._take("+"):
            tree = self._signed()
        else:
            tree = self._power()
        self._depth -= 1
        return tree

    def _power(self) -> Syntax:
        base = self._atom()
        token = self._take("**", "^")
        return base if token is None else Call(token.at, "**", (base, self._signed()))

    def _atom(self) -> Syntax:
        if token := self._take(kind="number"):
            unit = self._take(kind="unit")
            return Number(token.at, float(token.text), unit.text[1:-1].strip() if unit else None)
        if self._take("("):
            tree = self._or()
            self._close("an operator or ')'")
            return tree
        if token := self._take(kind="quoted"):
            return Name(token.at, token.text[1:-1])
        if self._peek.kind == "name" and self._peek.text not in ("and", "or", "not"):
            token = self._peek
            self._next += 1
            return self._call(token) if self._take("(") else Name(token.at, token.text)
        return self._fail("a number, a channel, a function or '('")

    def _call(self, name: _Token) -> Syntax:
        arguments: list[Syntax] = []
        if self._take(")"):
            return Call(name.at, name.text, ())
        while True:
            arguments.append(self._or())
            if not self._take(","):
                break
        self._close(f"',' or ')' of {name.text}(")
        return Call(name.at, name.text, tuple(arguments))

    def _close(self, expected: str) -> None:
        if not self._take(")"):
            self._fail(expected)
