"""Plans by operation: bounded, and counted."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from graphql import (
    DirectiveNode,
    DocumentNode,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.values import VariableValues

from schema.execution.plan import MutationPlan, Plan
from schema.execution.planner import Planner
from schema.execution.values import NotPlanned

MOST_FIELDS = 50_000
MOST_VARIANTS = 16

Choice = tuple[object, ...]
Planned = Plan | MutationPlan


@dataclass(slots=True)
class _Entry:
    """One operation. It is kept here, so that no other can come to have its id."""

    definition: OperationDefinitionNode
    deciding: tuple[str, ...]  # the variables in @skip and @include
    seen: int = 0
    plans: dict[Choice, Planned | None] = field(default_factory=dict)

    def size(self) -> int:
        return 1 + sum(plan.size for plan in self.plans.values() if plan is not None)


class PlanCache:
    """Plans by operation and by what its @skip and @include come to; the least recently used go
    first when all plans have more than `most_fields` fields together.

    An operation is compiled when it comes the second time (`seen_before` times before): to
    compile costs more than to run once, and whoever sends each document once must not make the
    service pay for it. What is not planned is remembered as that.

    `hits` counts plans found, `compiled` plans made, `first` operations that are not yet
    compiled, `unplanned` those that no plan covers, `given_up` the runs that came upon Unfit.
    """

    def __init__(
        self, planner: Planner, *, most_fields: int = MOST_FIELDS, seen_before: int = 1
    ) -> None:
        self._planner = planner
        self._most = most_fields
        self._seen_before = seen_before
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._size = 0
        self.hits = self.compiled = self.first = self.unplanned = self.given_up = 0

    def find(
        self,
        document: DocumentNode,
        definition: OperationDefinitionNode,
        values: VariableValues,
    ) -> Planned | None:
        """The plan of an operation of a document, or None where the reference executor is to
        run it. `values` are its variables as they were coerced."""
        entry = self._entry(document, definition)
        choice = tuple(values.coerced.get(name) for name in entry.deciding)
        if choice in entry.plans:
            plan = entry.plans[choice]
            if plan is None:
                self.unplanned += 1
            else:
                self.hits += 1
            return plan
        entry.seen += 1
        if entry.seen <= self._seen_before:
            self.first += 1
            return None
        if len(entry.plans) >= MOST_VARIANTS:
            self.unplanned += 1
            return None
        return self._compile(document, entry, choice, values)

    def give_up(self) -> None:
        """To be called when a run came upon Unfit."""
        self.given_up += 1

    def forget(self, definition: OperationDefinitionNode) -> None:
        """Lets go of an operation whose document is kept no longer."""
        if entry := self._entries.pop(id(definition), None):
            self._size -= entry.size()

    def _compile(
        self, document: DocumentNode, entry: _Entry, choice: Choice, values: VariableValues
    ) -> Planned | None:
        plan: Planned | None = None
        try:
            plan = self._planner.plan(document, entry.definition, values)
        except NotPlanned:
            self.unplanned += 1
        else:
            self.compiled += 1
            self._size += plan.size
        entry.plans[choice] = plan
        self._evict()
        return plan

    def _entry(self, document: DocumentNode, definition: OperationDefinitionNode) -> _Entry:
        found = self._entries.get(id(definition))
        if found is None:
            found = self._entries[id(definition)] = _Entry(definition, deciding(document))
            self._size += found.size()
            self._evict()
        else:
            self._entries.move_to_end(id(definition))
        return found

    def _evict(self) -> None:
        while self._size > self._most and len(self._entries) > 1:
            _, oldest = self._entries.popitem(last=False)
            self._size -= oldest.size()


def deciding(document: DocumentNode) -> tuple[str, ...]:
    """The variables on which it depends what the operations of a document select."""
    found: dict[str, None] = {}

    class Directives(Visitor):
        def enter_directive(self, node: DirectiveNode, *_args: object) -> None:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    found[argument.value.name.value] = None

    visit(document, Directives())
    return tuple(found)
