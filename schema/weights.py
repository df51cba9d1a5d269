"""What is paid for: the one table that costs are computed from, by `schema/limits.py`.

A field costs `OBJECT` for each object of a row of its own, a Node, times the size of the list it
stands in. Everything else comes with such a row and is free.
"""

from __future__ import annotations

from resolvers.connection import DEFAULT_SIZE, LARGEST_SIZE

__all__ = [
    "CONNECTION",
    "DEFAULT_SIZE",
    "GIVEN_LISTS",
    "LARGEST_SIZE",
    "LISTS",
    "OBJECT",
    "PAGE_SIZES",
    "SIZING",
]

OBJECT = 1

# Connections are as long as the larger of these says, DEFAULT_SIZE where neither is given, and
# never longer than LARGEST_SIZE.
CONNECTION = "Connection"  # how the names of their types end
PAGE_SIZES = ("first", "last")

# Lists that are as long as one that is given.
GIVEN_LISTS = {("Query", "nodes"): "ids"}

# Lists inside an object, and how long they can be.
LISTS = {("Order", "items"): 50}

# All arguments that say how long a list is.
SIZING = frozenset({*PAGE_SIZES, *GIVEN_LISTS.values()})
