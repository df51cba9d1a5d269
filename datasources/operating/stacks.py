"""Stacks of CloudFormation: a change set first, which shows what would change, then its execution.

A change set that makes a new stack has CloudFormation make the stack at once, empty and under
review; `drop` takes both back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from datasources.client import StacksClient
from datasources.errors import CartographError, ConfigurationError
from datasources.operating.refusals import explained
from datasources.operating.templates import evaluate, parse_template
from datasources.operating.waiting import Waiting

LARGEST = 51_200  # bytes of a template that is sent with the call
_UNDONE = "Nothing was deployed"
_UNKNOWN = "It is not known how far it is"
_REVIEW = "REVIEW_IN_PROGRESS"
_STUCK = frozenset("ROLLBACK_COMPLETE ROLLBACK_FAILED CREATE_FAILED DELETE_FAILED".split())
# What a change set without changes is told by, which is a failed one.
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed", "no changes")


@dataclass(frozen=True)
class Template:
    """A file of `infra/`. ConfigurationError where it is larger than a call takes."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        if len(self.text.encode()) > LARGEST:
            raise ConfigurationError(f"{self.path.name} has more than {LARGEST:,} bytes.")

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def document(self) -> dict[str, Any]:
        return parse_template(self.text)

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        return self.document.get("Parameters", {})  # type: ignore[no-any-return]

    @property
    def outputs(self) -> Mapping[str, Mapping[str, Any]]:
        return self.document.get("Outputs", {})  # type: ignore[no-any-return]

    def promised(self, parameters: Mapping[str, str | None]) -> set[str]:
        """The outputs that a stack with these parameters has; None: a value that is not known,
        other than any that conditions compare with."""
        scope = {"Parameters": parameters, "Conditions": self.document.get("Conditions", {})}
        return {
            name
            for name, each in self.outputs.items()
            if "Condition" not in each or evaluate({"Condition": each["Condition"]}, scope)
        }

    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        return self.document["Resources"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Stack:
    """A stack that is there; of a secret parameter CloudFormation tells asterisks."""

    name: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """What would happen to one resource. `replaces`: whether another takes its place, which
    CloudFormation tells as True, False or Conditional."""

    action: str
    resource: str
    kind: str
    replaces: str | None

    @property
    def warning(self) -> str:
        """What to look at twice, since what the resource holds may be lost."""
        if self.action == "Remove":
            return "is removed"
        return {"True": "is replaced", "Conditional": "may be replaced"}.get(
            self.replaces or "", ""
        )


@dataclass(frozen=True)
class ChangeSet:
    stack: str
    name: str
    is_new: bool
    changes: list[Change] = field(default_factory=list)


async def find(client: StacksClient, name: str) -> Stack | None:
    """None where there is none."""
    with explained(_UNDONE):
        try:
            answer = await client.describe_stacks(StackName=name)
        except ClientError as error:
            if "does not exist" in error.response["Error"].get("Message", ""):
                return None
            raise
    [found] = answer["Stacks"]
    return Stack(
        name,
        found["StackStatus"],
        {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", ())},
        {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())},
    )


async def propose(
    client: StacksClient,
    template: Template,
    name: str,
    existing: Stack | None,
    parameters: Mapping[str, str | None],
    *,
    change_set: str,
    waiting: Waiting,
) -> ChangeSet | None:
    """What deploying the template would change; None: nothing. The value None of a parameter is
    the one that the stack has. ConfigurationError for a stack that can only be deleted."""
    if existing and existing.status in _STUCK:
        raise ConfigurationError(
            f"{_UNDONE}: stack {name} is {existing.status}; delete it, or mend it in the console."
        )
    is_new = existing is None or existing.status == _REVIEW
    proposed = ChangeSet(name, change_set, is_new)
    with explained(_UNDONE):
        await client.create_change_set(
            StackName=name,
            ChangeSetName=change_set,
            ChangeSetType="CREATE" if is_new else "UPDATE",
            TemplateBody=template.text,
            Parameters=[
                {"ParameterKey": key, "UsePreviousValue": True}
                if value is None
                else {"ParameterKey": key, "ParameterValue": value}
                for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )

    async def ask() -> dict[str, Any]:
        with explained(_UNDONE):
            return await client.describe_change_set(StackName=name, ChangeSetName=change_set)

    page = await waiting.until(ask, lambda each: not _is_going_on(each["Status"]), "Comparing")
    if page["Status"] == "FAILED":
        await drop(client, proposed)
        reason = page.get("StatusReason", "no reason given")
        if any(said in reason for said in _NO_CHANGES):
            return None
        raise CartographError(f"{_UNDONE}: stack {name}: {reason}")
    while True:
        proposed.changes.extend(_changes(page))
        if "NextToken" not in page:
            return proposed
        with explained(_UNDONE):
            page = await client.describe_change_set(
                StackName=name, ChangeSetName=change_set, NextToken=page["NextToken"]
            )


def _is_going_on(status: str) -> bool:
    return status.endswith(("_PENDING", "_IN_PROGRESS"))


def _changes(page: Mapping[str, Any]) -> list[Change]:
    resources = [each["ResourceChange"] for each in page.get("Changes", ())]
    return [
        Change(
            each["Action"],
            each["LogicalResourceId"],
            each["ResourceType"],
            each.get("Replacement"),
        )
        for each in resources
    ]


async def drop(client: StacksClient, proposed: ChangeSet) -> None:
    """Takes a change set back, and the empty stack that was made for it."""
    with explained("The change set was not taken back"):
        await client.delete_change_set(StackName=proposed.stack, ChangeSetName=proposed.name)
        if proposed.is_new:
            await client.delete_stack(StackName=proposed.stack)


async def execute(
    client: StacksClient,
    proposed: ChangeSet,
    waiting: Waiting,
    report: Callable[[str], None],
) -> Mapping[str, str]:
    """Makes the changes, reporting each resource as it goes on, and returns the outputs of the
    stack. CartographError, with the first reason, where CloudFormation has taken them back."""
    events = _Events(client, proposed.stack)
    with explained(_UNDONE):
        await events.new()  # those of before
        await client.execute_change_set(StackName=proposed.stack, ChangeSetName=proposed.name)
    reasons = []
    has_begun = False

    async def ask() -> Mapping[str, Any]:
        nonlocal has_begun
        with explained(_UNKNOWN):
            found = (await client.describe_stacks(StackName=proposed.stack))["Stacks"][0]
            for event in await events.new():
                has_begun = True
                reason = event.get("ResourceStatusReason", "")
                status = event["ResourceStatus"]
                report(f"{event['LogicalResourceId']} {status} {reason}".rstrip())
                if status.endswith("_FAILED") and "cancelled" not in reason:
                    reasons.append(f"{event['LogicalResourceId']}: {reason}")
        return found  # type: ignore[no-any-return]

    def is_done(found: Mapping[str, Any]) -> bool:
        # At first the state may still be the one of before.
        return has_begun and not _is_going_on(found["StackStatus"])

    found = await waiting.until(ask, is_done, f"Deploying {proposed.stack}")
    if found["StackStatus"] not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        why = reasons[0] if reasons else found.get("StackStatusReason", "no reason given")
        raise CartographError(f"Stack {proposed.stack} is {found['StackStatus']}: {why}")
    return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}


@dataclass
class _Events:
    """What happens to a stack, told once each."""

    client: StacksClient
    stack: str
    seen: set[str] = field(default_factory=set)

    async def new(self) -> list[Mapping[str, Any]]:
        """The oldest first; the pages that are asked for have the newest first."""
        found: list[Mapping[str, Any]] = []
        request = {"StackName": self.stack}
        while True:
            page = await self.client.describe_stack_events(**request)
            fresh = [each for each in page["StackEvents"] if each["EventId"] not in self.seen]
            found += fresh
            if "NextToken" not in page or len(fresh) < len(page["StackEvents"]):
                break
            request["NextToken"] = page["NextToken"]
        self.seen.update(each["EventId"] for each in found)
        return found[::-1]
