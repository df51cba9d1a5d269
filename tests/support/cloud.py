"""CloudFormation, as far as `cartograph deploy` asks it, for the templates of `infra/`: what it
refuses of parameters, what would change, and what stacks put out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datasources.operating.stacks import LARGEST
from tests.support.clients import failed
from tests.support.templates import INFRA, Template, names

_UNCHANGED = "The submitted information didn't contain changes. Submit different information."


@dataclass
class Cloud:
    """`stacks` are there by their names. `asked` are the change sets, `executed` the names of those
    stacks that changed, both in their order."""

    stacks: dict[str, Template] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    _proposed: dict[str, Template] = field(default_factory=dict)

    def parameters(self, stack: str) -> Mapping[str, Any]:
        return self.stacks[stack].values

    async def describe_stacks(self, **call: Any) -> dict[str, Any]:
        name = call["StackName"]
        if name not in self.stacks:
            raise failed("ValidationError", f"Stack with id {name} does not exist")
        template = self.stacks[name]
        parameters = [
            {"ParameterKey": key, "ParameterValue": str(value)}
            for key, value in template.values.items()
        ]
        outputs = [
            {"OutputKey": key, "OutputValue": _told(key, value)}
            for key, value in template.outputs.items()
        ]
        found = {"StackStatus": "UPDATE_COMPLETE", "Parameters": parameters, "Outputs": outputs}
        return {"Stacks": [found]}

    async def describe_stack_events(self, **call: Any) -> dict[str, Any]:
        done = sum(each == call["StackName"] for each in self.executed)
        status = {"LogicalResourceId": call["StackName"], "ResourceStatus": "UPDATE_COMPLETE"}
        return {"StackEvents": [{"EventId": str(n), **status} for n in reversed(range(done))]}

    async def create_change_set(self, **call: Any) -> dict[str, Any]:
        self.asked.append(call)
        name, body = call["StackName"], call["TemplateBody"]
        assert call["ChangeSetType"] == ("UPDATE" if name in self.stacks else "CREATE")
        assert len(body.encode()) <= LARGEST
        assert "CAPABILITY_NAMED_IAM" in call["Capabilities"]
        [file] = (each for each in names() if (INFRA / each).read_text(encoding="utf-8") == body)
        values = {}
        for each in call["Parameters"]:
            key = each["ParameterKey"]
            previous = each.get("UsePreviousValue", False)
            values[key] = str(self.stacks[name].values[key]) if previous else each["ParameterValue"]
        declared = Template(file).document["Parameters"]
        if wrong := _wrong(declared, values):
            raise failed("ValidationError", "; ".join(wrong))
        defaults = {key: str(one["Default"]) for key, one in declared.items() if "Default" in one}
        proposed = Template(file, defaults | values)
        if wrong := proposed.broken_rules():
            raise failed("ValidationError", "; ".join(wrong))
        self._proposed[name] = proposed
        return {}

    async def describe_change_set(self, **call: Any) -> dict[str, Any]:
        name = call["StackName"]
        before = self.stacks[name].resources if name in self.stacks else {}
        after = self._proposed[name].resources
        changes = [
            {
                "ResourceChange": {
                    "Action": _action(before.get(each), after.get(each)),
                    "LogicalResourceId": each,
                    "ResourceType": (after.get(each) or before[each])["Type"],
                }
            }
            for each in sorted(before.keys() | after.keys())
            if before.get(each) != after.get(each)
        ]
        if not changes:
            return {"Status": "FAILED", "StatusReason": _UNCHANGED}
        return {"Status": "CREATE_COMPLETE", "Changes": changes}

    async def execute_change_set(self, **call: Any) -> dict[str, Any]:
        name = call["StackName"]
        self.stacks[name] = self._proposed.pop(name)
        self.executed.append(name)
        return {}

    async def delete_change_set(self, **call: Any) -> dict[str, Any]:
        del self._proposed[call["StackName"]]
        return {}

    async def delete_stack(self, **call: Any) -> dict[str, Any]:
        assert call["StackName"] not in self.stacks, "it was made for the change set alone"
        return {}


def _action(before: Any, after: Any) -> str:
    if before is None:
        return "Add"
    return "Remove" if after is None else "Modify"


def _told(name: str, value: Any) -> str:
    """An output in the form that its name promises."""
    text = str(value)
    if name.endswith("Arn") and not text.startswith("arn:"):
        return f"arn:aws:made:{text}"
    return f"https://made/{text}" if name.endswith("Url") else text


def _wrong(declared: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    wrong = [f"Parameters: [{name}] do not exist" for name in values.keys() - declared.keys()]
    for name, one in declared.items():
        if name not in values:
            if "Default" not in one:
                wrong.append(f"Parameters: [{name}] must have values")
            continue
        text = values[name]
        assert isinstance(text, str), "a parameter is a text"
        if "AllowedValues" in one and text not in map(str, one["AllowedValues"]):
            wrong.append(f"{name} must be one of {one['AllowedValues']}")
        each = text.split(",") if one["Type"] == "CommaDelimitedList" else [text]
        pattern = one.get("AllowedPattern", ".*")
        if not all(re.fullmatch(pattern, value) for value in each):
            wrong.append(f"{name} must match pattern {pattern}")
        if "MinValue" in one and float(text) < one["MinValue"]:
            wrong.append(f"{name} must be {one['MinValue']} or more")
        if "MaxValue" in one and float(text) > one["MaxValue"]:
            wrong.append(f"{name} must be {one['MaxValue']} or less")
    return wrong
