"""All checks of a server."""

from pathlib import Path

from ved.cli.doctor.certificates import certificates
from ved.cli.doctor.finding import Finding, ok, problem, warning
from ved.cli.doctor.machine import clock, disk, not_ours
from ved.cli.doctor.network import ports, services
from ved.cli.doctor.stores import database, journals, lake, vehicles
from ved.cli.health import check_health
from ved.cli.options import server_settings
from ved.cli.server import RunningServer, find_running
from ved.config.settings import ServerSettings
from ved.errors import UserError, VedError

_SET_CLOCK = "install chrony or systemd-timesyncd; offline see docs/deploy/track.md"


def examine_server(data: Path | None, config: Path | None) -> list[Finding]:
    """From the settings outwards; settings that cannot be read end it, since all else goes by them."""
    try:
        settings = server_settings(data, config)
    except UserError as error:
        return [problem("settings", str(error), "docs/ved.sample.toml shows each setting"), clock(_SET_CLOCK)]
    findings = [ok("settings", str(config) if config else "defaults and environment")]
    if not settings.data.is_dir():
        advice = "'ved serve' makes it at its first start; or name another with --data"
        findings.append(warning("data", f"{settings.data}: no such folder yet", advice))
    elif denied := not_ours(settings.data):
        return [*findings, denied, clock(_SET_CLOCK)]
    running = find_running(settings.data) if settings.data.is_dir() else None
    findings.append(_server(settings, running))
    findings += ports(settings, running)
    folder = settings.data if settings.data.is_dir() else settings.data.resolve().parent
    findings += disk(folder, _journal_room(settings)) if folder.is_dir() else []
    findings += [clock(_SET_CLOCK), *certificates(settings), database(settings), *vehicles(settings), lake(settings)]
    return [*findings, *journals(settings), *services(settings)]


def _server(settings: ServerSettings, running: RunningServer | None) -> Finding:
    if running is None:
        return warning("server", "none runs on this data folder", f"ved serve --data {settings.data}")
    try:
        return ok("server", check_health(settings))
    except VedError as error:
        return problem("server", str(error), "see its log; restart it")


def _journal_room(settings: ServerSettings) -> int:
    """How many bytes the journal of frames may still take."""
    if "ingest" not in settings.roles:
        return 0
    there = sum(file.stat().st_size for file in (settings.data / "streams" / "frames").glob("*.seg"))
    return max(0, int(settings.journal_gib * (1 << 30)) - there)
