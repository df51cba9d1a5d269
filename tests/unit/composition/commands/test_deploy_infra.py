"""The stacks of `infra/`, deployed to a CloudFormation that knows what they declare."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import pytest

import server
import settings
from composition.commands import deploy as deploying
from composition.commands.deploy import FILES, carry_out
from datasources.errors import CartographError, ConfigurationError
from datasources.operating.stacks import Template
from datasources.operating.waiting import Waiting
from tests.support.cloud import Cloud
from tests.support.stacks import GIVEN
from tests.support.templates import INFRA, load

STACKS = tuple(FILES)
# What whoever deploys has of their own, as it is typed.
OWN = {
    **{name: GIVEN[name] for name in ("VpcId", "VpcCidr", "CertificateArn", "Image", "JwksUrl")},
    **{
        name: ",".join(f"subnet-{name}-{n}" for n in range(3))
        for name in ("PublicSubnetIds", "PrivateSubnetIds")
    },
}
# Something to change in each.
CHANGES = {
    "tables": ("RecoveryDays", "7", "MainTable"),
    "events": ("ArchiveDays", "200", "ArchiveBucket"),
    "service": ("MaxTasks", "4", "ServiceScaling"),
    "watch": ("MonthlyBudget", "500", "Budget"),
    "dax": ("Nodes", "5", "Cache"),
}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What AWS takes its time for is done when it is asked for again."""
    monkeypatch.setattr(deploying, "Waiting", lambda say, **_: Waiting(say, pause=0.0))
    monkeypatch.setattr("datasources.operating.waiting._FIRST_PAUSE", 0.0)


async def deploy(cloud: Cloud, *stacks: str, **parameters: str) -> None:
    """With a yes to all."""
    await answered(cloud, stacks, yes=True, parameters=parameters)


async def answered(
    cloud: Cloud, stacks: Sequence[str], *, yes: bool, parameters: Mapping[str, str]
) -> None:
    arguments = argparse.Namespace(project="shop", environment="staging", yes=yes)
    given = {"Project": "shop", "Environment": "staging", **OWN, **parameters}
    templates = [Template(name, INFRA / FILES[name]) for name in stacks or STACKS]
    await carry_out(cloud, arguments, templates, given)


def named(stack: str) -> str:
    return f"shop-staging-{stack}"


# --- every template -------------------------------------------------------------------------


@pytest.mark.parametrize("stack", STACKS)
def test_each_stack_is_shown_without_asking_anybody(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    logging_kept: None,
    stack: str,
) -> None:
    for name in (*settings.Settings.model_fields, "access_key_id", "secret_access_key", "profile"):
        monkeypatch.delenv(f"CARTOGRAPH_{name.upper()}", raising=False)
        monkeypatch.delenv(f"AWS_{name.upper()}", raising=False)

    server.main(["deploy", stack, "--dry-run", "--environment", "prod"])

    shown, told = capsys.readouterr()
    lines = [line.split() for line in shown.splitlines()]
    document = load(FILES[stack])
    assert told == ""
    assert {line[0] for line in lines} >= document["Parameters"].keys()
    for name, resource in document["Resources"].items():
        assert [name, resource["Type"]] in [line[:2] for line in lines]
    needed = [line[0] for line in lines if "(to" in line]
    assert set(needed) <= OWN.keys()


async def test_every_stack_is_made_of_what_the_others_put_out_and_then_left() -> None:
    cloud = Cloud()

    await deploy(cloud)

    assert cloud.executed == [named(stack) for stack in STACKS]
    told = cloud.parameters(named("service"))
    stream = cloud.stacks[named("tables")].outputs["MainTableStreamArn"]
    assert told["MainTableStreamArn"].endswith(stream)
    assert told["DeadLettersUrl"].startswith("https://")
    assert cloud.parameters(named("dax"))["ApiRoleName"] == "ApiRole"

    await deploy(cloud)
    assert len(cloud.executed) == len(STACKS)


