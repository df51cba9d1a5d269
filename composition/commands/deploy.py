"""`cartograph deploy`: the stacks of `infra/`, each after its changes were shown."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from composition.commands.adding import Add, elsewhere
from composition.store import ROOT, now, open_endpoint
from composition.terminal import agreed, aligned, printable, say, show
from datasources import stacks
from datasources.client import StacksClient, open_stacks_client
from datasources.errors import CartographError, ConfigurationError
from datasources.stacks import ChangeSet, Stack, Template
from datasources.waiting import Waiting
from settings import Settings

INFRA = ROOT / "infra"
# By the files of theirs: what a stack needs stands before it.
FILES = {
    "tables": "template.yaml",
    "events": "events.yaml",
    "service": "service.yaml",
    "watch": "watch.yaml",
    "dax": "dax.yaml",
}
OPTIONAL = frozenset({"dax"})
ENVIRONMENTS = ("dev", "staging", "prod")
HIDDEN = "********"


# By the names of stacks, then by their own; None: to be known later.
Outputs = dict[str, Mapping[str, str | None]]


class Choice(NamedTuple):
    """What a parameter of a stack will be, None where that is not known yet, and by whose word."""

    value: str | None
    source: str


def add(to: Add) -> None:
    command = to("deploy", deploy, "Creates or updates the stacks of infra/, showing what changes.")
    command.add_argument(
        "stacks",
        nargs="*",
        metavar="STACK",
        type=stack,
        help=f"some of {', '.join(there())} (default: all, but {', '.join(sorted(OPTIONAL))})",
    )
    command.add_argument("--project", default="cartograph", help="(default: %(default)s)")
    command.add_argument(
        "--environment", choices=ENVIRONMENTS, default="dev", help="(default: %(default)s)"
    )
    command.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        type=parameter,
        metavar="NAME=VALUE",
        help="a parameter of each stack that has one of this name",
    )
    command.add_argument("--yes", action="store_true", help="does not ask before a change")
    command.add_argument(
        "--dry-run", action="store_true", help="shows what would be deployed; asks AWS nothing"
    )


async def deploy(settings: Settings, arguments: argparse.Namespace) -> None:
    wanted = arguments.stacks or [name for name in there() if name not in OPTIONAL]
    # In their order, however they were given.
    templates = [Template(name, path) for name, path in there().items() if name in wanted]
    parameters = dict(arguments.parameter)
    known = {name for template in templates for name in template.parameters}
    if unknown := sorted(parameters.keys() - known):
        raise ConfigurationError(f"--parameter: none of these stacks has {', '.join(unknown)}.")
    given = {"Project": arguments.project, "Environment": arguments.environment, **parameters}
    if arguments.dry_run:
        rehearse(settings, arguments, templates, given)
        return
    elsewhere(settings)
    if not arguments.yes and not sys.stdin.isatty():
        raise ConfigurationError("--yes: should be given where there is no terminal to ask at.")
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(open_endpoint(settings, say))
        client = await stack.enter_async_context(open_stacks_client(endpoint))
        await carry_out(client, arguments, templates, given)


def rehearse(
    settings: Settings,
    arguments: argparse.Namespace,
    templates: Sequence[Template],
    given: Mapping[str, str],
) -> None:
    """Shows each stack with its parameters and resources, from the templates alone."""
    outputs: Outputs = {
        name: dict.fromkeys(Template(name, path).outputs) for name, path in there().items()
    }
    for template in templates:
        produced = of_others(outputs, template.name)
        name = stack_name(arguments, template.name)
        show(f"Stack {name} in {settings.region}, {template.path.name}")
        choices = chosen(template, given, produced, None)
        show(indented([described(template, name, each) for name, each in choices.items()]))
        resources = [
            [name, each["Type"], f"if {each['Condition']}" if "Condition" in each else ""]
            for name, each in template.resources.items()
        ]
        show(f"  {len(resources)} resources:")
        show(indented(resources))


async def carry_out(
    client: StacksClient,
    arguments: argparse.Namespace,
    templates: Sequence[Template],
    given: Mapping[str, str],
) -> None:
    """One stack after the other. What is missing is told before anything is changed."""
    found = {name: await stacks.find(client, stack_name(arguments, name)) for name in there()}
    # What is there already may have what others need, whether it is deployed now or not.
    outputs: Outputs = {name: stack.outputs for name, stack in found.items() if stack}
    promised = dict(outputs)
    for template in templates:
        produced = of_others(promised, template.name)
        check_complete(template, chosen(template, given, produced, found[template.name]))
        promised[template.name] = dict.fromkeys(template.outputs)
    for template in templates:
        produced = of_others(outputs, template.name)
        choices = chosen(template, given, produced, found[template.name])
        check_complete(template, choices)
        outputs[template.name] = await one(
            client, arguments, template, found[template.name], choices
        )


async def one(
    client: StacksClient,
    arguments: argparse.Namespace,
    template: Template,
    existing: Stack | None,
    choices: Mapping[str, Choice],
) -> Mapping[str, str]:
    """Deploys a stack if that changes anything and is agreed to; returns its outputs."""
    name = stack_name(arguments, template.name)
    say(f"Stack {name}: comparing with {template.path.name}")
    proposed = await stacks.propose(
        client,
        template,
        name,
        existing,
        {
            key: None if each.source == KEPT else each.value
            for key, each in choices.items()
            if each.source != DEFAULT
        },
        change_set=f"cartograph-{now():%Y%m%d-%H%M%S-%f}",
        waiting=Waiting(say, pause=2.0),
    )
    if proposed is None:
        say(f"Stack {name} is as it should be")
        return existing.outputs if existing else {}
    show(changes(proposed, template, choices))
    go_on = False
    try:
        go_on = arguments.yes or await agreed(f"Stack {name}: go on?")
    finally:
        if not go_on:
            await stacks.drop(client, proposed)
    if not go_on:
        raise CartographError(f"Stack {name} was left as it was.")
    outputs = await stacks.execute(client, proposed, Waiting(say), say)
    say(f"Stack {name} is deployed")
    show(aligned([[printable(key), printable(value)] for key, value in outputs.items()]))
    return outputs


# --- parameters -----------------------------------------------------------------------------

GIVEN, OUTPUT, KEPT = "given", "from another stack", "as the stack has it"
DEFAULT, MISSING = "default", "to be given by --parameter"


def chosen(
    template: Template,
    given: Mapping[str, str],
    produced: Mapping[str, str | None],
    existing: Stack | None,
) -> dict[str, Choice]:
    """By name. An output of another stack is for the parameter of the same name; `produced` has
    None for those that will be known later."""
    choices = {}
    for name, declared in template.parameters.items():
        if name in given:
            choices[name] = Choice(given[name], GIVEN)
        elif name in produced:
            is_open = produced[name] is None and "Default" in declared
            choices[name] = Choice(produced[name], f"{OUTPUT}, or default" if is_open else OUTPUT)
        elif existing and name in existing.parameters:
            choices[name] = Choice(existing.parameters[name], KEPT)
        elif "Default" in declared:
            choices[name] = Choice(str(declared["Default"]), DEFAULT)
        else:
            choices[name] = Choice(None, MISSING)
    return choices


def of_others(outputs: Outputs, name: str) -> dict[str, str | None]:
    """The outputs of all stacks but one."""
    found: dict[str, str | None] = {}
    for other, produced in outputs.items():
        found |= produced if other != name else {}
    return found


def check_complete(template: Template, choices: Mapping[str, Choice]) -> None:
    if missing := [name for name, each in choices.items() if each.source == MISSING]:
        raise ConfigurationError(
            f"--parameter: stack {template.name} also needs {', '.join(missing)}."
        )


def described(template: Template, name: str, choice: Choice) -> list[str]:
    secret = str(template.parameters[name].get("NoEcho", "")).lower() == "true"
    value = "" if choice.value is None else HIDDEN if secret else repr_of(choice.value)
    return [name, value, f"({choice.source})"]


def repr_of(value: str) -> str:
    return printable(value) if value else '""'


def parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z0-9]+", name):
        raise argparse.ArgumentTypeError("should be NAME=VALUE")
    return name, value


# --- words ----------------------------------------------------------------------------------


def there() -> dict[str, Path]:
    """The templates by the names of their stacks."""
    return {name: INFRA / file for name, file in FILES.items() if (INFRA / file).exists()}


def stack(text: str) -> str:
    if text not in there():
        raise argparse.ArgumentTypeError(f"no stack of infra/ is named {text!r}")
    return text


def stack_name(arguments: argparse.Namespace, name: str) -> str:
    return f"{arguments.project}-{arguments.environment}-{name}"


def changes(proposed: ChangeSet, template: Template, choices: Mapping[str, Choice]) -> str:
    """The parameters, and what would happen to each resource."""
    parameters = indented([described(template, name, each) for name, each in choices.items()])
    lines = [[each.action, each.resource, each.kind, each.warning] for each in proposed.changes]
    return f"{parameters}\n{indented(lines)}"


def indented(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"    {line}" for line in aligned(lines).splitlines())
