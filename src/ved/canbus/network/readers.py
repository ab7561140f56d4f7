"""From an address to the reader of a bus."""

from functools import partial
from typing import Final

from ved.canbus.network.address import BUS_FORMS, Address, parse_address
from ved.canbus.network.candumptext import CandumpTalk
from ved.canbus.network.datagrams import (
    CannelloniContent,
    DatagramReader,
    MulticastContent,
    bound_socket,
    check_ipv4,
    group_socket,
)
from ved.canbus.network.socketcand import SocketcandTalk, is_channel
from ved.canbus.network.streams import StreamReader
from ved.canbus.reader import BusReader
from ved.errors import UserError

_WILDCARDS: Final = "+#"


def network_reader(bus: int, interface: str) -> BusReader:
    """The reader for `kind://...`; UserError: one line, when the address is wrong or a file in it cannot be read."""
    address = parse_address(interface, BUS_FORMS)
    try:
        return _reader(bus, address)
    except UserError as error:
        text = str(error)
        raise error if text.startswith("source ") else UserError(f"source {address.shown}: {text}") from None


def _reader(bus: int, address: Address) -> BusReader:
    place = (address.host, address.port)
    if address.kind == "cannelloni":
        check_ipv4(address.host)
        sender = address.options.get("from", "")
        if sender:
            check_ipv4(sender)
        return DatagramReader(bus, address.shown, CannelloniContent, partial(bound_socket, *place), sender)
    if address.kind == "udp_multicast":
        interface = address.options.get("interface", "")
        open_group = partial(group_socket, address.host, address.port, interface)
        if check_ipv4(address.host)[0] & 0xF0 != 0xE0:
            raise UserError(f"{address.host} is no multicast group; groups are 224.0.0.0 to 239.255.255.255")
        if interface:
            check_ipv4(interface)
        return DatagramReader(bus, address.shown, MulticastContent, open_group)
    if address.kind == "socketcand":
        if not is_channel(address.path):
            raise UserError(f"{address.path!r} is no name of a bus there; it has at most 16 letters, digits, _ . -")
        return StreamReader(bus, address.shown, place, partial(SocketcandTalk, address.path))
    if address.kind == "candump":
        return StreamReader(bus, address.shown, place, partial(CandumpTalk, address.path))
    return _mqtt_reader(bus, address)


def _mqtt_reader(bus: int, address: Address) -> BusReader:
    from ved.canbus.network.mqttbus import MqttReader
    from ved.canbus.network.mqttclient import MqttSettings

    if any(letter in address.path for letter in _WILDCARDS):
        raise UserError("a bus has one topic, without + and #; give each bus its own")
    return MqttReader(bus, address.shown, MqttSettings.of(address, address.path))
