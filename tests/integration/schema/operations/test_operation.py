"""An operation that has ended leaves nothing to the collector: what it read is freed with it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from resolvers import global_ids
from resolvers.context import Context
from tests.integration.test_reading import NESTED, fill
from tests.support import items
from tests.support.shop import TestShop

RENAME = """
  mutation ($input: UpdateUserInput!) { updateUser(input: $input) {
    user { firstName } userErrors { code } } }
"""


@contextmanager
def all_freed() -> Iterator[None]:
    """That no operation is left of those in a block, though nobody has collected garbage."""
    gc.collect()
    gc.disable()
    try:
        others = operations()  # which tests before this one have kept
        yield
        assert [each for each in operations() if all(each is not other for other in others)] == []
    finally:
        gc.enable()


def operations() -> list[Context]:
    return [each for each in gc.get_objects() if isinstance(each, Context)]


async def test_a_query_is_freed_as_it_ends(shop: TestShop) -> None:
    await fill(shop, orders=3)

    await shop.ask(NESTED, user="user-0")  # the first is graphql-core's
    with all_freed():
        assert (await shop.ask(NESTED, user="user-0")).errors == []
        await asyncio.sleep(0)  # the last batch of its loaders ends as well


async def test_a_mutation_is_freed_as_it_ends(shop: TestShop) -> None:
    user = items.user(0)
    await shop.put(user)

    given = {"id": global_ids.of(user), "firstName": "Ada"}
    await shop.ask(RENAME, user=user.id, input=given)
    with all_freed():
        answer = await shop.ask(RENAME, user=user.id, input=given | {"firstName": "Eva"})
        assert answer.data == {"updateUser": {"user": {"firstName": "Eva"}, "userErrors": []}}
        await asyncio.sleep(0)
