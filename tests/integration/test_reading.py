"""The number of DynamoDB requests that an operation makes is a promise."""

from __future__ import annotations

from datasources.items import OrderLine
from resolvers import global_ids
from tests.support import items
from tests.support.shop import TestShop

NESTED = """
{ viewer { orders(first: 10) { nodes { number items { product { name category { name }
  reviews(first: 3) { nodes { rating author { username } } } } } } } } }
"""


async def fill(shop: TestShop, orders: int) -> None:
    """A customer with orders of three lines each, over products that all have reviews."""
    goods = [items.product(n, category=("books", "toys")[n % 2]) for n in range(12)]
    reviews = [
        items.review(n, p.id, f"user-{(n + i) % 6}") for i, p in enumerate(goods) for n in range(5)
    ]
    bought = [
        items.order(
            n,
            lines=tuple(
                OrderLine(
                    product_id=goods[(n + k) % 12].id, product_name="P", quantity=1, unit_price=9
                )
                for k in range(3)
            ),
        )
        for n in range(orders)
    ]
    await shop.put(
        *(items.user(n) for n in range(6)),
        items.category("books"),
        items.category("toys"),
        *goods,
        *reviews,
        *bought,
    )


async def test_the_nested_query_takes_five_rounds_whatever_the_number_of_orders(
    shop: TestShop,
) -> None:
    await fill(shop, orders=10)

    result = await shop.ask(NESTED, user="user-0")

    assert result.errors == []
    nodes = result.data["viewer"]["orders"]["nodes"]
    assert len(nodes) == 10
    assert all(
        len(line["product"]["reviews"]["nodes"]) == 3 for node in nodes for line in node["items"]
    )
    keys = [call.keys for call in result.calls if call.operation == "BatchGetItem"]
    assert keys == [1, 12, 2, 5]  # viewer, products, categories, authors (the viewer is known)
    assert result.names() == [
        "BatchGetItem",
        "Query",
        "BatchGetItem",
        "BatchGetItem",
        *["Query"] * 12,
        "BatchGetItem",
    ]


async def calls(shop: TestShop, query: str, **arguments: object) -> list[str]:
    """The requests of an operation that succeeds, as `operation` or `operation index`."""
    result = await shop.ask(query, **arguments)  # type: ignore[arg-type]
    assert result.errors == []
    return [
        f"{call.operation} {call.index}" if call.index else call.operation for call in result.calls
    ]


async def test_one_customer_costs_what_one_order_of_ten_costs(shop: TestShop) -> None:
    await fill(shop, orders=1)

    assert await calls(shop, NESTED, user="user-0") == [
        "BatchGetItem",
        "Query",
        "BatchGetItem",
        "BatchGetItem",
        *["Query"] * 3,
        "BatchGetItem",
    ]


async def test_nodes_of_every_kind_are_one_batch(shop: TestShop) -> None:
    someone, thing = items.user(0), items.product(0)
    bought, said = items.order(0), items.review(0, thing.id)
    await shop.put(someone, thing, bought, said, items.category("books"))
    found = [
        global_ids.of(each) for each in (said, bought, thing, someone, items.category("books"))
    ]

    result = await shop.ask(
        "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", user="user-0", ids=found
    )

    assert [node["id"] for node in result.data["nodes"]] == found
    assert [(call.operation, call.keys) for call in result.calls] == [("BatchGetItem", 5)]


async def test_a_list_over_everything_is_one_query_a_shard(shop: TestShop) -> None:
    await shop.put(*(items.product(n) for n in range(8)))

    query = "{ products(first: 5) { nodes { name } pageInfo { hasNextPage hasPreviousPage } } }"
    assert await calls(shop, query) == ["Query GSI2"] * 4


async def test_a_price_range_is_a_query_of_keys_and_one_batch(shop: TestShop) -> None:
    await shop.put(items.category("electronics"), *(items.product(n) for n in range(8)))

    query = """{ categoryBySlug(slug: "electronics") {
        products(first: 5, price: { min: "1002" }) { nodes { price { amount } } } } }"""
    assert await calls(shop, query) == ["BatchGetItem", "Query GSI3", "BatchGetItem"]


async def test_the_same_list_asked_for_twice_is_read_once(shop: TestShop) -> None:
    await shop.put(items.category("electronics"), *(items.product(n) for n in range(3)))

    query = """{ a: categoryBySlug(slug: "electronics") { products { nodes { id } } }
                 b: categoryBySlug(slug: "electronics") { products { nodes { name } } } }"""
    assert await calls(shop, query) == ["BatchGetItem", "Query GSI1"]


async def test_whether_there_is_a_previous_page_is_read_only_when_asked(shop: TestShop) -> None:
    await shop.put(items.category("electronics"), *(items.product(n) for n in range(6)))
    page = """query($after: String) { categories { nodes {
        products(first: 2, after: $after) { pageInfo { %s } } } } }"""
    first = await shop.ask(page % "endCursor")
    after = first.data["categories"]["nodes"][0]["products"]["pageInfo"]["endCursor"]

    without = await calls(shop, page % "hasNextPage", after=after)
    with_it = await calls(shop, page % "hasNextPage hasPreviousPage", after=after)

    assert without == ["Query GSI1", "Query GSI1"]
    assert with_it == [*without, "Query GSI1"]


async def test_the_callers_reviews_of_many_products_are_two_batches(shop: TestShop) -> None:
    goods = [items.product(n) for n in range(6)]
    await shop.put(
        items.user(0),
        items.category("electronics"),
        *goods,
        *(items.review(n, each.id) for n, each in enumerate(goods[:4])),
    )

    query = """{ categoryBySlug(slug: "electronics") {
        products { nodes { viewerReview { rating product { name } } } } } }"""
    result = await shop.ask(query, user="user-0")

    nodes = result.data["categoryBySlug"]["products"]["nodes"]
    assert [node["viewerReview"] is not None for node in nodes] == [True] * 4 + [False] * 2
    assert [(call.operation, call.keys) for call in result.calls] == [
        ("BatchGetItem", 1),  # the category
        ("Query", 0),
        ("BatchGetItem", 7),  # six marks, and whether the caller is erased
        ("BatchGetItem", 4),
    ]


async def test_an_order_and_whether_the_caller_may_see_it_are_one_batch(shop: TestShop) -> None:
    await shop.put(items.user(0), items.order(0))

    result = await shop.ask(
        "query($id: ID!) { order(id: $id) { number nextStatuses customer { username } } }",
        user="user-0",
        id=global_ids.of(items.order(0)),
    )

    assert result.data["order"]["nextStatuses"] == ["CANCELLED"]
    assert [(call.operation, call.keys) for call in result.calls] == [("BatchGetItem", 2)]


async def test_a_user_by_email_is_two_look_ups(shop: TestShop) -> None:
    await shop.put(items.user(0))

    query = '{ userByEmail(email: " USER0@Example.com ") { username } }'
    assert await calls(shop, query, staff=True, user="boss") == ["BatchGetItem", "BatchGetItem"]


async def test_orders_of_a_month_are_one_query_a_shard_and_one_batch(shop: TestShop) -> None:
    await shop.put(*(items.order(n) for n in range(5)))

    query = "{ orders(first: 3) { nodes { number } } }"
    assert await calls(shop, query, staff=True, user="boss") == [
        *["Query GSI3"] * 4,
        "BatchGetItem",
    ]


async def test_the_units_are_those_that_the_store_reports(shop: TestShop) -> None:
    await shop.put(items.category("books"))

    result = await shop.ask("{ categories { nodes { name } } }")

    assert result.cost == 0.5  # one query of up to 4 KB, eventually consistent
