"""The sentences of the server in French."""

from functools import cache

from ved.web.words import alarms, definitions, lint, maths, requests
from ved.web.words.catalogue import Catalogue


@cache
def french_catalogue() -> Catalogue:
    """All that the web role says to people, with its French."""
    tables = (
        definitions.REFUSALS,
        definitions.EFFECTS,
        definitions.LOSSES,
        lint.FINDINGS,
        lint.ADVICE,
        maths.ERRORS,
        alarms.RULES,
        alarms.NOTIFICATIONS,
        requests.PEOPLE,
        requests.THINGS,
        requests.DATA,
        requests.BODIES,
    )
    modules = (definitions, lint, maths, requests)
    return Catalogue(tables, {name: table for one in modules for name, table in one.PHRASES.items()})


def french(text: str) -> str:
    """A sentence of the server in French, what is filled in unchanged; a text that is none stays as it is."""
    return french_catalogue().other(text)
