"""The console's files, as they were built into the package; none in a checkout that hasn't built it.

Paths that aren't files are the console's own addresses: they get `index.html`. Built assets carry a hash
in their names, so a browser may keep them for ever; it asks for the page itself each time. The build
stores assets compressed beside their originals, so that no request compresses anything.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from starlette.responses import FileResponse, Response

from runcast_server import negotiation

INDEX = "index.html"
ASSETS = "assets/"
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
"""Content codings that the build makes, smallest first, and the ends of their files' names."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
NOT_BUILT = (
    "<!doctype html><title>Runcast</title><p>The console isn't built in this checkout: "
    "<code>make up</code> builds it. The API answers under <a href='/docs'>/docs</a>."
)


@dataclass(frozen=True)
class Console:
    """The directory with the built console."""

    root: Path

    @classmethod
    def built_in(cls) -> Console:
        """The one that came with the package."""
        return cls(Path(str(files("runcast_api") / "console")))

    def answer(self, path: str, accept_encoding: str = "") -> Response:
        """The file at `path`, compressed where the caller takes that, or the page that shows the path."""
        found = self._file(path)
        if found is not None:
            return self._asset(path, found, accept_encoding)
        index = self._file(INDEX)
        if index is None:
            return Response(NOT_BUILT, 503, HEADERS, "text/html; charset=utf-8")
        if path.startswith(ASSETS):
            return Response(status_code=404, headers=HEADERS)
        return FileResponse(
            index, media_type="text/html", headers=HEADERS | {"Cache-Control": "no-cache"}
        )

    def _asset(self, path: str, found: Path, accept_encoding: str) -> Response:
        is_kept = path.startswith(ASSETS)
        caching = "public, max-age=31536000, immutable" if is_kept else "no-cache"
        headers = HEADERS | {"Cache-Control": caching, "Vary": "Accept-Encoding"}
        media_type = mimetypes.guess_type(found.name)[0]
        built = {coding: self._file(path + suffix) for coding, suffix in ENCODINGS}
        offered = [coding for coding, file in built.items() if file is not None]
        coding = negotiation.best(accept_encoding, offered) if offered and accept_encoding else None
        if coding is not None:
            compressed = built[coding]
            assert compressed is not None
            headers["Content-Encoding"] = coding
            return FileResponse(compressed, media_type=media_type, headers=headers)
        return FileResponse(found, media_type=media_type, headers=headers)

    def _file(self, path: str) -> Path | None:
        try:
            found = (self.root / path).resolve()
            is_inside = found.is_relative_to(self.root.resolve())
            return found if path and is_inside and found.is_file() else None
        except (OSError, ValueError):
            return None
