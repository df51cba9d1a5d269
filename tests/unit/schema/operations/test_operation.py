"""From the text of a document to an operation that may run, and to its answer."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, cast

import pytest
import strawberry

import schema.operations.operation as module
from schema.build import build_schema
from schema.errors import told
from schema.execution import Checks, Plan
from schema.limits import Limits
from schema.operations.operation import Executor, Operation, Refused

SHOP = build_schema()


@strawberry.enum
class Colour(enum.Enum):
    RED = "RED"
    BLUE = "BLUE"


@strawberry.type
class Query:
    @strawberry.field
    async def again(self) -> Query:
        return Query()

    @strawberry.field
    def colour(self, colour: Colour = Colour.RED) -> str:
        return colour.value

    @strawberry.field
    def never(self) -> str:
        raise RuntimeError

    @strawberry.field
    def maybe(self) -> str | None:
        raise RuntimeError


def executor(schema: strawberry.Schema = SHOP, **limits: int) -> Executor:
    return Executor(schema, limits=Limits(**limits), introspection=True)


def refused(ask: Callable[[], object]) -> tuple[list[str], str]:
    """The codes of a refusal, and its first message."""
    with pytest.raises(Refused) as caught:
        ask()
    errors = told(caught.value.errors, "r")
    return [error["extensions"]["code"] for error in errors], errors[0]["message"]


def refused_code(found: Executor, query: str, **variables: Any) -> str:
    codes, _ = refused(lambda: found.prepare(query, None, variables))
    assert len(set(codes)) == 1
    return codes[0]


# --- the cache ------------------------------------------------------------------------------


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a document was parsed and validated."""
    done: Counter[str] = Counter()

    def counted(name: str) -> None:
        original = getattr(module, name)

        def spy(*args: Any, **kwargs: Any) -> Any:
            done[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, spy)

    counted("parse")
    counted("validate")
    return done


def test_a_document_is_parsed_and_validated_once(work: Counter[str]) -> None:
    found = executor()
    query = "query A($n: Int) { users(first: $n) { nodes { id } } } query B { changeCursor }"

    costs = [found.prepare(query, "A", {"n": n}).requested for n in (1, 50)]
    costs.append(found.prepare(query, "B", {}).requested)

    assert costs == [1, 50, 0]
    assert work == {"parse": 1, "validate": 1}


@pytest.mark.parametrize(
    ("query", "expected"),
    [("{", {"parse": 1}), ("{ nothing }", {"parse": 1, "validate": 1})],
)
def test_a_document_that_cannot_run_is_remembered_too(
    work: Counter[str], query: str, expected: dict[str, int]
) -> None:
    found = executor()

    first, second = (refused(lambda: found.prepare(query, None, {})) for _ in range(2))

    assert first == second
    assert work == expected


def test_a_document_over_the_limit_is_neither_parsed_nor_remembered(work: Counter[str]) -> None:
    found = executor(characters=100)

    assert refused_code(found, "{ changeCursor }" + " " * 100) == "QUERY_TOO_COMPLEX"

    assert work == {}
    assert len(found._documents) == 0


async def test_what_is_known_of_a_document_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHED_DOCUMENTS", 3)
    found = executor(strawberry.Schema(Query))
    assert found.plans

    for number in range(10):
        for _ in range(2):
            await run(found, f"{{ a{number}: colour }}")

    assert len(found._documents) == 3
    assert len(found._costs._known) == 3
    assert len(found.plans._entries) == 3
    assert found.plans._size == sum(entry.size() for entry in found.plans._entries.values())


def test_documents_are_kept_as_long_as_their_texts_have_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query = "{ changeCursor }"
    monkeypatch.setattr(module, "_CACHED_CHARACTERS", 3 * len(query))
    found = executor()

    for number in range(5):
        found.prepare(query + " " * number, None, {})

    assert len(found._documents) == 2


# --- limits ---------------------------------------------------------------------------------


def test_the_limits_are_inclusive() -> None:
    query = "{ changeCursor }"
    tokens = 3

    executor(characters=len(query), tokens=tokens, cost=0).prepare(query, None, {})

    assert refused_code(executor(characters=len(query) - 1), query) == "QUERY_TOO_COMPLEX"
    assert refused_code(executor(tokens=tokens - 1), query) == "QUERY_TOO_COMPLEX"
    cheap = "{ viewer { id } }"
    executor(cost=1).prepare(cheap, None, {})
    assert refused_code(executor(cost=0), cheap) == "QUERY_TOO_COMPLEX"


