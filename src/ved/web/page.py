"""The page's own files: static, from one folder, with nothing from elsewhere."""

from pathlib import Path
from typing import Final

from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

NOT_BUILT: Final = "The page is not built. Build it with: make setup (the API under /api works without it)\n"


class PageFiles(StaticFiles):
    """Static files that are looked up at each request, so a page may be built while the server runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, html=True, check_dir=False)
        self._folder = folder

    async def check_config(self) -> None:
        """The folder need not be there yet."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, 404, or how to build the page."""
        if not (self._folder / "index.html").is_file():
            return PlainTextResponse(NOT_BUILT, status_code=404 if path not in ("", ".") else 200)
        response = await super().get_response(path, scope)
        # Names under assets/ carry a hash of their content; the rest must be asked for again.
        is_hashed = path.startswith("assets/") and response.status_code == 200
        response.headers["Cache-Control"] = "private, max-age=31536000, immutable" if is_hashed else "no-cache"
        return response
