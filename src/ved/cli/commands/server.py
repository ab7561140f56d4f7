"""Run the server, and sign in to it. What a command does is imported when it is called."""

from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data, LinkPort, WebPort

app = typer.Typer()


@app.command()
def demo(data: Data = None, config: ConfigFile = None, web_port: WebPort = None, link_port: LinkPort = None) -> None:
    """Run a server and a simulated Formula Student car.

    The car drives laps on three CAN buses, through the real path. Ctrl-C stops everything; run it again to go on.

    Example: ved demo --web-port 8080
    """
    from ved.cli.demo import run_demo
    from ved.cli.options import server_settings

    run_demo(server_settings(data, config, web_port, link_port))


@app.command()
def serve(
    roles: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE,ROLE,…",
            help="Only these run here: ingest, record, watch, web, influx, mqtt.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    config: ConfigFile = None,
    web_port: WebPort = None,
    link_port: LinkPort = None,
) -> None:
    """Run the server: cars connect, people watch, all is stored.

    Prints the page's address with a one-time sign-in link. Ctrl-C stops it. With --roles, the other roles run on other
    machines; kafka_servers and db_url then say how they meet.

    Example: ved serve --data season-2027 --config ved.toml
    """
    from ved.cli.options import server_settings
    from ved.cli.serve import run_server

    run_server(server_settings(data, config, web_port, link_port, roles))


@app.command()
def signin(
    role: Annotated[str, typer.Option(help="viewer, engineer or admin.")] = "admin",
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Print a one-time sign-in link for the running server.

    Example: ved signin --role viewer
    """
    from ved.cli.options import server_settings
    from ved.cli.serve import print_signin_link

    print_signin_link(server_settings(data, config), role)


@app.command()
def health(data: Data = None, config: ConfigFile = None) -> None:
    """Say whether the server on the data folder is in order; exit code 1 when it is not.

    Each role must have given a sign of life within 10 s, the page and the car link must answer. For health checks of
    container engines and service managers.

    Example: ved health --data ved-data
    """
    from ved.cli.health import check_health
    from ved.cli.options import server_settings

    typer.echo(check_health(server_settings(data, config)))
