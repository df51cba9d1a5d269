"""What the service is asked where its units are counted: each root field with what a client of a
shop usually asks of it, and each mutation, in an order in which each finds what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.shelf import CUSTOMER, Shelf
from bench.workloads import NESTED
from datasources.items import Order, Review, User
from datasources.keys import timestamp
from resolvers import global_ids

STAFF = "staff"
NEWCOMER = "newcomer"
PAGE = 20

Known = Mapping[str, str]
Given = Callable[[Known], dict[str, Any]]

_PRODUCT = "id name price { amount currencyCode } inStock imageUrl ratingSummary { average count }"
_ORDER = """id number status placedAt total { amount currencyCode }
  items { productName quantity lineTotal { amount } }"""
_USER = "id username firstName lastName status createdAt"
_REVIEW = "id rating title comment createdAt"
_PAGED = "pageInfo { hasNextPage endCursor } nodes"


@dataclass(frozen=True, slots=True)
class Asked:
    """`given` makes the variables of what is known by then. `learns` names what an answer tells:
    a path to it, such as `createProduct.product.id`."""

    title: str
    query: str
    given: Given = lambda _known: {}
    user: str | None = None
    learns: tuple[str, str] | None = None

    @property
    def staff(self) -> bool:
        return self.user == STAFF


def known(shelf: Shelf) -> dict[str, str]:
    """What the cases name of a shop: global IDs, a number and an address."""
    found = {"product": shelf.goods[0], "category": global_ids.of(shelf.category)}
    found["slug"] = shelf.category.slug
    people = (User.of(row) for row in shelf.rows if row.get("entity") == "User")
    somebody = next(one for one in people if one.email)
    found |= {"user": global_ids.of(somebody), "email": somebody.email or ""}
    orders = (Order.of(row) for row in shelf.rows if row.get("entity") == "Order")
    order = next(one for one in orders if one.user_id == CUSTOMER)
    found |= {"order": global_ids.of(order), "number": order.number}
    found["since"] = timestamp(order.placed_at.replace(day=1, hour=0))
    bought = shelf.bought[0].id
    reviews = (Review.of(row) for row in shelf.rows if row.get("entity") == "Review")
    found["review"] = global_ids.of(next(one for one in reviews if one.product_id == bought))
    found |= {f"product {number}": one for number, one in enumerate(shelf.goods)}
    return found


def _of(name: str) -> Given:
    return lambda known: {"id": known[name]}


def reads() -> list[Asked]:
    by_id = "query($id: ID!) { %s(id: $id) { %s } }"
    many = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Product { %s } } }"
    page = f"(first: {PAGE}) {{ {_PAGED} {{ %s }} }}"
    listed = f"query($id: ID!) {{ products(categoryId: $id, first: {PAGE}%s) {{ {_PAGED}"
    listed += f" {{ {_PRODUCT} }} }} }}"
    placed = f"query($since: DateTime!) {{ orders(placed: {{from: $since}}, first: {PAGE})"
    whole = by_id % (
        "product",
        f"{_PRODUCT} description category {{ name }} reviews(first: 10) {{ {_PAGED}"
        f" {{ {_REVIEW} author {{ username }} }} }}",
    )
    return [
        Asked("node", by_id % ("node", f"... on Product {{ {_PRODUCT} }}"), _of("product")),
        Asked(f"nodes, {PAGE} of them", many % _PRODUCT, _several),
        Asked("viewer", f"{{ viewer {{ {_USER} email }} }}", user=CUSTOMER),
        Asked(
            "viewer, 10 orders with their lines",
            f"{{ viewer {{ orders(first: 10) {{ {_PAGED} {{ {_ORDER} }} }} }} }}",
            user=CUSTOMER,
        ),
        Asked("viewer, the nested query of the README", NESTED, user=CUSTOMER),
        Asked("user", by_id % ("user", _USER), _of("user")),
        Asked(
            "userByEmail",
            f"query($email: String!) {{ userByEmail(email: $email) {{ {_USER} }} }}",
            lambda known: {"email": known["email"]},
            STAFF,
        ),
        Asked(f"users, {PAGE}", f"{{ users{page % _USER} }}", user=STAFF),
        Asked("product", by_id % ("product", _PRODUCT), _of("product")),
        Asked("product, its category and 10 reviews", whole, _of("product")),
        Asked(f"products of a category, {PAGE} newest", listed % "", _of("category")),
        Asked(
            f"products of a category, {PAGE} in a range of price",
            listed % ', price: {min: "1000", max: "100000"}',
            _of("category"),
        ),
        Asked(f"products of all categories, {PAGE} newest", f"{{ products{page % _PRODUCT} }}"),
        Asked("category", by_id % ("category", "name productCount"), _of("category")),
        Asked(
            "categoryBySlug",
            "query($slug: String!) { categoryBySlug(slug: $slug) { name productCount } }",
            lambda known: {"slug": known["slug"]},
        ),
        Asked(f"categories, {PAGE}", f"{{ categories{page % 'slug name productCount'} }}"),
        Asked("order", by_id % ("order", _ORDER), _of("order"), CUSTOMER),
        Asked(
            "orderByNumber",
            f"query($number: String!) {{ orderByNumber(number: $number) {{ {_ORDER} }} }}",
            lambda known: {"number": known["number"]},
            CUSTOMER,
        ),
        Asked(f"orders of a month, {PAGE} newest", _orders(placed), _since, STAFF),
        Asked(
            f"orders of a month, {PAGE} newest that are PAID",
            _orders(placed.replace("first:", "status: PAID, first:")),
            _since,
            STAFF,
        ),
        Asked("review", by_id % ("review", _REVIEW), _of("review")),
        Asked("changeCursor", "{ changeCursor }"),
    ]


def _orders(field: str) -> str:
    return f"{field} {{ {_PAGED} {{ {_ORDER} }} }} }}"


def _since(known: Known) -> dict[str, Any]:
    return {"since": known["since"]}


def _several(known: Known) -> dict[str, Any]:
    return {"ids": [known[f"product {number}"] for number in range(PAGE)]}


def writes() -> list[Asked]:
    def mutation(
        title: str,
        given: Given,
        user: str,
        *,
        wants: str = "",
        learns: tuple[str, str] | None = None,
    ) -> Asked:
        name = title.partition(",")[0].split()[0]
        kind = name[0].upper() + name[1:]
        query = f"mutation($input: {kind}Input!) {{ {name}(input: $input) {{ {wants} "
        query += "userErrors { code message field } } }"
        return Asked(title, query, lambda known: {"input": given(known)}, user, learns)

    def advance(to: str) -> Asked:
        return mutation(
            f"advanceOrder to {to}", lambda known: {"id": known["new order"], "to": to}, STAFF
        )

    def place(lines: int, key: str, learns: tuple[str, str] | None = None) -> Asked:
        return mutation(
            f"placeOrder, {lines} line{'s' * (lines > 1)}",
            lambda known: _cart(known, lines, key),
            NEWCOMER,
            wants="order { id }",
            learns=learns,
        )

    return [
        mutation("createUser", _newcomer, NEWCOMER, wants="user { id }"),
        mutation("updateUser, a name", lambda _: {"firstName": "次郎"}, NEWCOMER),
        mutation("updateUser, the address", lambda _: {"email": "b@shop.example"}, NEWCOMER),
        mutation(
            "createCategory",
            lambda _: {"slug": "lamps", "name": "Lamps", "description": "What gives light."},
            STAFF,
            wants="category { id }",
            learns=("new category", "createCategory.category.id"),
        ),
        mutation(
            "updateCategory",
            lambda known: {"id": known["new category"], "name": "Lamps and lights"},
            STAFF,
        ),
        mutation(
            "createProduct",
            _lamp,
            STAFF,
            wants="product { id }",
            learns=("new product", "createProduct.product.id"),
        ),
        mutation(
            "updateProduct, its price",
            lambda known: {"id": known["new product"], "price": _yen("4200")},
            STAFF,
        ),
        mutation(
            "updateProduct, its status",
            lambda known: {"id": known["new product"], "status": "ARCHIVED"},
            STAFF,
        ),
        mutation(
            "adjustInventory",
            lambda known: {"productId": known["product"], "delta": 5, "reason": "delivery"},
            STAFF,
        ),
        place(1, "one line"),
        place(3, "three lines", ("new order", "placeOrder.order.id")),
        place(10, "ten lines", ("large order", "placeOrder.order.id")),
        mutation("cancelOrder, 10 lines", lambda known: {"id": known["large order"]}, NEWCOMER),
        advance("PAID"),
        advance("SHIPPED"),
        advance("DELIVERED"),
        mutation(
            "addReview",
            lambda known: {
                "productId": known["product 0"],
                "rating": 5,
                "title": "Just right",
                "comment": "It came the next day and does what it should. " * 4,
            },
            NEWCOMER,
            wants="review { id }",
            learns=("new review", "addReview.review.id"),
        ),
        mutation(
            "updateReview, its stars",
            lambda known: {"id": known["new review"], "rating": 4},
            NEWCOMER,
        ),
        mutation("deleteReview", lambda known: {"id": known["new review"]}, NEWCOMER),
        mutation(
            "setUserStatus",
            lambda known: {"id": known["user"], "status": "SUSPENDED"},
            STAFF,
        ),
        mutation("deleteUser, with 3 orders", lambda _: {"reason": "asked to"}, NEWCOMER),
    ]


def _newcomer(_known: Known) -> dict[str, Any]:
    return {
        "email": "a@shop.example",
        "username": NEWCOMER,
        "firstName": "太郎",
        "lastName": "田中",
        "phoneNumber": "+81312345678",
    }


def _lamp(known: Known) -> dict[str, Any]:
    return {
        "name": "Desk lamp",
        "description": "It can be turned, dimmed and folded, and stands on little. " * 5,
        "price": _yen("4800"),
        "categoryId": known["new category"],
        "inventory": 50,
        "imageUrl": "https://shop.example/lamp.jpg",
    }


def _cart(known: Known, lines: int, key: str) -> dict[str, Any]:
    return {
        "items": [{"productId": known[f"product {n}"], "quantity": 1} for n in range(lines)],
        "shippingAddress": {
            "recipient": "田中 太郎",
            "line1": "1-2-3",
            "city": "千代田区",
            "region": "東京都",
            "postalCode": "100-0001",
            "countryCode": "JP",
        },
        "idempotencyKey": key,
    }


def _yen(amount: str) -> dict[str, str]:
    return {"amount": amount, "currencyCode": "JPY"}
