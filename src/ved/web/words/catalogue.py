"""A catalogue of sentences in the manner of gettext, for sentences whose parts are filled in already.

An entry is `"{0} has scale 0: its value is always {1}": "{0} a l’échelle 0 : …"`. A numbered part is kept as it is:
any text (`{0}`), a number (`{0:n}`; `{0:t}`: with commas between thousands), names without spaces (`{0:l}`: `A.b, C.d`)
or what begins with a digit (`{0:d}`). A part with a name (`{problem}`) is one of the phrases of that name, which have
parts of their own.

A text is read back only where it can be read in one way: what a DBC calls things may look like any sentence, and would
be changed with it. The true reading is among those that are found, so the only one is the true one. (Where names with
spaces stand for `l` the true one is not found: such a text stays English, unless the names were made to be misread.)
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

MAX_CHARS: Final = 4000
"""Longer texts stay as they are."""

Table = Mapping[str, str]
_PART: Final = re.compile(r"\{(?:(\d+)(?::([ntld]))?|([a-z_]+))\}")
_NUMBER: Final = re.compile(r"[-+]?(?:\d[\d.,]{0,40}(?:e[-+]?\d{1,4})?|inf|nan)")
_SPACED: Final = re.compile(r" (?=[:»])|(?<=«) ")
_THINLY_SPACED: Final = re.compile(r" (?=[;?!])")


@dataclass(frozen=True, slots=True)
class Sentence:
    """An entry with its phrases written out. English: texts around parts of these kinds; other: texts and numbers."""

    texts: tuple[str, ...]
    kinds: tuple[str, ...]
    other: tuple[str | int, ...]

    @property
    def longest(self) -> str:
        """The longest text between its parts."""
        return max(self.texts, key=len)

    @property
    def english(self) -> str:
        """As it would be with `\\0` for each part."""
        return "\0".join(self.texts)

    def parts_of(self, text: str) -> tuple[list[str], bool] | None:
        """The parts of a text that it can be, and whether there is no other way to cut them; None: it is none of it."""
        if len(self.texts) == 1:
            return ([], True) if text == self.texts[0] else None
        first, *inner, last = self.texts
        if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
            return None
        begin, end = len(first), len(text) - len(last)
        early = _cuts(text, inner, begin, end)
        if early is None:
            return None
        edges = [begin, *(edge for cut in early for edge in cut), end]
        parts = [text[edges[at] : edges[at + 1]] for at in range(0, len(edges), 2)]
        return parts, early == _late_cuts(text, inner, begin, end)

    def filled(self, parts: Sequence[str]) -> str:
        """The other language with these parts."""
        shown = [
            part.replace(",", "\u202f") if kind == "t" else part for part, kind in zip(parts, self.kinds, strict=True)
        ]
        return "".join(one if isinstance(one, str) else shown[one] for one in self.other)


class Catalogue:
    """Sentences of several tables with the phrases that they name."""

    def __init__(self, tables: Sequence[Table], phrases: Mapping[str, Table]) -> None:
        self.sentences = [
            _sentence(english, other)
            for table in tables
            for pair in table.items()
            for english, other in _written_out(pair, phrases)
        ]
        # The longest text first: it tells soonest that a sentence is another one.
        self._known = [(one.longest, one) for one in sorted(self.sentences, key=lambda one: -len(one.longest))]

    def other(self, text: str) -> str:
        """The text in the other language; unchanged where it is no sentence of the catalogue, or could be two."""
        if len(text) > MAX_CHARS:
            return text
        found: set[str] = set()
        for longest, sentence in self._known:
            if longest not in text:
                continue
            read = sentence.parts_of(text)
            if read is None:
                continue
            parts, is_only = read
            if not is_only:
                return text
            if all(map(_fits, parts, sentence.kinds)):
                found.add(sentence.filled(parts))
        return found.pop() if len(found) == 1 else text


def _cuts(text: str, inner: Sequence[str], begin: int, end: int) -> list[tuple[int, int]] | None:
    """Where the inner texts stand, each as early as it can; None where they do not."""
    cuts = []
    for one in inner:
        at = text.find(one, begin, end)
        if at < 0:
            return None
        begin = at + len(one)
        cuts.append((at, begin))
    return cuts


def _late_cuts(text: str, inner: Sequence[str], begin: int, end: int) -> list[tuple[int, int]]:
    """As `_cuts`, each as late as it can. Where both are the same there is no other way."""
    cuts = []
    for one in reversed(inner):
        at = text.rfind(one, begin, end)
        cuts.append((at, at + len(one)))
        end = at
    return cuts[::-1]


def _fits(part: str, kind: str) -> bool:
    if kind == "":
        return True
    if kind == "l":
        return " " not in part.replace(", ", "") and part != "none"
    if kind == "d":
        return part[:1].isdecimal()
    return _NUMBER.fullmatch(part) is not None


def _written_out(pair: tuple[str, str], phrases: Mapping[str, Table]) -> Iterator[tuple[str, str]]:
    """The entry once for each choice of phrases; their parts get numbers after its own."""
    english, other = pair
    names = [found[3] for found in _PART.finditer(english) if found[3]]
    if not names:
        yield pair
        return
    own = sum(1 for found in _PART.finditer(english) if found[1])
    for chosen in product(*([*_phrases(name, phrases)] for name in names)):
        first, texts = own, (english, other)
        for name, phrase in zip(names, chosen, strict=True):
            moved = [_moved(one, first) for one in phrase]
            texts = texts[0].replace(f"{{{name}}}", moved[0], 1), texts[1].replace(f"{{{name}}}", moved[1], 1)
            first += sum(1 for _ in _PART.finditer(phrase[0]))
        yield texts


def _phrases(name: str, phrases: Mapping[str, Table]) -> Iterator[tuple[str, str]]:
    for pair in phrases[name].items():
        yield from _written_out(pair, phrases)


def _moved(text: str, by: int) -> str:
    return _PART.sub(lambda found: f"{{{int(found[1]) + by}{':' + found[2] if found[2] else ''}}}", text)


def _sentence(english: str, other: str) -> Sentence:
    texts, numbers, kinds = [""], [], []
    for text, number, kind in _pieces(english):
        if number is None:
            texts[-1] = text
        else:
            numbers.append(number)
            kinds.append(kind)
            texts.append("")
    filled: list[str | int] = [
        _spaced(text) if number is None else numbers.index(number) for text, number, _ in _pieces(other)
    ]
    return Sentence(tuple(texts), tuple(kinds), tuple(filled))


def _pieces(text: str) -> Iterator[tuple[str, int | None, str]]:
    """Texts, and parts by number and kind."""
    at = 0
    for found in _PART.finditer(text):
        if found.start() > at:
            yield text[at : found.start()], None, ""
        yield "", int(found[1]), found[2] or ""
        at = found.end()
    if at < len(text):
        yield text[at:], None, ""


def _spaced(text: str) -> str:
    """The spaces of French before signs, which do not break."""
    return _THINLY_SPACED.sub("\u202f", _SPACED.sub("\xa0", text))
