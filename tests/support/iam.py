"""Whether IAM would allow a request, after "Policy evaluation logic", "Condition operators" and
"Multivalued context keys" of the IAM User Guide.

What it does not know it refuses to judge (`NotImplementedError`), so that no policy passes for
something that was not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

Statement = Mapping[str, Any]

ELEMENTS = frozenset("Sid Effect Action NotAction Resource NotResource Condition Principal".split())
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class Decision(Enum):
    ALLOWED = "allowed"
    DENIED = "denied"
    NOT_ALLOWED = "not allowed"


@dataclass(frozen=True)
class Request:
    """What is asked: an action on a resource, by an ARN of both. `context` has the values of each
    condition key that is there; keys compare without regard to case. `several` are those that have
    any number of values by their definition."""

    action: str
    resource: str
    principal: str = "arn:aws:iam::000000000000:role/caller"
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)
    several: frozenset[str] = frozenset({"dynamodb:leadingkeys", "aws:tagkeys"})

    def values(self, key: str) -> Sequence[str] | None:
        for name, values in self.context.items():
            if name.lower() == key.lower():
                return values
        return None


def decide(
    request: Request,
    identity: Iterable[Statement],
    *,
    resource: Iterable[Statement] = (),
    bounds: Iterable[Statement] | None = None,
) -> Decision:
    """Of a caller and a resource of one account. `identity` are the statements of the caller's
    policies, `resource` those of the resource's own; `bounds` allow nothing but have to allow as
    well, as those of a VPC endpoint."""
    own, others = list(identity), list(resource)
    bounding = None if bounds is None else list(bounds)
    every = [*own, *others, *(bounding or ())]
    if any(one["Effect"] == "Deny" and applies(one, request) for one in every):
        return Decision.DENIED
    granted = _allowed([*own, *others], request)
    if granted and (bounding is None or _allowed(bounding, request)):
        return Decision.ALLOWED
    return Decision.NOT_ALLOWED


def _allowed(statements: Iterable[Statement], request: Request) -> bool:
    return any(one["Effect"] == "Allow" and applies(one, request) for one in statements)


def applies(statement: Statement, request: Request) -> bool:
    """Whether the statement is about the request."""
    if unknown := statement.keys() - ELEMENTS:
        raise NotImplementedError(unknown)
    return (
        _is_principal(statement, request)
        and _is_action(statement, request)
        and _is_resource(statement, request)
        and all(
            _holds(operator, key, _listed(wanted), request)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _is_principal(statement: Statement, request: Request) -> bool:
    """A statement of an identity's own policy names none."""
    principal = statement.get("Principal", "*")
    if principal == "*":
        return True
    named = {each for values in principal.values() for each in _listed(values)}
    account = request.principal.split(":")[4]
    return bool(named & {"*", request.principal, f"arn:aws:iam::{account}:root"})


def _is_action(statement: Statement, request: Request) -> bool:
    def is_one(patterns: Any) -> bool:
        action = request.action.lower()
        return any(bool(_pattern(each.lower()).fullmatch(action)) for each in _listed(patterns))

    if "NotAction" in statement:
        return not is_one(statement["NotAction"])
    return is_one(statement["Action"])


def _is_resource(statement: Statement, request: Request) -> bool:
    def is_one(patterns: Any) -> bool:
        return any(_matches(each, request.resource, request) for each in _listed(patterns))

    if "NotResource" in statement:
        return not is_one(statement["NotResource"])
    return is_one(statement["Resource"])


# --- conditions -----------------------------------------------------------------------------

Test = Callable[[str, str, Request], bool]


def _equals(wanted: str, value: str, request: Request) -> bool:
    filled = _fill(wanted, request)
    return filled is not None and _literal(filled) == value


def _like(wanted: str, value: str, request: Request) -> bool:
    return _matches(wanted, value, request)


def _is_bool(wanted: str, value: str, _request: Request) -> bool:
    return wanted.lower() == value.lower()


_TESTS: dict[str, tuple[Test, bool]] = {
    # Whether there should be no match.
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_like, False),
    "ArnLike": (_like, False),
    "Bool": (_is_bool, False),
}


def _holds(operator: str, key: str, wanted: Sequence[str], request: Request) -> bool:
    values = request.values(key)
    if operator == "Null":
        [absent] = wanted
        return (values is None) == (absent.lower() == "true")
    quantifier, colon, name = operator.rpartition(":")
    lenient = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name not in _TESTS or (colon and quantifier not in {"ForAllValues", "ForAnyValue"}):
        raise NotImplementedError(operator)
    test, negated = _TESTS[name]

    def passes(value: str) -> bool:
        return any(test(each, value, request) for each in wanted) != negated

    if quantifier == "ForAllValues":
        return all(map(passes, values or ()))
    if quantifier == "ForAnyValue":
        return any(map(passes, values or ()))
    if key.lower() in request.several:
        raise NotImplementedError(f"{key} has several values: say of how many it should hold")
    if values is None:
        return lenient or negated
    [value] = values
    return passes(value)


# --- patterns -------------------------------------------------------------------------------


def _matches(pattern: str, text: str, request: Request) -> bool:
    filled = _fill(pattern, request)
    return filled is not None and _pattern(filled).fullmatch(text) is not None


def _fill(pattern: str, request: Request) -> str | None:
    """The pattern with its variables put in, of which no character is a wildcard; None where one
    has no value, so that nothing matches."""
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        name = found[1]
        if name in {"*", "?", "$"}:
            return f"\\{name}"
        if "," in name:
            raise NotImplementedError(found[0])
        values = request.values(name)
        if values is None:
            missing = True
            return ""
        [one] = values
        return re.sub(r"([*?\\])", r"\\\1", one)

    filled = _VARIABLE.sub(value, pattern)
    return None if missing else filled


@lru_cache(maxsize=4_096)
def _pattern(text: str) -> re.Pattern[str]:
    """`*` stands for any text, `?` for any one character; behind a backslash for themselves."""
    parts = re.findall(r"\\.|.", text, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(p) or re.escape(p[-1]) for p in parts), re.DOTALL)


def _literal(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(each) for each in value]
