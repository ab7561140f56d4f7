"""`ved grafana build`: the files that a Grafana is provisioned with."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ved.cli.server import prepare_folder
from ved.config.places import vehicles_folder
from ved.config.settings import ServerSettings
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.model.vehicle import Vehicle

console = Console(highlight=False, soft_wrap=True)


def build_grafana(out: Path, names: Sequence[str], language: str, settings: ServerSettings) -> None:
    """Write all files for these vehicles (none named: every one that is known); UserError for bad input."""
    if language not in ("en", "fr"):
        raise UserError(f"--language {language}: give en or fr")
    vehicles = _chosen(names, settings.data)
    try:
        from ved.influx.grafana.cars import Car
        from ved.influx.grafana.provisioning import files_of
    except ImportError as error:
        raise UserError("ved grafana needs an extra; install it with: pip install 'ved[grafana]'") from error
    files = files_of([Car(vehicle, "fr" if language == "fr" else "en") for vehicle in vehicles])
    for path, text in files.items():
        target = prepare_folder(out / path.parent) / path.name
        target.write_text(text, encoding="utf-8")
    shown = ", ".join(vehicle.name for vehicle in vehicles)
    console.print(f"{len(files)} files for {shown} are in {out}; deploy/grafana/README.md says how to mount them")


def _chosen(names: Sequence[str], data: Path) -> list[Vehicle]:
    """The vehicles of these names, as DATA/vehicles and the shipped folders describe them; the former go first."""
    found: dict[str, Path] = {}
    for folder in (data / "vehicles", vehicles_folder()):
        for file in sorted(folder.glob("*/vehicle.toml")):
            found.setdefault(file.parent.name, file.parent)
    for name in names:
        if name not in found:
            raise UserError(f"--vehicle {name}: there is none; known are {', '.join(sorted(found))}")
    return [load_vehicle(found[name]) for name in names or sorted(found)]
