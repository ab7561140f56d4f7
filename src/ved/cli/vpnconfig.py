"""WireGuard's files: the server's `wg0.conf`, which is also the list of peers, and each peer's own. No I/O.

The format is that of wg-quick(8) and wg(8). What WireGuard has no word for stands in comments that begin with `# ved`:
the endpoint that peers dial, and each peer's kind and name, right above its section.

Who may reach what: cars live in the lower half of the network, staff in the upper one. WireGuard lets a peer use its
own address alone (AllowedIPs), so a packet filter that goes by address goes by kind. The filter comes and goes with the
interface (PostUp, PreDown); where it cannot be set, wg-quick takes the interface down again.
"""

import base64
import ipaddress
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ved.errors import UserError

KINDS: Final = ("car", "staff")
CAR_MTU: Final = 1280
"""Every path carries packets of this size; many a radio link drops larger ones and tells nobody."""

_HEAD: Final = "# Written by 'ved vpn'. Own lines in [Interface] stay; leave lines that begin with '# ved' alone."
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,14}")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")
_PEER: Final = re.compile(r"# ved peer (car|staff) ([a-z0-9][a-z0-9_-]{0,14})")
_SETTING: Final = re.compile(r"\s*([A-Za-z]+)\s*=\s*(.*?)\s*(?:#.*)?")


@dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports that cars (link) and staff (pages) reach through the tunnel."""

    link: int
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Peer:
    """One entry of the server's file."""

    kind: str
    name: str
    address: ipaddress.IPv4Address
    public_key: str


@dataclass(frozen=True, slots=True)
class Tunnel:
    """What the server's file says; `text` is the file."""

    text: str
    endpoint: str
    network: ipaddress.IPv4Network
    private_key: str
    peers: tuple[Peer, ...]

    @property
    def address(self) -> ipaddress.IPv4Address:
        """The server's own: the first of the network."""
        return self.network[1]


def new_private_key() -> str:
    """A private key as WireGuard writes it: 32 bytes in base64."""
    raw = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    return base64.b64encode(raw).decode()


def new_preshared_key() -> str:
    """32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def public_key(private: str) -> str:
    """The public key of a private one; UserError when it is none."""
    try:
        key = X25519PrivateKey.from_private_bytes(base64.b64decode(private, validate=True))
    except ValueError:
        raise UserError("the server's PrivateKey is no key of WireGuard; put the file back from a copy") from None
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def check_endpoint(text: str) -> str:
    """`HOST:PORT`; UserError for anything else."""
    host, _, port = text.rpartition(":")
    if not _HOST.fullmatch(host) or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise UserError(f"--endpoint {text}: give the name or address and the UDP port, like vpn.example.org:51820")
    return text


def check_network(text: str) -> ipaddress.IPv4Network:
    """A private IPv4 network with room for both kinds; UserError otherwise."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        raise UserError(f"--network {text}: give an IPv4 network like 10.77.0.0/24") from None
    if not network.is_private or not 8 <= network.prefixlen <= 28:
        raise UserError(f"--network {text}: give a private network of /8 to /28, like 10.77.0.0/24")
    return network


def check_name(text: str) -> str:
    """A peer's name; wg-quick makes an interface of it, so 15 characters at most. UserError otherwise."""
    if not _NAME.fullmatch(text):
        raise UserError(f"name '{text}': 1 to 15 small letters, digits, - or _, and no - or _ at the start")
    return text


def range_of(network: ipaddress.IPv4Network, kind: str) -> ipaddress.IPv4Network:
    """The addresses of a kind: the lower half for cars, the upper one for staff."""
    lower, upper = network.subnets(prefixlen_diff=1)
    return lower if kind == "car" else upper


def server_text(endpoint: str, network: ipaddress.IPv4Network, private: str, ports: Ports) -> str:
    """The server's file without peers."""
    cars, staff = range_of(network, "car"), range_of(network, "staff")
    pages = ",".join(str(port) for port in ports.pages)
    lines = [
        _HEAD,
        f"# ved endpoint {endpoint}",
        "[Interface]",
        f"Address = {network[1]}/{network.prefixlen}",
        f"ListenPort = {endpoint.rpartition(':')[2]}",
        f"PrivateKey = {private}",
        "# The filter: cars reach the link, staff the page, nobody anything else on or behind this machine.",
        "PostUp = iptables -N ved-%i 2>/dev/null || iptables -F ved-%i",
        "PostUp = iptables -A ved-%i -p icmp -j ACCEPT",
        f"PostUp = iptables -A ved-%i -s {cars} -p tcp --dport {ports.link} -j ACCEPT",
        f"PostUp = iptables -A ved-%i -s {staff} -p tcp -m multiport --dports {pages} -j ACCEPT",
        "PostUp = iptables -A ved-%i -j DROP",
        "PostUp = iptables -I INPUT -i %i -j ved-%i",
        "PostUp = iptables -I FORWARD -i %i -j DROP",
        "PreDown = iptables -D FORWARD -i %i -j DROP",
        "PreDown = iptables -D INPUT -i %i -j ved-%i",
        "PreDown = iptables -F ved-%i",
        "PreDown = iptables -X ved-%i",
    ]
    return "\n".join(lines) + "\n"


