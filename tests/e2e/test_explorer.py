"""GraphiQL in a real browser: Debian's Chromium, driven by Playwright."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from playwright.async_api import (
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    Route,
    WebSocket,
    async_playwright,
    expect,
)

from tests.e2e.support import Service

CHROMIUM: Final = Path("/usr/bin/chromium")
BUNDLE: Final = Path(__file__).parents[2] / "schema" / "graphiql" / "dist" / "index.html"
MISSING: Final = [
    name
    for name, file in {
        f"Chromium ({CHROMIUM})": CHROMIUM,
        "the explorer's bundle (make graphiql)": BUNDLE,
    }.items()
    if not file.exists()
]
ARGUMENTS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Whatever else the browser would look up does not exist.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PATIENCE: Final = 30_000  # milliseconds; two cores may be busy with other tests

pytestmark = pytest.mark.skipif(
    bool(MISSING) and os.environ.get("TESTS_MUST_NOT_SKIP") != "1",
    reason=f"missing: {', '.join(MISSING)}",
)


@pytest.fixture
async def page(service: Service) -> AsyncIterator[Page]:
    """GraphiQL in an empty profile, its schema read and its editors drawn.

    Afterwards nothing may have gone to another origin, and the console may hold no error:
    a breach of the Content-Security-Policy is one.
    """
    assert not MISSING, f"missing: {', '.join(MISSING)}"
    expect.set_options(timeout=PATIENCE)
    foreign: list[str] = []
    complaints: list[str] = []

    def note_request(request: Request) -> None:
        if not request.url.startswith((f"{service.url}/", "data:")):
            foreign.append(request.url)

    def note_socket(socket: WebSocket) -> None:
        if socket.url != f"ws://127.0.0.1:{service.port}/graphql":
            foreign.append(socket.url)

    def note_message(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=ARGUMENTS, timeout=PATIENCE
        )
        page = await browser.new_page(viewport={"width": 1600, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.on("request", note_request)
        page.on("websocket", note_socket)
        page.on("console", note_message)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{service.url}/graphql")
        await expect(explorer(page)).to_contain_text("categoryBySlug")
        await expect(editor(page)).to_contain_text("query Storefront {")
        await expect(answer(page)).to_be_attached()
        yield page
        await browser.close()

    assert foreign == []
    assert complaints == []


def explorer(page: Page) -> Locator:
    return page.locator(".graphiql-explorer-root")


def editor(page: Page) -> Locator:
    return page.get_by_label("Operation Editor").locator(".view-lines")


def answer(page: Page) -> Locator:
    return page.get_by_label("Result Window").locator(".view-lines")


def runs(operation: str) -> Callable[[Response], bool]:
    """Whether a response is the answer to the operation of this name."""

    def is_answer(response: Response) -> bool:
        sent = response.request.post_data_json
        return sent is not None and sent["operationName"] == operation

    return is_answer


async def call_as(page: Page, label: str) -> None:
    """Choose the first identity whose label starts so, and let the schema be read again."""
    choice = page.get_by_label("Call as")
    option = choice.locator("option").filter(has_text=label).first
    async with page.expect_response(runs("IntrospectionQuery")):
        await choice.select_option(await option.get_attribute("value"))


async def open_tab(page: Page, operation: str) -> None:
    await page.get_by_role("tab", name=operation).click()
    # GraphiQL takes note of another text a moment later; what it stores is the sign of it.
    await page.wait_for_function(
        "name => RegExp(`^(query|mutation|subscription) ${name}\\\\b`, 'm')"
        ".test(localStorage.getItem('graphiql:query'))",
        arg=operation,
    )


async def execute(page: Page) -> None:
    await page.get_by_role("button", name="Execute query").click()


async def run(page: Page, operation: str) -> Response:
    async with page.expect_response(runs(operation)) as response:
        await execute(page)
    return await response.value


async def type_headers(page: Page, headers: dict[str, str]) -> None:
    await page.get_by_role("button", name="Headers", exact=True).click()
    await page.locator(".graphiql-editor:not(.hidden) .view-lines").last.click()
    await page.keyboard.insert_text(json.dumps(headers))


@dataclass
class Subscribed:
    """The websocket of a subscription, and with what it introduced itself."""

    socket: WebSocket
    introduction: dict[str, Any]


async def subscribe(page: Page) -> Subscribed:
    """Run the subscription of the open tab; it has been sent when this returns."""
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def listen(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.put_nowait(json.loads(frame)))

    page.once("websocket", listen)
    async with asyncio.timeout(PATIENCE / 1_000), page.expect_websocket() as opened:
        await execute(page)
        init, subscription = await sent.get(), await sent.get()
    assert (init["type"], subscription["type"]) == ("connection_init", "subscribe")
    return Subscribed(await opened.value, init["payload"])


def restock(service: Service, staff: str) -> int:
    """Put one more of some product in stock; returns how many there were."""
    products = service.ask("{ products(first: 1) { nodes { id } } }")
    answer = service.ask(
        "mutation ($id: ID!) { adjustInventory(input: {productId: $id, delta: 1})"
        " { product { inventory } } }",
        staff,
        id=products["data"]["products"]["nodes"][0]["id"],
    )
    after: int = answer["data"]["adjustInventory"]["product"]["inventory"]
    return after - 1


async def test_the_examples_stand_beside_the_explorer_plugin(page: Page) -> None:
    await expect(page).to_have_title("Cartograph")
    await expect(page.get_by_role("heading", name="Cartograph")).to_be_visible()
    await expect(page.get_by_role("tab")).to_have_text(
        [
            *("Storefront", "MyOrders", "CheapestFirst", "LatestOrders", "PageByPage"),
            *("ProductChanges", "AdjustInventory"),
        ],
        use_inner_text=True,
    )
    await expect(page.get_by_label("Call as").locator("option:checked")).to_have_text("Anonymous")
    await expect(explorer(page).locator("input[value=Storefront]")).to_be_visible()


async def test_a_field_name_is_completed(page: Page) -> None:
    await editor(page).get_by_text("productCount").click()
    await page.keyboard.press("End")
    await page.keyboard.press("Enter")
    await page.keyboard.type("desc")
    await page.keyboard.press("Control+Space")
    suggestion = page.locator(".suggest-widget .monaco-list-row.focused")
    await expect(suggestion).to_contain_text("description")
    await page.keyboard.press("Enter")
    lines = editor(page).locator(".view-line")
    await expect(lines.filter(has_text=re.compile(r"^\s*description$"))).to_be_visible()


async def test_a_query_is_run_and_its_answer_shown(page: Page) -> None:
    body = await (await run(page, "Storefront")).json()
    category = body["data"]["categoryBySlug"]
    assert category["products"]["nodes"]
    await expect(answer(page)).to_contain_text(f'"productCount": {category["productCount"]}')


async def test_a_customer_reads_their_own_orders_and_is_remembered(page: Page) -> None:
    await open_tab(page, "MyOrders")
    assert (await (await run(page, "MyOrders")).json())["data"] == {"viewer": None}

    await call_as(page, "Customer")
    viewer = (await (await run(page, "MyOrders")).json())["data"]["viewer"]
    assert viewer["orders"]["nodes"]
    await expect(answer(page)).to_contain_text(f'"username": "{viewer["username"]}"')

    await page.reload()
    await expect(page.get_by_label("Call as").locator("option:checked")).to_contain_text("Customer")


async def test_every_example_runs_for_whom_it_is_meant(page: Page) -> None:
    identities = {"MyOrders": "Customer", "LatestOrders": "Staff"}  # and for those after it
    operations = await page.get_by_role("tab").all_inner_texts()
    operations.remove("ProductChanges")  # has tests of its own
    for operation in operations:
        if operation in identities:
            await call_as(page, identities[operation])
        await open_tab(page, operation)
        response = await run(page, operation)
        body = await response.json()
        assert response.status == 200
        assert "errors" not in body, operation
        assert all(value is not None for value in body["data"].values()), operation
        assert '"userErrors":[{' not in await response.text(), operation


async def test_an_authorization_header_typed_by_the_user_wins(page: Page) -> None:
    async def answer_nothing(route: Route) -> None:
        await route.fulfill(json={"data": None})

    await call_as(page, "Customer")
    await page.route("**/graphql", answer_nothing)
    await type_headers(page, {"authorization": "Bearer typed"})
    response = await run(page, "Storefront")
    assert await response.request.header_value("authorization") == "Bearer typed"


async def test_a_subscription_shows_each_change_until_it_is_stopped(
    page: Page, service: Service, staff: str
) -> None:
    await open_tab(page, "ProductChanges")
    subscribed = await subscribe(page)
    for _ in range(2):
        before = restock(service, staff)
        await expect(answer(page)).to_contain_text(f'"previousInventory": {before}')
        await expect(answer(page)).to_contain_text(f'"inventory": {before + 1}')

    async with subscribed.socket.expect_event("close"):
        await page.get_by_role("button", name="Stop query").click()
    await expect(page.get_by_role("button", name="Execute query")).to_be_visible()
    await expect(answer(page)).to_contain_text('"kind": "UPDATED"')


async def test_another_identity_ends_a_subscription_and_begins_the_next_as_itself(
    page: Page,
) -> None:
    await open_tab(page, "ProductChanges")
    anonymous = await subscribe(page)
    assert anonymous.introduction == {"authorization": None, "tenant": None}

    async with anonymous.socket.expect_event("close"):
        await call_as(page, "Staff")
    staff = await subscribe(page)
    token = staff.introduction["authorization"].removeprefix("Bearer ")
    assert jwt.decode(token, options={"verify_signature": False})["roles"] == ["staff"]


async def test_the_service_closing_the_socket_is_shown(page: Page) -> None:
    await open_tab(page, "ProductChanges")
    await type_headers(page, {"Authorization": "Bearer typed", "X-Tenant": "default"})
    await execute(page)
    await expect(answer(page)).to_contain_text("closed with 4403: The token is malformed.")
    await expect(page.get_by_role("button", name="Execute query")).to_be_visible()


async def test_an_explanation_is_drawn_while_it_is_asked_for(page: Page) -> None:
    await page.get_by_role("button", name="Show Explain").click()
    panel = page.get_by_label("Explain", exact=True)
    choice = panel.get_by_label("Explain what is run")
    await choice.check()
    explained = await run(page, "Storefront")
    assert await explained.request.header_value("x-explain") == "1"
    rounds = (await explained.json())["extensions"]["explain"]["rounds"]

    await expect(panel.get_by_role("status")).to_contain_text(f"{len(rounds)} round")
    first = panel.get_by_label("Round 1", exact=True)
    await expect(first).to_contain_text(rounds[0]["calls"][0]["operation"])
    await expect(first).to_contain_text(rounds[0]["calls"][0]["askedBy"][0]["field"])
    await expect(answer(page)).not_to_contain_text("askedBy")

    await choice.uncheck()
    plain = await run(page, "Storefront")
    assert await plain.request.header_value("x-explain") is None


async def test_an_n_plus_1_is_pointed_out(page: Page) -> None:
    asked = {"field": "Product.reviews", "path": "products.nodes.reviews"}
    call: dict[str, Any] = {
        "operation": "Query",
        "index": None,
        "keys": 1,
        "items": 3,
        "units": 0.5,
        "at": 0.0,
    }
    call |= {"milliseconds": 2.0, "attempt": 1, "error": None, "askedBy": [asked | {"times": 1}]}
    explained = {
        "rounds": [{"at": 0.0, "milliseconds": 2.0, "calls": [call] * 20}],
        "repeated": [asked | {"operation": "Query", "index": None, "calls": 20, "times": 20}],
        "cached": 0,
    }

    async def answer_so(route: Route) -> None:
        await route.fulfill(json={"data": None, "extensions": {"explain": explained}})

    await page.get_by_role("button", name="Show Explain").click()
    panel = page.get_by_label("Explain", exact=True)
    await panel.get_by_label("Explain what is run").check()
    await page.route("**/graphql", answer_so)
    await run(page, "Storefront")

    await expect(panel).to_contain_text("Product.reviews stands 20 times in the answer")
    first = panel.get_by_label("Round 1", exact=True)
    await expect(first).to_contain_text(re.compile("20 . Query"))


async def test_who_may_not_have_explanations_is_told_so(page: Page) -> None:
    async def answer_nothing(route: Route) -> None:
        await route.fulfill(json={"data": None})

    await page.get_by_role("button", name="Show Explain").click()
    panel = page.get_by_label("Explain", exact=True)
    await panel.get_by_label("Explain what is run").check()
    await page.route("**/graphql", answer_nothing)
    await run(page, "Storefront")

    await expect(panel.get_by_role("status")).to_have_text("The service explains to staff alone.")


async def test_a_query_that_cannot_run_is_no_refusal_to_explain(page: Page) -> None:
    async def refuse(route: Route) -> None:
        await route.fulfill(json={"errors": [{"message": "It cannot run."}]})

    await page.get_by_role("button", name="Show Explain").click()
    panel = page.get_by_label("Explain", exact=True)
    await panel.get_by_label("Explain what is run").check()
    await page.route("**/graphql", refuse)
    await run(page, "Storefront")

    await expect(answer(page)).to_contain_text("It cannot run.")
    await expect(panel).to_contain_text("Run a query")
    await expect(panel.get_by_role("status")).to_have_count(0)