def test_a_cost_over_the_limit_tells_both_and_where_most_of_it_is() -> None:
    with pytest.raises(Refused) as caught:
        executor(cost=19).prepare("{ users { nodes { id } } }", None, {})

    assert caught.value.requested == 20
    (error,) = told(caught.value.errors, "r")
    assert error["extensions"] == {
        "code": "QUERY_TOO_COMPLEX",
        "cost": 20,
        "limit": 19,
        "path": ["users", "nodes"],
    }


def nested(levels: int) -> str:
    """A valid document of about `levels` levels, a fragment inside a fragment."""
    half = levels // 4
    opening, closing = "product { viewerReview { " * half, "} } " * half
    return (
        f'{{ review(id: "x") {{ ...A }} }} fragment A on Review {{ {opening} ...B {closing} }} '
        f"fragment B on Review {{ {opening} id {closing} }}"
    )


def from_depth(frames: int, ask: Callable[[], str]) -> str:
    """Asks from so many frames further down the stack."""
    return ask() if frames == 0 else from_depth(frames - 1, ask)


@pytest.mark.parametrize(
    "query",
    [
        "{ a" * 300 + "}" * 300,
        nested(320),
        "query ($x: " + "[" * 400 + "Int" + "]" * 400 + ") { changeCursor }",
        "{ nodes(ids: " + "[" * 400 + "]" * 400 + ") { id } }",
    ],
)
def test_deep_nesting_is_refused_by_name(query: str) -> None:
    assert refused_code(executor(), query) == "QUERY_TOO_COMPLEX"


@pytest.mark.parametrize("frames", [300, 400, 500, 600, 700])
def test_deep_nesting_is_refused_by_name_however_little_stack_is_left(frames: int) -> None:
    found = executor(depth=1_000, fields=1_000)

    assert from_depth(frames, lambda: refused_code(found, nested(196))) == "QUERY_TOO_COMPLEX"


async def test_the_deepest_document_that_is_taken_also_runs() -> None:
    found = executor(strawberry.Schema(Query), depth=196, fields=300)
    query = "{ again " * 195 + "{ colour }" + "}" * 195

    answer = await run(found, query)

    assert answer["errors"] == []


def test_a_text_that_speaks_of_nesting_is_no_document_nested_too_deeply() -> None:
    query = '{ "Document is nested too deeply" }'

    assert refused_code(executor(), query) == "GRAPHQL_PARSE_FAILED"


def test_at_most_ten_mistakes_are_told() -> None:
    codes, _ = refused(lambda: executor().prepare("{" + " nothing" * 30 + "}", None, {}))

    assert 10 <= len(codes) <= 11
    assert set(codes) == {"GRAPHQL_VALIDATION_FAILED"}


# --- which operation ------------------------------------------------------------------------


def test_of_several_operations_one_must_be_named() -> None:
    found, query = executor(), "query A { changeCursor } query B { viewer { id } }"

    codes, message = refused(lambda: found.prepare(query, None, {}))
    unknown, _ = refused(lambda: found.prepare(query, "C", {}))

    assert codes == unknown == ["BAD_USER_INPUT"]
    assert "operationName" in message
    assert found.prepare(query, "B", {}).definition.name


def test_a_document_without_an_operation_is_refused() -> None:
    codes, _ = refused(lambda: executor().prepare("fragment F on Query { changeCursor }", None, {}))

    assert codes == ["GRAPHQL_VALIDATION_FAILED"]


def test_what_the_schema_has_no_root_for_is_refused() -> None:
    for query in ("mutation { x }", "subscription { x }"):
        assert (
            refused_code(executor(strawberry.Schema(Query)), query) == "GRAPHQL_VALIDATION_FAILED"
        )


# --- variables ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        ("Int!", {}),
        ("Int", {"n": "1"}),
        ("Int", {"n": 1.5}),
        ("Int", {"n": 2**31}),
        ("Int", {"n": [1]}),
        ("Int", {"n": True}),
        ("Int!", {"n": None}),
    ],
)
def test_a_variable_that_is_none_of_its_type_is_refused_and_named(
    declared: str, given: dict[str, Any]
) -> None:
    query = f"query ($n: {declared}) {{ users(first: $n) {{ nodes {{ id }} }} }}"

    codes, message = refused(lambda: executor().prepare(query, None, given))

    assert codes == ["BAD_USER_INPUT"]
    assert "$n" in message


