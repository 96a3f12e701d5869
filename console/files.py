"""The pages' files: scripts, styles, pictures and catalogues, and nothing else that lies beside them."""

import re
from pathlib import Path

from aiohttp import web

WEB = Path(__file__).with_name("web")

_NAME = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.([a-z0-9]+)")
_TYPES = {
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
    "json": "application/json",
}
_CATALOGUES = "i18n/"
_WITHIN = ("node_modules/",)


def found(name: str, root: Path = WEB) -> Path | None:
    """The file of a name below /static/; None for what is not served: other kinds, links, what lies outside."""
    match = _NAME.fullmatch(name)
    if match is None or match[1] not in _TYPES or name.startswith(_WITHIN) or name.endswith(".config.js"):
        return None
    if match[1] == "json" and not name.startswith(_CATALOGUES):
        return None
    path = root / name
    return path if path.is_file() and path.resolve() == root.resolve() / name else None


async def static(request: web.Request) -> web.StreamResponse:
    """A file, to be asked for again each time (an unchanged one answers 304)."""
    path = found(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound(text="there is no such file")
    kind = _TYPES[path.suffix[1:]]
    return web.FileResponse(path, headers={"Cache-Control": "no-cache", "Content-Type": kind})


async def page(request: web.Request) -> web.StreamResponse:
    """The one page that draws all others."""
    return web.FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})
