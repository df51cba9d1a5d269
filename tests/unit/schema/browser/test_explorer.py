from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from schema.browser.explorer import Explorer, Identity

HTML = (
    '<!doctype html><title>Cartograph</title><script src="/graphiql/assets/main-1a2b.js"></script>'
)
SCRIPT = "console.info('built');"
IDENTITIES = [Identity("Anonymous", None), Identity("Customer: 太郎 田中", "eyJ.a.b")]


def directives(policy: str) -> dict[str, str]:
    """A Content-Security-Policy as directive name to sources."""
    pairs = (directive.strip().partition(" ") for directive in policy.split(";"))
    return {name: sources for name, _, sources in pairs}


def client_of(explorer: Explorer) -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/graphql", explorer.page), *explorer.routes])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(HTML, encoding="utf-8")
    (folder / "assets" / "main-1a2b.js").write_text(SCRIPT, encoding="utf-8")
    (folder / "assets" / "main-1a2b.css").write_text("body {}", encoding="utf-8")
    (folder / "assets" / "icons-1a2b.ttf").write_bytes(b"\0\1\0\0")
    (folder / "assets" / "mark-1a2b.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    return folder


@pytest.fixture
async def client(bundle: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(Explorer(bundle, lambda: IDENTITIES)) as client:
        yield client


async def test_the_page_is_the_bundles_own_and_is_never_kept(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql")
    assert response.text == HTML
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"


async def test_the_page_may_load_and_call_its_own_origin_alone(client: httpx.AsyncClient) -> None:
    policy = directives((await client.get("/graphql")).headers["content-security-policy"])
    assert policy == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "script-src": "'self'",
        "worker-src": "'self'",
        "connect-src": "'self'",
        "style-src": "'self' 'unsafe-inline'",
        "font-src": "'self' data:",
        "img-src": "'self' data:",
    }


@pytest.mark.parametrize(
    "path", ["/graphql", "/graphiql/config.json", "/graphiql/assets/main-1a2b.js"]
)
async def test_every_answer_is_hardened(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert directives(headers["content-security-policy"])["default-src"] == "'none'"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("main-1a2b.js", "text/javascript; charset=utf-8"),
        ("main-1a2b.css", "text/css; charset=utf-8"),
        ("icons-1a2b.ttf", "font/ttf"),
        ("mark-1a2b.svg", "image/svg+xml"),
    ],
)
async def test_an_asset_is_typed_and_kept_for_good(
    client: httpx.AsyncClient, bundle: Path, name: str, media_type: str
) -> None:
    response = await client.get(f"/graphiql/assets/{name}")
    assert response.content == (bundle / "assets" / name).read_bytes()
    assert response.headers["content-type"] == media_type
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_an_unchanged_asset_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/graphiql/assets/main-1a2b.js")
    again = await client.get(
        "/graphiql/assets/main-1a2b.js", headers={"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/graphiql/assets/%2e%2e/%2e%2e/secret.txt",
        "/graphiql/assets/..%2f..%2fsecret.txt",
        "/graphiql/assets/%2e%2e/index.html",
        "/graphiql/assets/..%5c..%5csecret.txt",
        "/graphiql/index.html",
        "/graphiql/assets/",
        "/graphiql/assets/missing.js",
    ],
)
async def test_nothing_but_the_bundles_assets_is_served(
    client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.get(path)).status_code == 404


async def test_a_link_out_of_the_assets_is_not_followed(
    client: httpx.AsyncClient, bundle: Path
) -> None:
    (bundle / "assets" / "out.txt").symlink_to(bundle.parent / "secret.txt")
    assert (await client.get("/graphiql/assets/out.txt")).status_code == 404


async def test_the_settings_list_who_may_be_called_as(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphiql/config.json")
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "identities": [
            {"label": "Anonymous", "token": None},
            {"label": "Customer: 太郎 田中", "token": "eyJ.a.b"},
        ],
    }


async def test_tokens_are_minted_at_every_visit(bundle: Path) -> None:
    tokens = iter(["first", "second"])
    async with client_of(Explorer(bundle, lambda: [Identity("Staff", next(tokens))])) as client:
        seen = [
            (await client.get("/graphiql/config.json")).json()["identities"][0] for _ in range(2)
        ]
    assert [identity["token"] for identity in seen] == ["first", "second"]


async def test_without_a_bundle_the_page_says_how_to_build_it(tmp_path: Path) -> None:
    explorer = Explorer(tmp_path / "dist", lambda: IDENTITIES)
    async with client_of(explorer) as client:
        response = await client.get("/graphql?a=1", headers={"Host": "localhost:9000"})
    assert not explorer.built
    assert explorer.routes == []
    assert response.status_code == 200
    assert "make graphiql" in response.text
    assert "curl http://localhost:9000/graphql \\" in response.text
    assert "<script" not in response.text
    policy = directives(response.headers["content-security-policy"])
    assert set(policy.values()) == {"'none'"}


async def test_a_forged_host_cannot_write_into_the_page(tmp_path: Path) -> None:
    async with client_of(Explorer(tmp_path, lambda: IDENTITIES)) as client:
        response = await client.get("/graphql", headers={"Host": "<b>x</b>"})
    assert "<b>" not in response.text


def test_with_a_bundle_the_explorer_says_it_is_built(bundle: Path) -> None:
    assert Explorer(bundle, lambda: IDENTITIES).built


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://shop.example"},
        {"origin": "null"},
        {"host": "rebound.example"},
        {"host": "rebound.example:8000"},
    ],
)
async def test_tokens_are_for_the_page_of_this_machine_alone(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    config = (await client.get("/graphiql/config.json", headers=headers)).json()
    assert config["identities"] == [{"label": "Anonymous", "token": None}]


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:9000", "[::1]:8000"])
async def test_the_page_of_this_machine_gets_the_tokens(
    client: httpx.AsyncClient, host: str
) -> None:
    config = (await client.get("/graphiql/config.json", headers={"host": host})).json()
    assert len(config["identities"]) == len(IDENTITIES)
