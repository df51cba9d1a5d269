"""Stacks, over a client that answers from a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasources.errors import CartographError, ConfigurationError
from datasources.operating import stacks
from datasources.operating.stacks import LARGEST, Change, ChangeSet, Stack, Template
from tests.support.clients import Clock, client, failed

TEXT = """
Parameters:
  Project: { Type: String }
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties: { TableName: !Sub "${Project}-x" }
Outputs:
  TableName: { Value: !Ref Table }
"""
NEW = ChangeSet("shop", "set", is_new=True)
OLD = ChangeSet("shop", "set", is_new=False)
THERE = Stack("shop", "UPDATE_COMPLETE", {"Project": "x"}, {})


@pytest.fixture
def template(tmp_path: Path) -> Template:
    path = tmp_path / "shop.yaml"
    path.write_text(TEXT)
    return Template("shop", path)


def stack(status: str, **more: Any) -> dict[str, Any]:
    return {"Stacks": [{"StackName": "shop", "StackStatus": status, **more}]}


def change(action: str, resource: str, **more: Any) -> dict[str, Any]:
    kind = "AWS::DynamoDB::Table"
    details = {"Action": action, "LogicalResourceId": resource, "ResourceType": kind, **more}
    return {"Type": "Resource", "ResourceChange": details}


def event(number: int, status: str, resource: str = "Table", reason: str = "") -> dict[str, Any]:
    about = {"ResourceStatusReason": reason} if reason else {}
    return {
        "EventId": str(number),
        "LogicalResourceId": resource,
        "ResourceStatus": status,
        **about,
    }


# --- templates ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "there"),
    [
        ({"Archive": "true", "People": ""}, {"Name", "Stream"}),
        ({"Archive": "false", "People": "a,b"}, {"Name", "Role"}),
        ({"Archive": None, "People": None}, {"Name"}),
    ],
)
def test_a_template_says_what_it_would_give(
    tmp_path: Path, parameters: dict[str, str | None], there: set[str]
) -> None:
    path = tmp_path / "events.yaml"
    path.write_text("""
Parameters: { Archive: { Type: String }, People: { Type: CommaDelimitedList } }
Conditions:
  HasArchive: !Equals [!Ref Archive, "true"]
  HasPeople: !Not [!Equals [!Join ["", !Ref People], ""]]
Resources: {}
Outputs:
  Name: { Value: x }
  Stream: { Condition: HasArchive, Value: x }
  Role: { Condition: HasPeople, Value: x }
