"""CloudFormation templates as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

NO_VALUE = {"Ref": "AWS::NoValue"}


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short tags as the long forms they stand for, as plain data."""


def _short_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        value = node.value
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _short_form)


def parse_template(text: str) -> dict[str, Any]:
    """The template that a text in YAML is, short forms written out."""
    document: dict[str, Any] = yaml.load(text, Loader=_Loader)  # noqa: S506 it is a SafeLoader
    return document


def load_template(path: Path) -> dict[str, Any]:
    return parse_template(path.read_text(encoding="utf-8"))


def evaluate(node: Any, scope: Mapping[str, Any]) -> Any:
    """The node with the `Parameters` (their values) and `Conditions` of a scope put in; what else
    is referred to stays as it is."""
    if isinstance(node, list):
        return [v for each in node if (v := evaluate(each, scope)) != NO_VALUE]
    if not isinstance(node, dict):
        return node
    match node:
        case {"Ref": name} if name in scope["Parameters"]:
            return scope["Parameters"][name]
        case {"Condition": name, **rest} if not rest:
            return evaluate(scope["Conditions"][name], scope)
        case {"Fn::If": [name, yes, no]}:
            return evaluate(yes if evaluate(scope["Conditions"][name], scope) else no, scope)
        case {"Fn::Equals": [left, right]}:
            return evaluate(left, scope) == evaluate(right, scope)
        case {"Fn::Not": [condition]}:
            return not evaluate(condition, scope)
        case {"Fn::And": list(several)}:
            return all(evaluate(each, scope) for each in several)
        case {"Fn::Or": list(several)}:
            return any(evaluate(each, scope) for each in several)
        case {"Fn::Join": ["", {"Ref": name}]} if name in scope["Parameters"]:
            # Of a list, which is given as one text with commas.
            return (scope["Parameters"][name] or "").replace(",", "")
    found = {key: evaluate(value, scope) for key, value in node.items()}
    return {key: value for key, value in found.items() if value != NO_VALUE}