@pytest.mark.parametrize("stack", STACKS)
async def test_each_stack_is_changed_after_a_yes_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stack: str
) -> None:
    cloud = Cloud()
    await deploy(cloud, Archive="true")
    done, (name, value, resource) = len(cloud.executed), CHANGES[stack]

    async def refuses(_question: str) -> bool:
        return False

    monkeypatch.setattr(deploying, "agreed", refuses)
    with pytest.raises(CartographError, match=f"Stack {named(stack)} was left as it was"):
        await answered(cloud, [stack], yes=False, parameters={name: value})
    assert ["Modify", resource] in [
        line.split()[:2] for line in capsys.readouterr().out.split("\n")
    ]
    assert len(cloud.executed) == done

    await deploy(cloud, stack, **{name: value})
    assert cloud.executed[done:] == [named(stack)]
    assert cloud.parameters(named(stack))[name] == value


@pytest.mark.parametrize("stack", STACKS[1:])
async def test_a_stack_before_its_time_is_refused_before_anything_is_changed(stack: str) -> None:
    cloud = Cloud()

    with pytest.raises(ConfigurationError, match=rf"stack {stack} also needs "):
        await deploy(cloud, stack)
    assert cloud.asked == []


# --- what is switched on and off ------------------------------------------------------------


def stream_of(cloud: Cloud) -> str:
    arn: str = cloud.parameters(named("tables"))["ArchiveStreamArn"]
    return arn


async def test_the_tables_are_told_of_an_archive_that_is_made_after_them() -> None:
    cloud = Cloud()

    await deploy(cloud, "tables", "events", Archive="true")

    tables, events = named("tables"), named("events")
    assert cloud.executed == [tables, events, tables]
    assert stream_of(cloud) == "arn:aws:made:ArchiveStream.Arn"


async def test_an_archive_that_is_switched_off_is_left_by_the_tables_before_it_goes() -> None:
    cloud = Cloud()
    await deploy(cloud, "tables", "events", Archive="true")
    cloud.executed.clear()

    await deploy(cloud, "tables", "events", Archive="false")

    assert cloud.executed == [named("tables"), named("events")]
    assert stream_of(cloud) == ""
    assert "ArchiveStream" not in cloud.stacks[named("events")].resources
    await deploy(cloud, "tables", "events")
    assert stream_of(cloud) == ""


async def test_an_archive_that_the_tables_write_to_is_not_switched_off_alone() -> None:
    cloud = Cloud()
    await deploy(cloud, "tables", "events", Archive="true")
    cloud.asked.clear()

    with pytest.raises(ConfigurationError, match=r"Stack tables uses ArchiveStreamArn, .* as well"):
        await deploy(cloud, "events", Archive="false")
    assert cloud.asked == []
    await deploy(cloud, "events", ArchiveDays="200")
    assert stream_of(cloud) != ""


async def test_a_stream_of_ones_own_is_kept_without_the_archive() -> None:
    cloud, own = Cloud(), "arn:aws:kinesis:ap-northeast-1:000000000000:stream/own"
    await deploy(cloud, "tables", "events", ArchiveStreamArn=own)

    await deploy(cloud, "tables", "events", RecoveryDays="7")
    assert stream_of(cloud) == own
    await deploy(cloud, "tables", ArchiveStreamArn="")
    assert stream_of(cloud) == ""


async def test_people_have_roles_as_long_as_they_are_named() -> None:
    cloud, name = Cloud(), named("tables")
    people = "arn:aws:iam::000000000000:role/Ann,arn:aws:iam::000000000000:role/Bob"
    await deploy(cloud, "tables", "events", SupportPrincipals=people)
    made = cloud.stacks[name].of_type("IAM::Role")
    assert list(made) == ["SupportRole"]

    await deploy(cloud, "tables", RecoveryDays="7")
    assert cloud.parameters(name)["SupportPrincipals"] == people
    await deploy(cloud, "tables", SupportPrincipals="")
    assert cloud.stacks[name].of_type("IAM::Role") == {}
    with pytest.raises(CartographError, match="SupportPrincipals must match"):
        await deploy(cloud, "tables", SupportPrincipals=f"{people},*")
