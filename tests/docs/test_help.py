"""Every command's help: it says something, shows an example, and what the example names exists."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest
import typer
from tests.docs.test_deploy_guides import check

from ved.cli.main import app


def leaves(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands below, with the words that call them."""
    below = getattr(command, "commands", None)
    if not below:
        yield words, command
        return
    for name, child in sorted(below.items()):
        yield from leaves(child, (*words, name))


COMMANDS = [pytest.param(words, one, id=" ".join(words)) for words, one in leaves(typer.main.get_command(app))]
# `ved import PATH…` stands for `ved import files PATH…`.
SHORT = {("import", "files"): ("import",)}


@pytest.mark.parametrize(("words", "command"), COMMANDS)
def test_it_says_what_it_does_and_shows_an_example(words: tuple[str, ...], command: click.Command):
    help_text = command.help or ""
    assert len(help_text.split("\n\n")[0]) > 10
    examples = [one.strip() for one in re.findall(r"\bved ([a-z][^;\n]*)", help_text)]
    called = " ".join(SHORT.get(words, words))
    assert any(one == called or one.startswith(f"{called} ") for one in examples), f"no example of 'ved {called}'"


@pytest.mark.parametrize(("words", "command"), COMMANDS)
def test_what_its_help_shows_exists(words: tuple[str, ...], command: click.Command):
    del words
    for example in re.findall(r"(?m)Examples?:((?:.|\n(?!\n))*)", command.help or ""):
        shown = re.findall(r"\bved ([a-z][^;|]*?)(?=;|\||$|\n)", " ".join(example.split()))
        assert shown
        for line in shown:
            words_of = shlex.split(line.replace("…", "").replace("'", "").replace('"', ""))
            if words_of[0] == "import":
                words_of.insert(1, "files") if words_of[1] not in ("influx", "files") else None
            check(words_of)


@pytest.mark.parametrize(("words", "command"), COMMANDS)
def test_every_option_is_explained(words: tuple[str, ...], command: click.Command):
    del words
    unexplained = [
        one.name for one in command.params if one.param_type_name == "option" and not getattr(one, "help", "")
    ]
    assert unexplained == []
