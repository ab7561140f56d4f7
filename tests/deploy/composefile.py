"""deploy/compose.yaml as Docker Compose resolves it, as far as this file goes: variables, merge keys, short forms."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "compose.yaml"
DEBUG_FILE = ROOT / "deploy" / "compose.debug.yaml"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])([^${}]*))?\}")


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Put `${NAME}` and `${NAME:-default}` (innermost first) in place; any other $ is an error of the file."""

    def one(match: re.Match[str]) -> str:
        name, how, default = match.groups()
        assert how in (None, ":-"), f"{match[0]}: this test knows only ${{NAME}} and ${{NAME:-default}}"
        return variables.get(name) or default or ""

    while _VARIABLE.search(text):
        text = _VARIABLE.sub(one, text)
    assert "$" not in text, f"{text}: $ that is no variable"
    return text


def resolved(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: resolved(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [resolved(value, variables) for value in node]
    return interpolated(node, variables) if isinstance(node, str) else node


def load(file: Path = FILE, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file with its variables in place (YAML first, as Compose does)."""
    return resolved(yaml.safe_load(file.read_text("utf-8")), variables or {})


@dataclass(frozen=True)
class Mount:
    """`source` is a named volume, or a path when it has a slash."""

    source: str
    target: str
    is_read_only: bool

    @staticmethod
    def parse(given: Any) -> "Mount":
        if isinstance(given, dict):
            return Mount(given["source"], given["target"], given.get("read_only", False))
        source, target, *mode = given.split(":")
        return Mount(source, target, mode == ["ro"])

    @property
    def is_named(self) -> bool:
        return "/" not in self.source


def mounts(service: Mapping[str, Any]) -> list[Mount]:
    return [Mount.parse(one) for one in service.get("volumes", [])]


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """As the process gets it: Compose writes numbers as they stand; what would be a YAML truth value must be quoted."""
    given = service.get("environment", {})
    assert not any(isinstance(value, bool) for value in given.values()), given
    return {name: str(value) for name, value in given.items()}
