"""Addresses of sources on a network: `kind://[USER@]HOST[:PORT][/PATH][?option=value&...]`, checked when they are read.

A password never stands in one: addresses show in files, logs and lists of processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ved.errors import UserError

MAX_ADDRESS: Final = 300
MAX_SECRET_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Form:
    """What an address of a kind may hold. `example` is a whole one. `path`: "" none, "?" optional, "!" needed."""

    port: int
    example: str
    path: str = ""
    options: tuple[str, ...] = ()
    has_user: bool = False


_MQTT_OPTIONS: Final = ("ca", "client_id", "password_file")
BUS_FORMS: Final[Mapping[str, Form]] = {
    "cannelloni": Form(20_000, "cannelloni://0.0.0.0:20000?from=192.168.7.2", options=("from",)),
    "udp_multicast": Form(43_113, "udp_multicast://239.74.163.2:43113", options=("interface",)),
    "socketcand": Form(29_536, "socketcand://192.168.7.2:29536/can0", path="!"),
    "candump": Form(28_700, "candump://192.168.7.2:28700/can0", path="?"),
    "mqtt": Form(1883, "mqtt://broker:1883/ved/fs/powertrain", "!", _MQTT_OPTIONS, has_user=True),
    "mqtts": Form(
        8883,
        "mqtts://fs@broker/ved/fs/powertrain?password_file=/etc/ved/mqtt&ca=/etc/ved/broker.pem",
        "!",
        _MQTT_OPTIONS,
        has_user=True,
    ),
}
SENSOR_FORMS: Final[Mapping[str, Form]] = {
    "mqtt": Form(
        1883,
        "mqtt://broker/sensors/{board}/{name}?channel={board}.{name}",
        "!",
        (*_MQTT_OPTIONS, "channel"),
        has_user=True,
    ),
    "mqtts": Form(
        8883,
        "mqtts://fs@broker/sensors/{board}/{name}?password_file=/etc/ved/mqtt",
        "!",
        (*_MQTT_OPTIONS, "channel"),
        has_user=True,
    ),
    "influx": Form(8186, "influx://0.0.0.0:8186?token_file=/etc/ved/influx-token", options=("token_file",)),
}


@dataclass(frozen=True, slots=True)
class Address:
    """A checked address. `path` has no leading slash; `options` are those that the kind knows."""

    text: str
    kind: str
    host: str
    port: int
    path: str
    user: str
    options: Mapping[str, str]

    @property
    def shown(self) -> str:
        """Without its options, for people."""
        return self.text.partition("?")[0]


def parse_address(text: str, forms: Mapping[str, Form]) -> Address:
    """Read an address of one of these kinds. UserError: one line with what is wrong and a right one."""
    kind, _, rest = text.partition("://")
    form = forms.get(kind)
    if form is None:
        raise UserError(f"source {_shown(text)}: no such kind; use one of {', '.join(forms)}, as {_first(forms)}")
    try:
        parts = urlsplit(f"//{rest}")
        host, port, password = parts.hostname or "", parts.port or form.port, parts.password
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    except ValueError as error:
        raise _wrong(text, str(error), form) from None
    options = dict(asked)
    problem = _problem(text, form, asked)
    if password is not None:
        problem = "a password does not belong into an address; put it into a file and name that with password_file="
    elif not host or (parts.path.strip("/") and not form.path) or (form.path == "!" and not parts.path.strip("/")):
        problem = "host or path is missing, or one too many"
    elif parts.username is not None and not form.has_user:
        problem = "this kind takes no user"
    if problem:
        raise _wrong(text, problem, form)
    user = unquote(parts.username or "")
    return Address(text, kind, host, port, unquote(parts.path).strip("/"), user, options)


def read_secret(address: Address, option: str) -> str:
    """The first line of the file that an option names; "" without the option. UserError when it cannot be read."""
    name = address.options.get(option)
    if name is None:
        return ""
    try:
        with Path(name).open("rb") as file:
            secret = file.read(MAX_SECRET_BYTES).decode().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"source {address.shown}: {option} {name} cannot be read: {why}") from None
    if not secret:
        raise UserError(f"source {address.shown}: {option} {name} is empty; its first line is the secret")
    return secret


def _problem(text: str, form: Form, asked: list[tuple[str, str]]) -> str:
    names = [name for name, _ in asked]
    unknown = [name for name in names if name not in form.options]
    if "#" in text:
        return "a # does not belong into an address"
    if unknown:
        return f"unknown option {unknown[0]!r} (it takes {', '.join(form.options) or 'none'})"
    if len(set(names)) != len(names) or not all(value for _, value in asked):
        return "an option stands twice, or is empty"
    return f"longer than {MAX_ADDRESS} characters" if len(text) > MAX_ADDRESS else ""


def _wrong(text: str, why: str, form: Form) -> UserError:
    return UserError(f"source {_shown(text)}: {why}; write it like {form.example}")


def _first(forms: Mapping[str, Form]) -> str:
    return next(iter(forms.values())).example


def _shown(text: str) -> str:
    """Without what may be a secret."""
    bare = text.partition("?")[0]
    kind, separator, rest = bare.partition("://")
    if separator and "@" in rest:
        rest = rest.rpartition("@")[0].partition(":")[0] + "@" + rest.rpartition("@")[2]
    whole = kind + separator + rest
    return whole if len(whole) <= 100 else whole[:97] + "..."
