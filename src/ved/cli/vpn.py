"""`ved vpn`: files for WireGuard. It makes no tunnel itself: that is the kernel's, by wg-quick or the container."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import segno
from rich.console import Console
from rich.table import Table

from ved.cli.lock import FolderLock
from ved.cli.vpnconfig import (
    KINDS,
    Peer,
    Ports,
    Tunnel,
    check_endpoint,
    check_name,
    check_network,
    find_peer,
    free_address,
    new_preshared_key,
    new_private_key,
    peer_text,
    public_key,
    read_server,
    server_text,
    with_peer,
    without_peer,
)
from ved.errors import UserError
from ved.link.files import create_private, write_private

SERVER_FILE: Final = "wg0.conf"
PEERS: Final = "peers"
IMAGES: Final = (".png", ".svg")
console = Console(highlight=False, soft_wrap=True, markup=False)


@dataclass(frozen=True, slots=True)
class NewPeer:
    """What `ved vpn add` was asked for."""

    name: str
    kind: str
    has_qr: bool
    image: Path | None


def init_tunnel(folder: Path, endpoint: str, network: str, ports: Ports) -> None:
    """Write the server's file and say what is next. UserError when there is one already."""
    for port in (ports.link, *ports.pages):
        if not 1 <= port <= 65535:
            raise UserError(f"port {port}: ports are 1 to 65535")
    text = server_text(check_endpoint(endpoint), check_network(network), new_private_key(), ports)
    file = folder / SERVER_FILE
    _make_folder(folder)
    with _Locked(folder):
        if file.exists():
            raise UserError(f"{file}: is there already and stays as it is; 'ved vpn add' gives keys to more peers")
        _store(file, text.encode(), is_new=True)
    tunnel, udp = read_server(text, str(file)), endpoint.rpartition(":")[2]
    console.print(f"made  {file}   (the server is {tunnel.address} in the tunnel)")
    console.print(
        f'Next: let cars dial that address: link_names = ["{tunnel.address}"], or VED_VPN_ADDRESS={tunnel.address} '
        f"for compose.\nOpen UDP port {udp} in the firewall (compose: VED_VPN_PORT={udp})."
        "\nThen: ved vpn add NAME --for car"
    )


def add_peer(folder: Path, wanted: NewPeer) -> None:
    """Make keys for one peer, write its file, add it to the server's. UserError when the name is taken."""
    name = check_name(wanted.name)
    if wanted.kind not in KINDS:
        raise UserError(f"--for {wanted.kind}: give car (reaches the link) or staff (reaches the page)")
    if wanted.image is not None and wanted.image.suffix.lower() not in IMAGES:
        raise UserError(f"--image {wanted.image}: give a file that ends in .png or .svg")
    file = folder / PEERS / f"{name}.conf"
    with _Locked(folder):
        tunnel = _read(folder)
        if find_peer(tunnel.peers, name) is not None or file.exists():
            raise UserError(f"name '{name}': there is such a peer already; remove it first: ved vpn remove {name}")
        private, preshared = new_private_key(), new_preshared_key()
        peer = Peer(wanted.kind, name, free_address(tunnel, wanted.kind), public_key(private))
        text = peer_text(tunnel, peer, private, preshared)
        _make_folder(file.parent)
        _store(file, text.encode(), is_new=True)
        _store(folder / SERVER_FILE, with_peer(tunnel, peer, preshared).encode(), is_new=False)
    console.print(f"made  {file}   ({wanted.kind}, {peer.address})")
    _show_qr(text, wanted)
    if wanted.kind == "car":
        console.print(f"On the car: put it into /etc/wireguard/, then: systemctl enable --now wg-quick@{name}")
    console.print(
        "The file holds a private key: hand it over, then delete it here.\n"
        "Put it in force: docker compose restart vpn   (without Docker: systemctl restart wg-quick@wg0)"
    )


def print_peers(folder: Path) -> None:
    """Name, kind, address of each peer, and whether its file still lies here."""
    tunnel = _read(folder)
    table = Table("name", "for", "address", "its file", box=None)
    for peer in tunnel.peers:
        file = folder / PEERS / f"{peer.name}.conf"
        table.add_row(peer.name, peer.kind, str(peer.address), str(file) if file.exists() else "handed over")
    console.print(f"{tunnel.endpoint}, {tunnel.network}; this server is {tunnel.address}")
    console.print(table)


def remove_peer(folder: Path, name: str) -> None:
    """Take a peer out of the server's file, and delete its own. UserError when there is none of that name."""
    with _Locked(folder):
        tunnel = _read(folder)
        if find_peer(tunnel.peers, name) is None:
            raise UserError(f"name '{name}': there is no such peer; see 'ved vpn list'")
        _store(folder / SERVER_FILE, without_peer(tunnel, name).encode(), is_new=False)
        (folder / PEERS / f"{check_name(name)}.conf").unlink(missing_ok=True)
    console.print(
        f"removed  {name}; its key works until: docker compose restart vpn   (or systemctl restart wg-quick@wg0)"
    )


def _show_qr(text: str, wanted: NewPeer) -> None:
    code = segno.make(text, error="l", micro=False)
    if wanted.has_qr:
        drawn = io.StringIO()
        code.terminal(drawn, compact=True)
        print(drawn.getvalue())
    if wanted.image is not None:
        picture = io.BytesIO()
        code.save(picture, kind=wanted.image.suffix.lower()[1:], scale=6, border=4, dark="#000", light="#fff")
        _store(wanted.image, picture.getvalue(), is_new=True)
        console.print(f"made  {wanted.image}   (as secret as the file)")


class _Locked:
    """One change at a time."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; begin with: ved vpn init --endpoint HOST:51820")
        try:
            self._lock = FolderLock(folder / ".lock")
            self._lock.take(10.0, f"{folder}: another 'ved vpn' is at work there; try again")
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror}); who owns it?") from None

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _read(folder: Path) -> Tunnel:
    file = folder / SERVER_FILE
    try:
        return read_server(file.read_text("utf-8"), str(file))
    except FileNotFoundError:
        raise UserError(f"{file}: there is none; begin with: ved vpn init --endpoint HOST:51820") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(f"{folder}: cannot make this folder ({error.strerror}); choose another --folder") from None


def _store(file: Path, data: bytes, *, is_new: bool) -> None:
    if is_new and file.exists():
        raise UserError(f"{file}: is there already and stays as it is; move it away first")
    try:
        (create_private if is_new else write_private)(file, data)
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror})") from None
