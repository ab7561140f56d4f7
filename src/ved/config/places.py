"""Where the files lie that travel with the program: in a wheel inside the package, in a checkout at its root."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_CHECKOUT = _PACKAGE.parent.parent


def vehicles_folder() -> Path:
    """The vehicles that are shipped."""
    packed = _PACKAGE / "vehicles"
    return packed if packed.is_dir() else _CHECKOUT / "vehicles"


def vehicle_folder(name: str, data: Path) -> Path | None:
    """The folder of that vehicle: from DATA/vehicles, else a shipped one."""
    folders = [folder / name for folder in (data / "vehicles", vehicles_folder())]
    return next((folder for folder in folders if (folder / "vehicle.toml").is_file()), None)


def page_folder() -> Path:
    """The built pit-wall page; may be absent in a checkout that was not set up."""
    packed = _PACKAGE / "web" / "page"
    return packed if packed.is_dir() else _CHECKOUT / "web" / "dist"


def can_write_package() -> bool:
    """True where compiled code can be kept beside the program; not so on a read-only root."""
    return os.access(_PACKAGE / "dbc", os.W_OK)
