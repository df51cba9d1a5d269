"""A share of the answers by plan, held against graphql-core's while the service runs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import orjson
from graphql import DocumentNode, OperationDefinitionNode

log = logging.getLogger(__name__)


class Checks:
    """`share` of the answers, 0 to 1, are due; `random` gives numbers from 0 to below 1. `alike`
    and `different` count what the checks came to."""

    def __init__(self, share: float, random: Callable[[], float]) -> None:
        self._share = share
        self._random = random
        self.alike = self.different = 0

    def is_due(self) -> bool:
        return self._share > 0 and self._random() < self._share

    def compare(
        self,
        planned: dict[str, Any],
        expected: dict[str, Any] | None,
        document: DocumentNode,
        definition: OperationDefinitionNode,
    ) -> None:
        """Counts whether the data by plan is what was expected, byte for byte; None is expected
        where there are errors. Of a difference the log says in which operation, and nothing of
        its variables and data."""
        if orjson.dumps(planned) == orjson.dumps(expected):
            self.alike += 1
            return
        self.different += 1
        name = definition.name.value if definition.name else "without a name"
        text = document.loc.source.body if document.loc else ""
        log.error(
            "A plan did not answer as graphql-core does: operation %s of the document with the "
            "SHA-256 %s.",
            name,
            hashlib.sha256(text.encode()).hexdigest(),
        )
