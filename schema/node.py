"""The Node interface, and how schema types stand for the items they project."""

from __future__ import annotations

from typing import Any

import strawberry
from strawberry import Info as _Info

from datasources.items import Item
from resolvers import global_ids
from resolvers.context import Context

Info = _Info[Context, None]


def global_id(parent: strawberry.Parent[Item]) -> strawberry.ID:
    return strawberry.ID(global_ids.of(parent))


@strawberry.interface(description="An object that can be fetched again by its ID.")
class Node:
    id: strawberry.ID = strawberry.field(
        resolver=global_id,
        description="Opaque and global: enough to fetch the object again with one key look-up.",
    )


class Projection:
    """A schema type whose values are items: it reads their attributes, copies nothing, and
    shows only the fields it lists."""

    item: type[Item]

    @classmethod
    def is_type_of(cls, value: Any, _info: Any) -> bool:
        return isinstance(value, cls.item)
