"""The evaluator that the policies are judged by, after the examples of the IAM User Guide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.support.iam import Decision, Request, decide

ALLOWED, DENIED, NOT_ALLOWED = Decision.ALLOWED, Decision.DENIED, Decision.NOT_ALLOWED
TABLE = "arn:aws:dynamodb:ap-northeast-1:000000000000:table/shop"
KEYS = "dynamodb:LeadingKeys"
TENANT = "aws:PrincipalTag/tenant"


def statement(effect: str = "Allow", **changes: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "dynamodb:Query", "Resource": TABLE, **changes}


def asked(
    action: str = "dynamodb:Query",
    resource: str = TABLE,
    context: Mapping[str, Sequence[str]] | None = None,
) -> Request:
    return Request(action, resource, context=context or {})


def about(**context: list[str]) -> Request:
    """A request with condition keys."""
    return asked(context=context)


def holds(condition: dict[str, Any], request: Request) -> bool:
    return decide(request, [statement(Condition=condition)]) is ALLOWED


def test_what_nothing_allows_is_not_allowed() -> None:
    assert decide(asked(), []) is NOT_ALLOWED
    assert decide(asked(), [statement(Action="dynamodb:Scan")]) is NOT_ALLOWED
    assert decide(asked(), [statement(Resource=f"{TABLE}/index/*")]) is NOT_ALLOWED


def test_a_denial_is_stronger_than_any_number_of_permissions() -> None:
    everything = statement(Action="*", Resource="*")
    assert decide(asked(), [everything, statement("Deny"), everything]) is DENIED
    assert decide(asked(), [everything], resource=[statement("Deny", Principal="*")]) is DENIED
    assert decide(asked(), [everything], bounds=[everything, statement("Deny")]) is DENIED


def test_within_an_account_either_side_may_allow() -> None:
    own = statement(Principal={"AWS": "arn:aws:iam::000000000000:root"})
    assert decide(asked(), [], resource=[own]) is ALLOWED
    other = statement(Principal={"AWS": "arn:aws:iam::111111111111:root"})
    assert decide(asked(), [], resource=[other]) is NOT_ALLOWED
    assert decide(asked(), [], resource=[statement(Principal={"Service": "x"})]) is NOT_ALLOWED


def test_bounds_allow_nothing_and_have_to_allow_as_well() -> None:
    assert decide(asked(), [], bounds=[statement()]) is NOT_ALLOWED
    assert decide(asked(), [statement()], bounds=[]) is NOT_ALLOWED
    assert decide(asked(), [statement()], bounds=[statement()]) is ALLOWED


@pytest.mark.parametrize(
    ("pattern", "action", "matches"),
    [
        ("*", "dynamodb:Query", True),
        ("dynamodb:*", "dynamodb:Query", True),
        ("DYNAMODB:query", "dynamodb:Query", True),
        ("dynamodb:Get*", "dynamodb:GetRecords", True),
        ("dynamodb:?uery", "dynamodb:Query", True),
        ("dynamodb:Get*", "dynamodb:BatchGetItem", False),
        ("dynamodb.Query", "dynamodb:Query", False),
        ("sqs:*", "dynamodb:Query", False),
    ],
)
def test_an_action_is_matched_by_its_pattern(pattern: str, action: str, matches: bool) -> None:
    assert (decide(asked(action), [statement(Action=pattern)]) is ALLOWED) == matches
    but = {"Effect": "Allow", "NotAction": pattern, "Resource": "*"}
    assert (decide(asked(action), [but]) is ALLOWED) != matches


def test_a_resource_is_matched_with_regard_to_case() -> None:
    assert decide(asked(), [statement(Resource=TABLE.upper())]) is NOT_ALLOWED
    assert decide(asked(), [statement(Resource=["x", "*/sho?"])]) is ALLOWED
    but = {"Effect": "Allow", "Action": "*", "NotResource": TABLE}
    assert decide(asked(), [but]) is NOT_ALLOWED


def test_every_condition_has_to_hold_and_any_of_its_values_will_do() -> None:
    condition = {"StringEquals": {"a": ["1", "2"], "b": "3"}, "Bool": {"c": "true"}}
    assert holds(condition, about(a=["2"], b=["3"], c=["true"]))
    assert not holds(condition, about(a=["2"], b=["4"], c=["true"]))
    assert not holds(condition, about(a=["2"], b=["3"], c=["false"]))


def test_a_key_that_is_absent_meets_only_what_is_denied_or_lenient() -> None:
    assert not holds({"StringEquals": {"a": "1"}}, about())
    assert not holds({"Bool": {"a": "false"}}, about())
    assert holds({"StringNotEquals": {"a": "1"}}, about())
    assert holds({"StringEqualsIfExists": {"a": "1"}}, about())
    assert not holds({"StringEqualsIfExists": {"a": "1"}}, about(a=["2"]))
    assert holds({"Null": {"a": "true"}}, about())
    assert not holds({"Null": {"a": "false"}}, about())
    assert holds({"Null": {"a": "false"}}, about(a=["1"]))


def test_wildcards_are_those_of_the_like_operators_alone() -> None:
    assert holds({"StringLike": {"a": "t#*"}}, about(a=["t#USER"]))
    assert not holds({"StringEquals": {"a": "t#*"}}, about(a=["t#USER"]))
    assert holds({"StringEquals": {"a": "t#*"}}, about(a=["t#*"]))
    assert holds({"StringNotLike": {"a": "t#*"}}, about(a=["u#USER"]))


def test_a_quantifier_says_of_how_many_values_it_has_to_hold() -> None:
    every, some = (
        {f"{quantifier}:StringLike": {KEYS: "t#*"}}
        for quantifier in ("ForAllValues", "ForAnyValue")
    )
    both, one, none = (
        asked(context={KEYS: keys}) for keys in (["t#1", "t#2"], ["t#1", "u#1"], ["u#1"])
    )
    assert [holds(every, each) for each in (both, one, none)] == [True, False, False]
    assert [holds(some, each) for each in (both, one, none)] == [True, True, False]
    # Of no value at all it holds for all.
    assert holds(every, about())
    assert not holds(some, about())
    assert not holds({**every, "Null": {KEYS: "false"}}, about())


def test_a_variable_stands_for_its_value_of_which_nothing_is_a_wildcard() -> None:
    own = {"ForAllValues:StringLike": {KEYS: f"${{{TENANT}}}#*"}}

    def may(tenant: str, key: str) -> bool:
        return holds(own, asked(context={TENANT: [tenant], KEYS: [key]}))

    assert may("t", "t#USER")
    assert not may("t", "t2#USER")
    assert not may("*", "t#USER")
    assert may("*", "*#USER")
    assert not may("?", "t#USER")
    assert not may("t\\", "t#USER")


def test_a_variable_without_a_value_matches_nothing() -> None:
    own = {"ForAllValues:StringLike": {KEYS: f"${{{TENANT}}}#*"}}
    assert not holds(own, asked(context={KEYS: ["#USER"]}))
    there = statement(Resource=f"arn:${{{TENANT}}}")
    assert decide(asked(resource="arn:"), [there]) is NOT_ALLOWED


@pytest.mark.parametrize(
    "condition",
    [
        {"NumericEquals": {"a": "1"}},
        {"ForEachValue:StringLike": {"a": "1"}},
        {"StringLike": {KEYS: "t#*"}},
        {"StringLike": {"a": "${b, 'default'}"}},
    ],
)
def test_what_the_evaluator_does_not_know_it_does_not_judge(condition: dict[str, Any]) -> None:
    request = asked(context={"a": ["1"], KEYS: ["t#1"]})
    with pytest.raises(NotImplementedError):
        holds(condition, request)


def test_an_element_it_does_not_know_is_not_judged_either() -> None:
    with pytest.raises(NotImplementedError):
        decide(asked(), [statement(NotPrincipal="*")])
