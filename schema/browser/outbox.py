"""`/dev/outbox`: what the outbox holds, as a page and as JSON. It shows whole mails, so it is for
development alone, and for this machine alone."""

from __future__ import annotations

from typing import Final

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from datasources.keys import timestamp
from schema.browser.pages import HARDENING, is_of_this_machine
from streams.outbox import Entry, Outbox
from streams.sinks import Event, Mail

PATH: Final = "/dev/outbox"

# A frame of `srcdoc` is under the policy of its page: mails have style attributes, nothing else.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    **HARDENING,
    "Cache-Control": "no-store",
    "Vary": "Accept",
}

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Outbox</title>
<style>
:root { color-scheme: light dark }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif }
article { margin: 1rem 0; padding: 0 1rem 1rem; border: 1px solid gray; border-radius: .5rem }
h3 { margin-bottom: 0 }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
iframe { width: 100%; height: 28rem; border: 1px solid gray; background: white }
</style>
</head>
<body>
<h1>Outbox</h1>
<p>What would leave this machine if a sink were set for it. Newest first.</p>
<h2>Mails</h2>
{% for entry in mails %}
<article>
<h3 lang="{{ entry.language }}">{{ entry.subject }}</h3>
<p>{{ entry.at }}, {{ entry.kind }} to {{ entry.to }}, tenant {{ entry.tenant }}, \
language {{ entry.language }}</p>
<details><summary>Text</summary><pre lang="{{ entry.language }}">{{ entry.text }}</pre></details>
<details><summary>HTML</summary>
<iframe title="{{ entry.subject }}" sandbox srcdoc="{{ entry.html }}"></iframe></details>
</article>
{% else %}
<p>None yet.</p>
{% endfor %}
<h2>Events</h2>
{% for entry in events %}
<article>
<h3>{{ entry.message.type }}</h3>
<p>{{ entry.at }}</p>
<pre>{{ entry.message | tojson(indent=2) }}</pre>
</article>
{% else %}
<p>None yet.</p>
{% endfor %}
</body>
</html>
"""


class OutboxPage:
    """HTML, or JSON for who accepts that and not HTML: `{"mails": [...], "events": [...]}`, each
    newest first."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._page = Environment(autoescape=True).from_string(_PAGE)

    @property
    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, self._show)]

    async def _show(self, request: Request) -> Response:
        if not is_of_this_machine(request):
            return Response("This page is for this machine alone.", 403, headers=_HEADERS)
        content = {
            "mails": [_shown(entry) for entry in self._outbox.mails],
            "events": [_shown(entry) for entry in self._outbox.events],
        }
        accept = request.headers.get("accept", "").lower()
        if "application/json" in accept and "text/html" not in accept:
            return JSONResponse(content, headers=_HEADERS)
        return HTMLResponse(self._page.render(content), headers=_HEADERS)


def _shown(entry: Entry) -> dict[str, object]:
    at = timestamp(entry.at)
    match entry.sent:
        case Event() as event:
            return {"at": at, "message": event.message}
        case Mail() as mail:
            return {
                "at": at,
                "kind": mail.kind,
                "tenant": mail.tenant,
                "eventId": mail.event_id,
                "language": mail.language,
                "to": mail.to,
                "subject": mail.subject,
                "text": mail.text,
                "html": mail.html,
            }
