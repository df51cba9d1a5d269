"""Which values the parameters of stacks have when they are deployed, and by whose word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from datasources.errors import ConfigurationError
from datasources.operating.stacks import Stack, Template

GIVEN, OUTPUT, KEPT = "given", "from another stack", "as the stack has it"
DEFAULT, MISSING = "default", "to be given by --parameter"
ENDED = "default, since no other stack has it any more"


class Choice(NamedTuple):
    """What a parameter of a stack will be, None where that is not known yet, and by whose word."""

    value: str | None
    source: str


# By their names; None: to be known later.
Produced = Mapping[str, str | None]


def chosen(
    template: Template,
    given: Mapping[str, str],
    produced: Produced,
    existing: Stack | None,
    ending: Mapping[str, str] | None = None,
) -> dict[str, Choice]:
    """By name. An output of another stack is for the parameter of the same name: `produced` has
    None for those that will be known later, `ending` are those that are known and will not be. What
    a stack has of the latter it has no longer; the same name with another value is its own."""
    ending = ending or {}
    choices = {}
    for name, declared in template.parameters.items():
        has_default = "Default" in declared
        if name in given:
            choices[name] = Choice(given[name], GIVEN)
        elif name in produced:
            is_open = produced[name] is None and has_default
            choices[name] = Choice(produced[name], f"{OUTPUT}, or default" if is_open else OUTPUT)
        elif existing and name in existing.parameters:
            value = existing.parameters[name]
            ends = has_default and ending.get(name) == value
            choices[name] = Choice(str(declared["Default"]), ENDED) if ends else Choice(value, KEPT)
        elif has_default:
            choices[name] = Choice(str(declared["Default"]), DEFAULT)
        else:
            choices[name] = Choice(None, MISSING)
    return choices


def check_complete(template: Template, choices: Mapping[str, Choice]) -> None:
    if missing := [name for name, each in choices.items() if each.source == MISSING]:
        raise ConfigurationError(
            f"--parameter: stack {template.name} also needs {', '.join(missing)}."
        )


@dataclass
class Outputs:
    """What the stacks put out, by the names of the stacks: what is known of what they will go on to
    have (None: not known yet), and what they have now but will not."""

    produced: dict[str, Produced] = field(default_factory=dict)
    ending: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def unknown(cls, templates: Iterable[Template]) -> Outputs:
        """Those of the templates, when nothing was asked."""
        return cls({each.name: dict.fromkeys(each.outputs) for each in templates})

    @classmethod
    def planned(
        cls,
        found: Mapping[str, Stack | None],
        wanted: Sequence[Template],
        given: Mapping[str, str],
    ) -> Outputs:
        """Those of the stacks that are there, if the `wanted` are deployed. ConfigurationError if
        that would end what another stack has, or if a parameter is missing."""
        there = cls({name: stack.outputs for name, stack in found.items() if stack})
        outputs = cls({**there.produced})
        for template in wanted:
            existing = found[template.name]
            known = existing.outputs if existing else {}
            will = template.promised(values(there.choices(template, given, existing)))
            outputs.produced[template.name] = {n: known[n] for n in known if n in will}
            outputs.ending[template.name] = {n: known[n] for n in known if n not in will}
        for name in found.keys() - {template.name for template in wanted}:
            if stack := found[name]:
                outputs._check_spared(stack, name)
        outputs._check_complete(found, wanted, given)
        return outputs

    def _check_spared(self, stack: Stack, name: str) -> None:
        if needed := sorted(self._ending(name).items() & stack.parameters.items()):
            raise ConfigurationError(
                f"Stack {name} uses {needed[0][0]}, which would end; deploy {name} as well."
            )

    def _check_complete(
        self,
        found: Mapping[str, Stack | None],
        wanted: Sequence[Template],
        given: Mapping[str, str],
    ) -> None:
        """Each in its turn, when those before it are there."""
        then = Outputs({**self.produced}, self.ending)
        for template in wanted:
            choices = then.choices(template, given, found[template.name])
            check_complete(template, choices)
            then.produced[template.name] = dict.fromkeys(template.promised(values(choices)))

    def choices(
        self, template: Template, given: Mapping[str, str], existing: Stack | None
    ) -> dict[str, Choice]:
        produced, ending = self._of_others(template.name), self._ending(template.name)
        return chosen(template, given, produced, existing, ending)

    def news(self, template: Template, before: Mapping[str, Choice]) -> list[str]:
        """The parameters for which there is another output by now than `before`."""
        produced = self._of_others(template.name)
        return [
            name
            for name, each in before.items()
            if name in produced and each.source != GIVEN and each.value != produced[name]
        ]

    def _of_others(self, name: str) -> Produced:
        every = (produced for other, produced in self.produced.items() if other != name)
        return {key: value for produced in every for key, value in produced.items()}

    def _ending(self, name: str) -> Mapping[str, str]:
        every = (ending for other, ending in self.ending.items() if other != name)
        return {key: value for ending in every for key, value in ending.items()}


def values(choices: Mapping[str, Choice]) -> dict[str, str | None]:
    return {name: each.value for name, each in choices.items()}
