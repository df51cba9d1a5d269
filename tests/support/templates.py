"""CloudFormation templates as they come out for given parameters: conditions decided, functions
carried out. What a resource would be named by AWS is named by its place in the template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from datasources.operating.templates import load_template

INFRA = Path(__file__).parents[2] / "infra"
REGION = "ap-northeast-1"
ACCOUNT = "000000000000"

_PSEUDO = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::StackName": "stack",
}
_VARIABLE = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")
_NOTHING = object()


@cache
def load(name: str) -> dict[str, Any]:
    """A template of `infra/` as it stands, to be read alone."""
    return load_template(INFRA / name)


def names() -> list[str]:
    return sorted(path.name for path in INFRA.glob("*.yaml"))


@dataclass(frozen=True)
class Template:
    """A template and the parameters it is deployed with; those not given have their defaults."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def document(self) -> dict[str, Any]:
        return load(self.name)

    @cached_property
    def values(self) -> dict[str, Any]:
        declared = self.document["Parameters"]
        assert set(self.parameters) <= set(declared), "a parameter that there is not"
        defaults = {name: one["Default"] for name, one in declared.items() if "Default" in one}
        return defaults | dict(self.parameters)

    @cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        """Those that are made, by their names in the template."""
        return {
            name: self.resolve(resource)
            for name, resource in self.document["Resources"].items()
            if self._is_made(resource)
        }

    @cached_property
    def outputs(self) -> dict[str, Any]:
        return {
            name: self.resolve(output["Value"])
            for name, output in self.document.get("Outputs", {}).items()
            if self._is_made(output)
        }

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of all resources of a type, e.g. `SQS::Queue`."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == f"AWS::{kind}"
        }

    def properties(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.resources[name]["Properties"]
        return found

    def holds(self, condition: str) -> bool:
        return bool(self.resolve(self.document["Conditions"][condition]))

    def broken_rules(self) -> list[str]:
        """What the rules of the template have against the parameters."""
        return [
            assertion["AssertDescription"]
            for rule in self.document.get("Rules", {}).values()
            if self.resolve(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self.resolve(assertion["Assert"])
        ]

    def resolve(self, node: Any) -> Any:
        """The node with every function in it carried out; KeyError for one not known here."""
        if isinstance(node, list):
            return [value for each in node if (value := self.resolve(each)) is not _NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(name, argument)] = node.items()
            if name == "Ref":
                return self._ref(argument)
            if name == "Condition" and isinstance(argument, str):
                return self.holds(argument)
            if name.startswith("Fn::"):
                return self._call(name.removeprefix("Fn::"), argument)
        values = {key: self.resolve(value) for key, value in node.items() if key != "Condition"}
        if isinstance(node.get("Condition"), dict):  # a statement's; a resource's is a name
            values["Condition"] = self.resolve(node["Condition"])
        return {key: value for key, value in values.items() if value is not _NOTHING}

    def _is_made(self, node: Mapping[str, Any]) -> bool:
        return "Condition" not in node or self.holds(node["Condition"])

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if name in _PSEUDO:
            return _PSEUDO[name]
        return self.values[name] if name in self.document["Parameters"] else self._made(name)

    def _made(self, name: str) -> str:
        assert self._is_made(self.document["Resources"][name]), f"{name} is not made"
        return name

    def _call(self, function: str, argument: Any) -> Any:
        if function == "If":
            condition, yes, no = argument
            return self.resolve(yes if self.holds(condition) else no)
        if function == "GetAtt":
            name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
            return f"{self._made(name)}.{attribute}"
        if function == "Sub":
            return _VARIABLE.sub(lambda found: self._named(found[1]), argument)
        values = self.resolve(argument)
        match function:
            case "Equals":
                return str(values[0]) == str(values[1])
            case "Not":
                return not values[0]
            case "And":
                return all(values)
            case "Or":
                return any(values)
            case "Join":
                parts = [values[1]] if isinstance(values[1], str) else values[1]
                return values[0].join(parts)
        raise KeyError(function)

    def _named(self, name: str) -> str:
        if "." in name:
            return str(self._call("GetAtt", name))
        return str(self._ref(name))