def read_server(text: str, where: str) -> Tunnel:
    """Read what `server_text` and `with_peer` wrote; UserError, one line, when it is something else."""
    endpoint = re.search(r"^# ved endpoint (\S+)$", text, re.MULTILINE)
    head, *sections = re.split(r"(?m)(?=^# ved peer )", text)
    interface = _settings(head)
    if endpoint is None or not {"address", "privatekey"} <= interface.keys():
        raise UserError(f"{where}: this is not what 'ved vpn init' wrote; choose another --folder, or move it away")
    try:
        network = ipaddress.IPv4Interface(interface["address"]).network
        peers = tuple(_read_peer(section) for section in sections)
    except (KeyError, ValueError) as error:
        raise UserError(f"{where}: a section cannot be read ({error}); mend it, or put the file back") from None
    return Tunnel(text, endpoint[1], network, interface["privatekey"], peers)


def with_peer(tunnel: Tunnel, peer: Peer, preshared: str) -> str:
    """The server's file with one more peer."""
    lines = [
        "",
        f"# ved peer {peer.kind} {peer.name}",
        "[Peer]",
        f"PublicKey = {peer.public_key}",
        f"PresharedKey = {preshared}",
        f"AllowedIPs = {peer.address}/32",
    ]
    return tunnel.text.rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def without_peer(tunnel: Tunnel, name: str) -> str:
    """The server's file without this peer."""
    head, *sections = re.split(r"(?m)(?=^# ved peer )", tunnel.text)
    kept = [one for one in sections if _read_peer(one).name != name]
    return "\n\n".join(part.strip("\n") for part in (head, *kept)) + "\n"


def peer_text(tunnel: Tunnel, peer: Peer, private: str, preshared: str) -> str:
    """The peer's own file. Only what goes to the server takes the tunnel: AllowedIPs is the server's address alone."""
    lines = [
        f"# Telemetry: {peer.kind} {peer.name}",
        "[Interface]",
        f"PrivateKey = {private}",
        f"Address = {peer.address}/32",
        *([f"MTU = {CAR_MTU}"] if peer.kind == "car" else []),
        "",
        "[Peer]",
        f"PublicKey = {public_key(tunnel.private_key)}",
        f"PresharedKey = {preshared}",
        f"Endpoint = {tunnel.endpoint}",
        f"AllowedIPs = {tunnel.address}/32",
    ]
    return "\n".join(lines) + "\n"


def free_address(tunnel: Tunnel, kind: str) -> ipaddress.IPv4Address:
    """The lowest address of the kind that nobody has; UserError when all are taken."""
    taken = {tunnel.address, tunnel.network.network_address, tunnel.network.broadcast_address}
    taken |= {peer.address for peer in tunnel.peers}
    for address in range_of(tunnel.network, kind):
        if address not in taken:
            return address
    raise UserError(f"all addresses for {kind} in {tunnel.network} are taken; remove a peer with 'ved vpn remove'")


def find_peer(peers: Sequence[Peer], name: str) -> Peer | None:
    """The peer of this name."""
    return next((peer for peer in peers if peer.name == name), None)


def _read_peer(section: str) -> Peer:
    found = _PEER.match(section)
    if found is None:
        raise ValueError(section.splitlines()[0])
    settings = _settings(section)
    address = ipaddress.IPv4Interface(settings["allowedips"]).ip
    return Peer(found[1], found[2], address, settings["publickey"])


def _settings(section: str) -> dict[str, str]:
    """The last value of each key, keys in small letters; comments are passed over."""
    out: dict[str, str] = {}
    for line in section.splitlines():
        found = None if line.lstrip().startswith("#") else _SETTING.fullmatch(line)
        if found:
            out[found[1].lower()] = found[2]
    return out