def test_a_scalar_out_of_form_is_refused_as_the_variable_it_came_in() -> None:
    query = "query ($r: DateTimeRange) { orders(placed: $r) { nodes { id } } }"

    codes, message = refused(lambda: executor().prepare(query, None, {"r": {"from": "yesterday"}}))

    assert codes == ["BAD_USER_INPUT"]
    assert "$r" in message
    assert "RFC 3339" in message


def test_deeply_nested_variables_are_refused() -> None:
    value: Any = "x"
    for _ in range(900):
        value = [value]
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"

    assert refused_code(executor(), query, ids=value) == "BAD_USER_INPUT"


def test_what_is_wrong_is_quoted_at_bounded_length() -> None:
    values = '"aaaaaaaaaaaa" ' * 300
    query = f"mutation {{ placeOrder(input: {{ id: [{values}] }}) {{ replayed }} }}"

    codes, message = refused(lambda: executor().prepare(query, None, {}))

    assert codes[0] == "GRAPHQL_VALIDATION_FAILED"
    assert 400 < len(message) < 600


def test_what_python_says_of_a_number_is_not_told() -> None:
    query = f"{{ users(first: {'1' * 5_000}) {{ nodes {{ id }} }} }}"

    codes, message = refused(lambda: executor().prepare(query, None, {}))

    assert codes == ["GRAPHQL_VALIDATION_FAILED"]
    assert "sys." not in message
    assert "111" not in message


def test_a_wrong_variable_is_told_without_suggestions_while_introspection_is_off() -> None:
    query = "query ($c: Colour) { colour(colour: $c) }"
    shy = Executor(strawberry.Schema(Query), limits=Limits(), introspection=False)

    _, open_message = refused(
        lambda: executor(strawberry.Schema(Query)).prepare(query, None, {"c": "RAD"})
    )
    _, shy_message = refused(lambda: shy.prepare(query, None, {"c": "RAD"}))

    assert "Did you mean" in open_message
    assert "Did you mean" not in shy_message


def shy(schema: strawberry.Schema = SHOP) -> Executor:
    return Executor(schema, limits=Limits(), introspection=False)


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, "Variable '$r' has invalid value."),
        ({"r": {"from": "yesterday"}}, "Variable '$r' has invalid value at .from."),
        ({"r": {"ot": "2026-01-01T00:00:00Z"}}, "Variable '$r' has invalid value."),
        ({"r": 1}, "Variable '$r' has invalid value."),
    ],
)
def test_a_wrong_variable_is_named_and_nothing_else_while_introspection_is_off(
    variables: dict[str, Any], place: str
) -> None:
    query = "query ($r: DateTimeRange!) { orders(placed: $r) { nodes { id } } }"

    codes, message = refused(lambda: shy().prepare(query, None, variables))

    assert (codes, message) == (["BAD_USER_INPUT"], place)


def test_values_nested_too_deeply_are_refused_while_introspection_is_off() -> None:
    value: Any = "x"
    for _ in range(900):
        value = [value]
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"

    assert refused_code(shy(), query, ids=value) == "BAD_USER_INPUT"


# --- running --------------------------------------------------------------------------------


async def run(found: Executor, query: str, **variables: Any) -> dict[str, Any]:
    operation: Operation = found.prepare(query, None, variables)
    answer = await found.run(operation, cast("Any", None))
    return {"data": answer.data, "errors": told(answer.errors, "r"), "ran": answer.ran}


