"""A private way between cars, people and the server. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Files for WireGuard: the server, cars, people.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option(help="Folder of the server's wg0.conf and of peers/.")]
_FOLDER = Path("deploy/wireguard/config")


@app.command()
def init(
    endpoint: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Public name or address of the server, and its UDP port.")
    ],
    network: Annotated[str, typer.Option(help="Private network of the tunnel: lower half cars, upper half staff.")] = (
        "10.77.0.0/24"
    ),
    link_port: Annotated[int, typer.Option(help="TCP port that cars reach.")] = 8790,
    page_port: Annotated[
        list[int] | None, typer.Option(help="TCP port that staff reach. Repeatable.  [default: 80 and 443]")
    ] = None,
    folder: Folder = _FOLDER,
) -> None:
    """Make the server's file, with fresh keys; one that is there is never touched.

    The default folder is the one that `docker compose --profile vpn up` mounts; without Docker take /etc/wireguard and
    `systemctl enable --now wg-quick@wg0`. The file sets a packet filter (iptables): a car reaches the link port and a
    person the page, nothing else.

    Example: ved vpn init --endpoint vpn.example.org:51820
    """
    from ved.cli.vpn import init_tunnel
    from ved.cli.vpnconfig import Ports

    init_tunnel(folder, endpoint, network, Ports(link_port, tuple(page_port or (80, 443))))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the car or person: small letters, digits, - and _.")],
    kind: Annotated[str, typer.Option("--for", metavar="car|staff", help="A car (link) or a person (page).")],
    qr: Annotated[bool, typer.Option("--qr", help="Show it as a QR code, for WireGuard's app on a phone.")] = False,
    image: Annotated[Path | None, typer.Option(help="Write the QR code into this .png or .svg file.")] = None,
    folder: Folder = _FOLDER,
) -> None:
    """Make keys and a file for one peer, and let the server know it.

    Example: ved vpn add lea --for staff --qr
    """
    from ved.cli.vpn import NewPeer, add_peer

    add_peer(folder, NewPeer(name, kind, qr, image))


@app.command(name="list")
def list_all(folder: Folder = _FOLDER) -> None:
    """List the peers.

    Example: ved vpn list
    """
    from ved.cli.vpn import print_peers

    print_peers(folder)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name of the peer.")],
    folder: Folder = _FOLDER,
) -> None:
    """Take a peer out: a lost phone, a car that was sold.

    Example: ved vpn remove lea
    """
    from ved.cli.vpn import remove_peer

    remove_peer(folder, name)
