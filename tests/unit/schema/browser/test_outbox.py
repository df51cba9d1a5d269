from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape

import httpx
import pytest
from starlette.applications import Starlette

from schema.browser.outbox import PATH, OutboxPage
from streams.outbox import Outbox
from tests.support.items import NOW
from tests.unit.schema.browser.test_explorer import directives
from tests.unit.streams.test_sinks import EVENT, MAIL

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Accept": "application/json"}


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(lambda: NOW)


@pytest.fixture
async def client(outbox: Outbox) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=OutboxPage(outbox).routes)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        yield client


async def test_an_empty_outbox_says_so(client: httpx.AsyncClient) -> None:
    response = await client.get(PATH, headers=BROWSER)
    assert response.status_code == 200
    assert response.text.count("None yet.") == 2
    assert (await client.get(PATH, headers=JSON)).json() == {"mails": [], "events": []}


async def test_the_page_shows_mails_newest_first_and_events(
    client: httpx.AsyncClient, outbox: Outbox
) -> None:
    await outbox.send(MAIL)
    await outbox.send(replace(MAIL, subject="Later", language="en"))
    await outbox.publish(EVENT)
    text = (await client.get(PATH, headers=BROWSER)).text
    assert text.index("Later") < text.index(MAIL.subject)
    for piece in ("taro@example.jp", "language ja", "language en", "stock-low", "product-1"):
        assert piece in text
    assert "2026-11-20T12:00:00.000Z" in text


async def test_a_mail_is_shown_in_a_frame_that_may_do_nothing(
    client: httpx.AsyncClient, outbox: Outbox
) -> None:
    html = """<p title="it's">&lt;1&gt;</p></iframe><script>alert(1)</script>"""
    await outbox.send(replace(MAIL, html=html, subject="<b>&", text="</pre><script>"))
    text = (await client.get(PATH, headers=BROWSER)).text
    assert "<script" not in text
    assert "<b>" not in text
    assert " sandbox srcdoc=" in text
    start = text.index('srcdoc="') + len('srcdoc="')
    assert unescape(text[start : text.index('"', start)]) == html


async def test_the_page_may_run_and_load_nothing(client: httpx.AsyncClient) -> None:
    response = await client.get(PATH, headers=BROWSER)
    assert directives(response.headers["content-security-policy"]) == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"


async def test_json_has_all_that_was_sent(client: httpx.AsyncClient, outbox: Outbox) -> None:
    await outbox.send(MAIL)
    await outbox.publish(EVENT)
    assert (await client.get(PATH, headers=JSON)).json() == {
        "mails": [
            {
                "at": "2026-11-20T12:00:00.000Z",
                "kind": "welcome",
                "tenant": "t",
                "eventId": "event-1",
                "language": "ja",
                "to": "taro@example.jp",
                "subject": MAIL.subject,
                "text": MAIL.text,
                "html": MAIL.html,
            }
        ],
        "events": [{"at": "2026-11-20T12:00:00.000Z", "message": EVENT.message}],
    }


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; q=0.9", "application/json"),
        ("text/html, application/json", "text/html"),
        ("*/*", "text/html"),
        ("", "text/html"),
    ],
)
async def test_json_is_for_who_asks_for_it(
    client: httpx.AsyncClient, accept: str, media: str
) -> None:
    response = await client.get(PATH, headers={"Accept": accept})
    assert response.headers["content-type"].partition(";")[0] == media
    assert response.headers["vary"] == "Accept"


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:8000", "192.0.2.1"])
async def test_another_name_of_this_machine_is_shown_nothing(
    client: httpx.AsyncClient, outbox: Outbox, host: str
) -> None:
    await outbox.send(MAIL)
    response = await client.get(PATH, headers={**JSON, "Host": host})
    assert response.status_code == 403
    assert MAIL.to not in response.text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9000", "[::1]:8000"])
async def test_this_machine_is_shown_all(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get(PATH, headers={**JSON, "Host": host})).status_code == 200