""")
    assert Template("events", path).promised(parameters) == there


def test_a_template_says_what_it_takes_makes_and_gives(template: Template) -> None:
    assert set(template.parameters) == {"Project"}
    assert set(template.resources) == {"Table"}
    assert set(template.outputs) == {"TableName"}


def test_a_template_that_no_call_takes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(TEXT + "#" * LARGEST)

    with pytest.raises(ConfigurationError, match=r"large.yaml has more than 51,200 bytes"):
        Template("large", path)


# --- finding --------------------------------------------------------------------------------


async def test_a_stack_is_found_with_its_parameters_and_outputs() -> None:
    found = stack(
        "CREATE_COMPLETE",
        Parameters=[{"ParameterKey": "Project", "ParameterValue": "x"}],
        Outputs=[{"OutputKey": "TableName", "OutputValue": "x-x"}],
    )

    assert await stacks.find(client(describe_stacks=found), "shop") == Stack(
        "shop", "CREATE_COMPLETE", {"Project": "x"}, {"TableName": "x-x"}
    )


async def test_a_stack_that_is_not_there_is_none() -> None:
    missing = failed("ValidationError", "Stack with id shop does not exist")

    assert await stacks.find(client(describe_stacks=missing), "shop") is None


async def test_who_may_not_look_is_told() -> None:
    with pytest.raises(CartographError, match="AccessDenied: no; ask"):
        await stacks.find(client(describe_stacks=failed("AccessDenied", "no")), "shop")


# --- proposing ------------------------------------------------------------------------------


async def proposed(
    store: Any, template: Template, existing: Stack | None, **parameters: str | None
) -> ChangeSet | None:
    return await stacks.propose(
        store,
        template,
        "shop",
        existing,
        parameters,
        change_set="set",
        waiting=Clock().waiting,
    )


@pytest.mark.parametrize(
    ("existing", "kind"),
    [
        (None, "CREATE"),
        (Stack("shop", "REVIEW_IN_PROGRESS", {}, {}), "CREATE"),
        (THERE, "UPDATE"),
        (Stack("shop", "UPDATE_ROLLBACK_COMPLETE", {}, {}), "UPDATE"),
    ],
)
async def test_what_would_change_is_shown_page_by_page(
    template: Template, existing: Stack | None, kind: str
) -> None:
    store = client(
        create_change_set={},
        describe_change_set=[
            {"Status": "CREATE_PENDING"},
            {"Status": "CREATE_IN_PROGRESS"},
            {
                "Status": "CREATE_COMPLETE",
                "Changes": [change("Add", "Table")],
                "NextToken": "more",
            },
            {
                "Status": "CREATE_COMPLETE",
                "Changes": [change("Modify", "Topic", Replacement="Conditional")],
            },
        ],
    )

    found = await proposed(store, template, existing, Project="x", Kept=None)

    kinds = "AWS::DynamoDB::Table"
    assert found == ChangeSet(
        "shop",
        "set",
        kind == "CREATE",
        [Change("Add", "Table", kinds, None), Change("Modify", "Topic", kinds, "Conditional")],
    )
    [asked] = store.asked("create_change_set")
    assert asked["ChangeSetType"] == kind
    assert asked["TemplateBody"] == TEXT
    assert asked["Parameters"] == [
        {"ParameterKey": "Project", "ParameterValue": "x"},
        {"ParameterKey": "Kept", "UsePreviousValue": True},
    ]


@pytest.mark.parametrize(
    ("action", "replaces", "warning"),
    [
        ("Add", None, ""),
        ("Modify", "False", ""),
        ("Modify", "Conditional", "may be replaced"),
        ("Modify", "True", "is replaced"),
        ("Remove", None, "is removed"),
    ],
)
def test_it_is_told_what_may_lose_what_it_holds(
    action: str, replaces: str | None, warning: str
) -> None:
    assert Change(action, "Table", "AWS::DynamoDB::Table", replaces).warning == warning


async def test_where_nothing_would_change_the_change_set_is_taken_back(template: Template) -> None:
    reason = "The submitted information didn't contain changes. Submit different information."
    store = client(
        create_change_set={},
        describe_change_set={"Status": "FAILED", "StatusReason": reason},
        delete_change_set={},
    )

    assert await proposed(store, template, THERE) is None
    assert store.asked("delete_change_set") == [{"StackName": "shop", "ChangeSetName": "set"}]


async def test_a_change_set_that_fails_says_why(template: Template) -> None:
    store = client(
        create_change_set={},
        describe_change_set={"Status": "FAILED", "StatusReason": "Transform failed"},
        delete_change_set={},
        delete_stack={},
    )

    with pytest.raises(CartographError, match="stack shop: Transform failed"):
        await proposed(store, template, None)
    assert store.asked("delete_stack") == [{"StackName": "shop"}]


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "CREATE_FAILED", "DELETE_FAILED"])
async def test_a_stack_that_can_only_be_deleted_is_left_alone(
    template: Template, status: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"is {status}; delete it"):
        await proposed(client(), template, Stack("shop", status, {}, {}))


async def test_only_a_stack_that_is_new_is_taken_back_with_its_change_set() -> None:
    store = client(delete_change_set={}, delete_stack={})

    await stacks.drop(store, OLD)
    assert store.asked("delete_stack") == []
    await stacks.drop(store, NEW)
    assert store.asked("delete_stack") == [{"StackName": "shop"}]


# --- executing ------------------------------------------------------------------------------


async def test_each_resource_is_told_once_and_in_order() -> None:
    before = [event(1, "UPDATE_COMPLETE")]
    running = [event(3, "UPDATE_IN_PROGRESS"), event(2, "UPDATE_IN_PROGRESS", "shop"), *before]
    done = [event(5, "UPDATE_COMPLETE", "shop"), event(4, "UPDATE_COMPLETE")]
    outputs = [{"OutputKey": "TableName", "OutputValue": "x-x"}]
    store = client(
        execute_change_set={},
        describe_stacks=[
            stack("UPDATE_COMPLETE"),  # still as before
            stack("UPDATE_IN_PROGRESS"),
            stack("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
            stack("UPDATE_COMPLETE", Outputs=outputs),
        ],
        describe_stack_events=[
            {"StackEvents": before},
            {"StackEvents": before},
            {"StackEvents": running},
            {"StackEvents": done, "NextToken": "older"},
            {"StackEvents": running},
            {"StackEvents": [*done, *running]},
        ],
    )
    told: list[str] = []

    found = await stacks.execute(store, OLD, Clock().waiting, told.append)

    assert found == {"TableName": "x-x"}
    assert told == [
        "shop UPDATE_IN_PROGRESS",
        "Table UPDATE_IN_PROGRESS",
        "Table UPDATE_COMPLETE",
        "shop UPDATE_COMPLETE",
    ]


async def test_changes_that_are_taken_back_are_told_with_their_first_reason() -> None:
    events = [
        event(4, "ROLLBACK_IN_PROGRESS", "shop", "The following resources failed"),
        event(3, "CREATE_FAILED", "Topic", "Resource creation cancelled"),
        event(2, "CREATE_FAILED", "Table", "Table is there already"),
        event(1, "CREATE_IN_PROGRESS", "Table"),
    ]
    store = client(
        execute_change_set={},
        describe_stacks=[stack("CREATE_IN_PROGRESS"), stack("ROLLBACK_COMPLETE")],
        describe_stack_events=[{"StackEvents": []}, {"StackEvents": events}],
    )

    with pytest.raises(
        CartographError, match="shop is ROLLBACK_COMPLETE: Table: Table is there already"
    ):
        await stacks.execute(store, NEW, Clock().waiting, lambda _line: None)
