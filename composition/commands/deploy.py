"""`cartograph deploy`: the stacks of `infra/`, each after its changes were shown."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from composition.commands.adding import Add, elsewhere
from composition.commands.choices import DEFAULT, KEPT, Choice, Outputs, check_complete
from composition.store import ROOT, now, open_endpoint
from composition.terminal import agreed, aligned, printable, say, show
from datasources.client import StacksClient, open_stacks_client
from datasources.errors import CartographError, ConfigurationError
from datasources.operating import stacks
from datasources.operating.stacks import ChangeSet, Stack, Template
from datasources.operating.waiting import Waiting
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
    outputs = Outputs.unknown([Template(name, path) for name, path in there().items()])
    for template in templates:
        name = stack_name(arguments, template.name)
        show(f"Stack {name} in {settings.region}, {template.path.name}")
        choices = outputs.choices(template, given, None)
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
    """One stack after the other, and then those again that are told something by a later one. What
    is missing is told before anything is changed."""
    found = {name: await stacks.find(client, stack_name(arguments, name)) for name in there()}
    outputs = Outputs.planned(found, templates, given)
    done = {}
    for template in templates:
        name, existing = template.name, found[template.name]
        done[name] = choices = outputs.choices(template, given, existing)
        check_complete(template, choices)
        outputs.produced[name] = await one(client, arguments, template, existing, choices)
    for template in templates:
        if news := outputs.news(template, done[template.name]):
            say(f"Stack {stack_name(arguments, template.name)} is told {', '.join(news)}")
            existing = await stacks.find(client, stack_name(arguments, template.name))
            choices = outputs.choices(template, given, existing)
            await one(client, arguments, template, existing, choices)


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


# --- words ----------------------------------------------------------------------------------


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
