"""Which stacks are deployed, with which parameters, and after which questions."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import pytest

import server
import settings
from composition.commands import deploy as deploying
from composition.commands.choices import (
    DEFAULT,
    ENDED,
    GIVEN,
    KEPT,
    MISSING,
    OUTPUT,
    Choice,
    chosen,
)
from composition.commands.deploy import carry_out, described
from datasources.errors import CartographError, ConfigurationError
from datasources.operating.stacks import Stack, Template
from tests.support.clients import client, failed

TABLES = """
Parameters:
  Project: { Type: String }
  Environment: { Type: String, Default: dev }
Resources:
  MainTable: { Type: AWS::DynamoDB::Table }
Outputs:
  TableArn: { Value: !GetAtt MainTable.Arn }
"""
SERVICE = """
Parameters:
  Environment: { Type: String }
  TableArn: { Type: String }
  Image: { Type: String }
  Password: { Type: String, NoEcho: true, Default: swordfish }
Conditions:
  IsProduction: !Equals [!Ref Environment, prod]
Resources:
  Service: { Type: AWS::ECS::Service }
  Scaling: { Type: AWS::ApplicationAutoScaling::ScalableTarget, Condition: IsProduction }
"""


@pytest.fixture(autouse=True)
def infra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_kept: None) -> Path:
    (tmp_path / "template.yaml").write_text(TABLES)
    (tmp_path / "service.yaml").write_text(SERVICE)
    monkeypatch.setattr(deploying, "INFRA", tmp_path)
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(f"CARTOGRAPH_{name.upper()}", raising=False)
    return tmp_path


def templates() -> list[Template]:
    names = ("tables", "service")
    return [Template(name, deploying.INFRA / deploying.FILES[name]) for name in names]


# --- parameters -----------------------------------------------------------------------------


def test_a_parameter_is_taken_from_who_knows_it_best() -> None:
    _, service = templates()
    kept = Stack("x", "CREATE_COMPLETE", {"Image": "i", "TableArn": "t", "Password": "****"}, {})

    assert chosen(service, {"Environment": "dev"}, {"TableArn": "arn"}, None) == {
        "Environment": Choice("dev", GIVEN),
        "TableArn": Choice("arn", OUTPUT),
        "Image": Choice(None, MISSING),
        "Password": Choice("swordfish", DEFAULT),
    }
    assert chosen(service, {"Image": "i:2"}, {"TableArn": None}, kept) == {
        "Environment": Choice(None, MISSING),
        "TableArn": Choice(None, OUTPUT),
        "Image": Choice("i:2", GIVEN),
        "Password": Choice("****", KEPT),
    }


def test_a_parameter_that_another_stack_will_put_out_no_more_has_its_default_again() -> None:
    _, service = templates()
    there = Stack("x", "CREATE_COMPLETE", {"Image": "i", "Password": "arn:1"}, {})

    ended = chosen(service, {}, {}, there, {"Image": "i", "Password": "arn:1"})
    assert ended["Password"] == Choice("swordfish", ENDED)
    assert ended["Image"] == Choice("i", KEPT)  # it has no default
    own = chosen(service, {}, {}, there, {"Password": "arn:2"})
    assert own["Password"] == Choice("arn:1", KEPT)
    again = chosen(service, {}, {"Password": "arn:3"}, there, {"Password": "arn:1"})
    assert again["Password"] == Choice("arn:3", OUTPUT)


def test_a_secret_is_not_shown() -> None:
    _, service = templates()

    assert "swordfish" not in described(service, "Password", Choice("swordfish", GIVEN))
    assert "i:2" in described(service, "Image", Choice("i:2", GIVEN))


# --- what is shown without AWS --------------------------------------------------------------


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        server.main(["deploy", *arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_a_dry_run_needs_neither_credentials_nor_a_store(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    server.main(["deploy", "--dry-run", "--environment", "prod"])

    shown, told = capsys.readouterr()
    assert told == ""
    lines = [line.split() for line in shown.splitlines()]
    assert "Stack cartograph-prod-tables in ap-northeast-1, template.yaml" in shown
    assert ["MainTable", "AWS::DynamoDB::Table"] in lines
    assert ["Environment", "prod", "(given)"] in lines
    assert ["TableArn", "(from", "another", "stack)"] in lines
    assert ["Image", "(to", "be", "given", "by", "--parameter)"] in lines
    assert "IsProduction" in shown
    assert "swordfish" not in shown


def test_a_dry_run_is_of_the_stacks_that_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    server.main(["deploy", "service", "--dry-run", "-p", "Image=i:2"])

    shown, _ = capsys.readouterr()
    assert "dev-tables" not in shown
    assert "i:2" in shown


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["elsewhere"], "elsewhere"),
        (["dax"], "dax"),
        (["--environment", "moon"], "--environment"),
        (["-p", "Image"], "NAME=VALUE"),
        (["-p", "Im age=x"], "NAME=VALUE"),
        (["--dry-run", "-p", "Imaged=x"], "none of these stacks has Imaged"),
        (["--dry-run", "tables", "-p", "Image=x"], "none of these stacks has Image"),
        (["--yes"], "CARTOGRAPH_STORE"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    assert run(*arguments) == 2
    shown, told = capsys.readouterr()
    assert shown == ""
    [line] = told.splitlines()
    assert named in line


def test_who_cannot_be_asked_has_to_say_yes_before(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARTOGRAPH_STORE", "http://127.0.0.1:9")
    with open("/dev/null") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        assert run("tables") == 2
    assert "--yes" in capsys.readouterr().err


# --- carrying out ---------------------------------------------------------------------------

MISSING_STACK = failed("ValidationError", "Stack with id x does not exist")
NO_CHANGES = {"Status": "FAILED", "StatusReason": "didn't contain changes"}


def arguments(**more: Any) -> argparse.Namespace:
    return argparse.Namespace(project="shop", environment="dev", yes=True, **more)


def stack(status: str, **outputs: str) -> dict[str, Any]:
    found = [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]
    return {"Stacks": [{"StackName": "s", "StackStatus": status, "Outputs": found}]}


def events(number: int) -> dict[str, Any]:
    status = "CREATE_COMPLETE"
    about = {"EventId": str(number), "LogicalResourceId": "s", "ResourceStatus": status}
    return {"StackEvents": [about]}


async def test_outputs_of_one_stack_are_parameters_of_the_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    aws = client(
        describe_stacks=[MISSING_STACK, MISSING_STACK, stack("CREATE_COMPLETE", TableArn="arn:1")],
        create_change_set={},
        describe_change_set={"Status": "CREATE_COMPLETE", "Changes": []},
        describe_stack_events=[events(number) for number in range(9)],
        execute_change_set={},
    )

    await carry_out(
        aws, arguments(), templates(), {"Environment": "dev", "Project": "x", "Image": "i"}
    )

    tables, service = aws.asked("create_change_set")
    assert tables["StackName"] == "shop-dev-tables"
    assert tables["Parameters"] == [
        {"ParameterKey": "Project", "ParameterValue": "x"},
        {"ParameterKey": "Environment", "ParameterValue": "dev"},
    ]
    assert {"ParameterKey": "TableArn", "ParameterValue": "arn:1"} in service["Parameters"]
    assert "Password" not in str(service["Parameters"])
    assert "TableArn  arn:1" in capsys.readouterr().out


async def test_outputs_of_a_stack_that_is_there_are_parameters_too() -> None:
    there = stack("CREATE_COMPLETE", TableArn="arn:1")
    aws = client(
        describe_stacks=[there, MISSING_STACK],
        create_change_set={},
        describe_change_set=NO_CHANGES,
        delete_change_set={},
        delete_stack={},
    )

    await carry_out(aws, arguments(), templates()[1:], {"Environment": "dev", "Image": "i"})

    [service] = aws.asked("create_change_set")
    assert {"ParameterKey": "TableArn", "ParameterValue": "arn:1"} in service["Parameters"]


async def test_what_is_missing_is_told_before_anything_is_changed() -> None:
    aws = client(describe_stacks=MISSING_STACK)

    with pytest.raises(ConfigurationError, match="stack service also needs Image"):
        await carry_out(aws, arguments(), templates(), {"Environment": "dev", "Project": "x"})
    assert {name for name, _ in aws.calls} == {"describe_stacks"}


@pytest.mark.parametrize("end", [None, asyncio.CancelledError()])
async def test_without_a_yes_the_change_set_is_taken_back(
    monkeypatch: pytest.MonkeyPatch, end: BaseException | None
) -> None:
    async def asked(_question: str) -> bool:
        if end:
            raise end
        return False

    monkeypatch.setattr(deploying, "agreed", asked)
    aws = client(
        describe_stacks=MISSING_STACK,
        create_change_set={},
        describe_change_set={"Status": "CREATE_COMPLETE", "Changes": []},
        delete_change_set={},
        delete_stack={},
    )
    given = arguments()
    given.yes = False

    with pytest.raises(asyncio.CancelledError if end else CartographError):
        await carry_out(aws, given, templates()[:1], {"Environment": "dev", "Project": "x"})

    assert [name for name, _ in aws.calls][-2:] == ["delete_change_set", "delete_stack"]


async def test_what_is_as_it_should_be_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    aws = client(
        describe_stacks=stack("UPDATE_COMPLETE", TableArn="arn:1"),
        create_change_set={},
        describe_change_set=NO_CHANGES,
        delete_change_set={},
    )

    await carry_out(aws, arguments(), templates()[:1], {"Environment": "dev", "Project": "x"})

    assert "shop-dev-tables is as it should be" in capsys.readouterr().err
    assert aws.asked("delete_change_set")[0]["StackName"] == "shop-dev-tables"
