"""Plans by operation: compiled when it pays, bounded, counted."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import DocumentNode, OperationDefinitionNode, get_operation_ast, parse
from graphql.execution.values import VariableValues

from schema.execution import MutationPlan, Plan, PlanCache, Planner
from schema.execution.cache import MOST_VARIANTS, deciding
from tests.unit.schema.execution.judge import SCHEMA

QUERY = "query ($cheap: Boolean!, $id: ID!) { product(id: $id) { id name @skip(if: $cheap) } }"


class Asked:
    """One document, asked for a plan again and again."""

    def __init__(self, query: str = QUERY) -> None:
        self.document: DocumentNode = parse(query)
        found = get_operation_ast(self.document)
        assert found is not None
        self.definition: OperationDefinitionNode = found

    def of(self, cache: PlanCache, **variables: Any) -> Plan | MutationPlan | None:
        return cache.find(self.document, self.definition, VariableValues({}, variables))


def cache(**options: int) -> PlanCache:
    return PlanCache(Planner(SCHEMA), **options)


def test_an_operation_is_compiled_when_it_comes_the_second_time() -> None:
    asked, plans = Asked(), cache()
    assert asked.of(plans, cheap=True, id="1") is None
    plan = asked.of(plans, cheap=True, id="2")
    assert plan is not None
    assert asked.of(plans, cheap=True, id="3") is plan
    assert (plans.first, plans.compiled, plans.hits) == (1, 1, 1)


def test_each_choice_of_skip_and_include_has_its_plan() -> None:
    asked, plans = Asked(), cache(seen_before=0)
    cheap, whole = asked.of(plans, cheap=True, id="1"), asked.of(plans, cheap=False, id="1")
    assert cheap is not None
    assert whole is not None
    assert (cheap.size, whole.size) == (2, 3)
    assert asked.of(plans, cheap=True, id="9") is cheap


def test_only_the_variables_of_skip_and_include_decide() -> None:
    text = "{ a(x: $x) @skip(if: $s) ...F @include(if: $i) } fragment F on A { b @skip(if: $t) }"
    assert set(deciding(parse(text))) == {"s", "i", "t"}


def test_what_is_not_planned_is_remembered() -> None:
    asked, plans = Asked("{ __schema { queryType { name } } }"), cache(seen_before=0)
    assert [asked.of(plans), asked.of(plans)] == [None, None]
    assert (plans.unplanned, plans.hits, plans.compiled) == (2, 0, 0)


def test_the_same_text_parsed_again_is_another_operation() -> None:
    plans = cache(seen_before=0)
    first, second = Asked().of(plans, cheap=True), Asked().of(plans, cheap=True)
    assert first is not second
    assert plans.compiled == 2


def test_the_least_recently_used_goes_first() -> None:
    # Each operation is one, and the fields of its plan are three more.
    old, kept, new = Asked(), Asked(), Asked()
    plans = cache(most_fields=8, seen_before=0)
    for each in (old, kept):
        each.of(plans, cheap=False)
    old.of(plans, cheap=False)
    new.of(plans, cheap=False)
    assert plans.compiled == 3
    old.of(plans, cheap=False)
    assert (plans.compiled, plans.hits) == (3, 2)
    kept.of(plans, cheap=False)
    assert plans.compiled == 4


def test_what_is_larger_than_the_cache_is_planned_all_the_same() -> None:
    asked, plans = Asked(), cache(most_fields=1, seen_before=0)
    assert asked.of(plans, cheap=False) is not None


@pytest.mark.parametrize("more", [0, 1])
def test_an_operation_has_so_many_plans_and_no_more(more: int) -> None:
    names = [f"v{n}" for n in range(5)]
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: __typename @skip(if: ${name})" for name in names)
    asked, plans = Asked(f"query ({declared}) {{ {fields} }}"), cache(seen_before=0)
    for choice in range(MOST_VARIANTS + more):
        bits = {name: bool(choice >> place & 1) for place, name in enumerate(names)}
        asked.of(plans, **bits)
    assert (plans.compiled, plans.unplanned) == (MOST_VARIANTS, more)
