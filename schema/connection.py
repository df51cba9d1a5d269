"""Connections, edges and page info, as clients of the Relay specification know them."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import strawberry

from resolvers import connection as resolved

T = TypeVar("T")
NodeType = TypeVar("NodeType")

First = Annotated[
    int | None,
    strawberry.argument(description="How many, from the front: 1 to 100; 20 if left out."),
]
After = Annotated[
    str | None, strawberry.argument(description="The cursor to go on behind; goes with `first`.")
]
Last = Annotated[int | None, strawberry.argument(description="How many, from the back: 1 to 100.")]
Before = Annotated[
    str | None, strawberry.argument(description="The cursor to stop in front of; goes with `last`.")
]


def window(first: First, after: After, last: Last, before: Before) -> resolved.Window:
    """The four arguments of every list; what is left out is as null."""
    return resolved.Window(given(first), given(after), given(last), given(before))


def given(value: T | None) -> T | None:
    """An optional argument; one that was left out is as null."""
    return None if value is strawberry.UNSET else value


async def _has_next_page(parent: strawberry.Parent[resolved.Connection]) -> bool:
    return await parent.has_next_page()


async def _has_previous_page(parent: strawberry.Parent[resolved.Connection]) -> bool:
    return await parent.has_previous_page()


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(resolver=_has_next_page)
    has_previous_page: bool = strawberry.field(resolver=_has_previous_page)
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type(description="A node and where it stands in the list.")
class Edge(Generic[NodeType]):
    node: NodeType
    cursor: str


@strawberry.type(description="A page of a list.")
class Connection(Generic[NodeType]):
    edges: list[Edge[NodeType]]
    nodes: list[NodeType] = strawberry.field(
        description="The nodes of the edges, for clients that need no cursors."
    )
    page_info: PageInfo
