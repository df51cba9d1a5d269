"""The roles of what runs (`infra/service.yaml`) and of people (`infra/template.yaml`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tests.support.asked import table_arn
from tests.support.iam import Decision, Request, Statement, decide
from tests.support.stacks import service
from tests.support.templates import ACCOUNT, Template

# By the parts that have them.
ROLES = {
    "api": "ApiRole",
    "tenant": "TenantRole",
    "processor": "ProcessorRole",
    "redrive": "RedriveRole",
    "function": "FunctionRole",
}
PEOPLE = {"support": "SupportRole", "operator": "OperatorRole"}
# Who may have them.
ANN, BOB = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("Ann", "Bob"))
BUCKET = "exports-of-cartograph"


@dataclass(frozen=True)
class Roles:
    """Those of a template as it is deployed, by who has them."""

    template: Template
    roles: Mapping[str, str]

    def names(self) -> list[str]:
        """The parts whose roles are made."""
        return [part for part, role in self.roles.items() if role in self.template.resources]

    def statements(self, part: str) -> list[Statement]:
        """Of all policies that the role of a part has."""
        return self._statements[self.roles[part]]

    @cached_property
    def _statements(self) -> dict[str, list[Statement]]:
        found: dict[str, list[Statement]] = {}
        for name, role in self.template.of_type("IAM::Role").items():
            assert not role.get("ManagedPolicyArns"), f"{name} has what is not judged here"
            for policy in role.get("Policies", ()):
                found.setdefault(name, []).extend(policy["PolicyDocument"]["Statement"])
        for policy in self.template.of_type("IAM::Policy").values():
            for name in policy["Roles"]:
                found.setdefault(name, []).extend(policy["PolicyDocument"]["Statement"])
        return found

    def trust(self, part: str) -> list[Statement]:
        """Who may have the role of a part. The role itself is the resource, which no policy of
        trust names."""
        document = self.template.properties(self.roles[part])["AssumeRolePolicyDocument"]
        return [{**one, "Resource": "*"} for one in document["Statement"]]

    def allows(self, part: str, request: Request, **tags: str) -> bool:
        """`tags` are those of the session."""
        return decide(tagged(request, tags), self.statements(part)) is Decision.ALLOWED

    def allowing(self, request: Request) -> set[str]:
        """The parts that may make a request, the tenants' aside."""
        return {part for part in self.names() if part != "tenant" and self.allows(part, request)}

    def refused(self, asked: Iterable[Request], table: str, tenant: str) -> list[Request]:
        """What the API is not allowed to ask of a table, or would not be as this tenant."""
        arn, own = table_arn(table), table_arn("cartograph-dev")
        requests = [replace(one, resource=one.resource.replace(arn, own)) for one in asked]
        return [
            one
            for one in requests
            if not (self.allows("api", one) and self.allows("tenant", one, tenant=tenant))
        ]


def tagged(request: Request, tags: Mapping[str, str]) -> Request:
    context = {f"aws:PrincipalTag/{name}": (value,) for name, value in tags.items()}
    return replace(request, context={**request.context, **context})


def deployed(project: str = "cartograph", **parameters: Any) -> Roles:
    """Those of what runs."""
    return Roles(service(Project=project, **parameters), ROLES)


def people(project: str = "cartograph", **parameters: Any) -> Roles:
    """Those of people, with all that they can be given."""
    given = {
        "SupportPrincipals": [ANN],
        "OperatorPrincipals": [BOB],
        "ExportBucket": BUCKET,
    }
    return Roles(Template("template.yaml", {"Project": project, **given, **parameters}), PEOPLE)


def grants(statements: list[Statement], *services: str) -> Iterator[tuple[str, str]]:
    """Each action and each resource that the statements allow, of some services."""
    for one in statements:
        if one["Effect"] == "Deny":
            continue
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
        for action in actions:
            if action.partition(":")[0] in services:
                yield from ((action, resource) for resource in resources)