async def test_a_null_for_an_argument_with_a_default_fails_that_field() -> None:
    query = "query ($c: Colour) { colour(colour: $c) }"

    answer = await run(executor(strawberry.Schema(Query)), query, c=None)

    assert answer["ran"]
    (error,) = answer["errors"]
    assert error["path"] == ["colour"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_null_for_an_argument_tells_no_type_while_introspection_is_off() -> None:
    query = "query ($c: Colour) { colour(colour: $c) }"

    answers = [await run(each(strawberry.Schema(Query)), query, c=None) for each in (executor, shy)]

    (openly,), (quietly,) = (answer["errors"] for answer in answers)
    assert "Colour" in openly["message"]
    assert "Colour" not in quietly["message"]
    assert {**openly, "message": ""} == {**quietly, "message": ""}


async def test_a_null_for_a_directive_of_the_root_refuses_the_operation() -> None:
    query = "query ($no: Boolean = true) { colour @skip(if: $no) }"

    answer = await run(executor(strawberry.Schema(Query)), query, no=None)

    assert not answer["ran"]
    assert answer["data"] is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


async def test_a_defect_in_the_only_field_still_ran() -> None:
    answer = await run(executor(strawberry.Schema(Query)), "{ never }")

    assert answer["ran"]
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"


async def test_everything_may_be_skipped() -> None:
    answer = await run(executor(strawberry.Schema(Query)), "{ colour @skip(if: true) }")

    assert answer == {"data": {}, "errors": [], "ran": True}


# --- plans ----------------------------------------------------------------------------------


@strawberry.type
class Mutation:
    done: ClassVar[list[int]] = []

    @strawberry.mutation
    async def write(self, number: int) -> Query:
        Mutation.done.append(number)
        return Query()


def planned(share: float = 0.0) -> Executor:
    return Executor(
        strawberry.Schema(Query, Mutation),
        limits=Limits(),
        introspection=True,
        checks=Checks(share, lambda: 0.5),
    )


def counts(found: Executor) -> dict[str, int]:
    assert found.plans
    names = ("first", "compiled", "hits", "given_up")
    return {name: getattr(found.plans, name) for name in names}


async def test_an_operation_runs_by_its_plan_once_it_comes_again() -> None:
    found = planned()

    answers = [await run(found, "{ again { colour } }") for _ in range(3)]

    assert answers == [{"data": {"again": {"colour": "RED"}}, "errors": [], "ran": True}] * 3
    assert counts(found) == {"first": 1, "compiled": 1, "hits": 1, "given_up": 0}


async def test_what_a_plan_has_errors_to_say_of_is_graphql_cores() -> None:
    found = planned()

    first, second = [await run(found, "{ again { colour never } }") for _ in range(2)]

    assert first["errors"]
    assert first == second
    assert counts(found)["given_up"] == 1


async def test_a_mutation_is_planned_and_runs_once_each_time() -> None:
    found, query = planned(), "mutation ($n: Int!) { write(number: $n) { again { colour } } }"
    Mutation.done.clear()

    answers = [await run(found, query, n=number) for number in range(3)]
    failed = [await run(found, query.replace("colour", "never"), n=number) for number in (3, 4)]

    assert all(answer == answers[0] and not answer["errors"] for answer in answers)
    assert failed[0] == failed[1]
    assert failed[0]["errors"]
    assert Mutation.done == [0, 1, 2, 3, 4]
    assert counts(found) == {"first": 2, "compiled": 2, "hits": 1, "given_up": 1}


@pytest.mark.parametrize(("share", "expected"), [(0.0, "WRONG"), (0.5, "WRONG"), (0.51, "RED")])
async def test_of_the_share_that_is_checked_the_answer_is_graphql_cores(
    share: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(*_args: object) -> dict[str, Any]:
        return {"colour": "WRONG"}

    monkeypatch.setattr(Plan, "execute", wrong)
    found = planned(share)

    answers = [await run(found, "{ colour }") for _ in range(2)]

    assert answers[1]["data"] == {"colour": expected}


async def test_a_plan_that_tells_nothing_of_an_error_is_another_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def silent(*_args: object) -> dict[str, Any]:
        return {"maybe": None}

    monkeypatch.setattr(Plan, "execute", silent)
    checks = Checks(1, lambda: 0.5)
    found = Executor(strawberry.Schema(Query), limits=Limits(), introspection=True, checks=checks)

    answers = [await run(found, "{ maybe }") for _ in range(2)]

    assert answers[0] == answers[1]
    assert (checks.alike, checks.different) == (0, 1)


async def test_a_mutation_is_never_run_twice_to_check_it() -> None:
    found, query = planned(share=1), "mutation { write(number: 1) { colour } }"
    Mutation.done.clear()

    for _ in range(2):
        await run(found, query)

    assert Mutation.done == [1, 1]


async def test_without_plans_all_is_graphql_cores() -> None:
    found = Executor(strawberry.Schema(Query), limits=Limits(), introspection=True, plans=False)

    answers = [await run(found, "{ colour }") for _ in range(3)]

    assert found.plans is None
    assert answers == [{"data": {"colour": "RED"}, "errors": [], "ran": True}] * 3
