"""GraphiQL, served from this origin under a strict Content-Security-Policy."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from schema.browser.pages import HARDENING, is_of_this_machine

_NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

# Styles are 'unsafe-inline' because the Monaco editor writes <style> elements and style
# attributes as it draws. GraphiQL's fonts and the editor's underlining are data: URLs. In
# connect-src, 'self' is the websocket of this origin as well.
_PAGE_POLICY: Final = (
    f"{_NOTHING}; script-src 'self'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:"
)

# The host's own table of types may lack a font or, on Windows, call scripts plain text.
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
}

_NOT_BUILT: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Cartograph</title>
<h1>Cartograph</h1>
<p>The GraphiQL explorer is not built. To build it, install Node.js with npm, run
<code>make graphiql</code>, and start the service again.</p>
<p>Meanwhile this address answers any GraphQL client, for instance:</p>
<pre>curl {url} \\
  --header 'Content-Type: application/json' \\
  --data '{{"query": "{{ categories {{ nodes {{ name productCount }} }} }}"}}'</pre>
</html>
"""


@dataclass(frozen=True)
class Identity:
    """Somebody the explorer can call the service as; `token` is a JWT, None for anonymous."""

    label: str
    token: str | None = field(repr=False)


class Explorer:
    """The page for `GET /graphql`, and the routes under `/graphiql/` that it needs.

    `bundle` is the folder Vite built (`index.html` and `assets/`), read once, here.
    `identities` is asked at every visit, so that the tokens it hands out are fresh; it
    names at least one, and the first is a new visitor's.
    """

    def __init__(self, bundle: Path, identities: Callable[[], Sequence[Identity]]) -> None:
        index = bundle / "index.html"
        self._html = index.read_text(encoding="utf-8") if index.is_file() else None
        self._assets = bundle / "assets"
        self._identities = identities

    @property
    def built(self) -> bool:
        """Whether there was a bundle to serve."""
        return self._html is not None

    def page(self, request: Request) -> Response:
        """GraphiQL, or without a bundle a page without scripts that says how to build it."""
        if self._html is None:
            address = escape(str(request.url.replace(query="")))  # its host is the client's word
            html, policy = _NOT_BUILT.format(url=address), _NOTHING
        else:
            html, policy = self._html, _PAGE_POLICY
        return HTMLResponse(html, headers=_headers(policy, cache="no-store"))

    @property
    def routes(self) -> list[BaseRoute]:
        """Settings and files of the page; none without a bundle."""
        if self._html is None:
            return []
        return [
            Route("/graphiql/config.json", self._config),
            Mount("/graphiql/assets", _Assets(directory=self._assets)),
        ]

    async def _config(self, request: Request) -> Response:
        own = _is_own_page(request)
        identities = [asdict(known) for known in self._identities() if own or not known.token]
        return JSONResponse(
            {"identities": identities}, headers=_headers(_NOTHING, cache="no-store")
        )


class _Assets(StaticFiles):
    """Files with a hash of their content in their name: what was fetched once stays true."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_headers(_NOTHING, cache="public, max-age=31536000, immutable"))
        if media_type := _MEDIA_TYPES.get(Path(full_path).suffix):
            response.headers["Content-Type"] = media_type
        return response


def _is_own_page(request: Request) -> bool:
    """Whether the page of this service asks, on this machine: tokens are for it alone. Another
    origin says so in Origin, and a name that was rebound to this machine stands in Host."""
    return "origin" not in request.headers and is_of_this_machine(request)


def _headers(policy: str, *, cache: str) -> dict[str, str]:
    return {**HARDENING, "Content-Security-Policy": policy, "Cache-Control": cache}
