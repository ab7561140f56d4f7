"""From an address to the reader of a sensor source."""

from ipaddress import ip_address

from ved.canbus.network.address import SENSOR_FORMS, Address, parse_address, read_secret
from ved.canbus.reader import SensorReader
from ved.errors import UserError


def sensor_reader(text: str) -> SensorReader:
    """The reader for `kind://...`; UserError: one line, when the address is wrong or a file in it cannot be read."""
    address = parse_address(text, SENSOR_FORMS)
    try:
        return _influx(address) if address.kind == "influx" else _mqtt(address)
    except UserError as error:
        said = str(error)
        raise error if said.startswith("source ") else UserError(f"source {address.shown}: {said}") from None


def _influx(address: Address) -> SensorReader:
    from ved.sensors.influxsource import InfluxSensor

    token = read_secret(address, "token_file")
    if not token and not _is_loopback(address.host):
        raise UserError("needs token_file=, as others can reach this address; only 127.0.0.1 goes without")
    return InfluxSensor(address.shown, (address.host, address.port), token)


def _mqtt(address: Address) -> SensorReader:
    from ved.canbus.network.mqttclient import MqttSettings
    from ved.sensors.jsonvalues import TopicPattern
    from ved.sensors.mqttsource import MqttSensor

    pattern = TopicPattern(address.path, address.options.get("channel", ""))
    return MqttSensor(address.shown, MqttSettings.of(address, pattern.filter), pattern)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
