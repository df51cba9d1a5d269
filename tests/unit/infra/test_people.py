"""The roles of the people who look after a shop: who may have them, and what they may never do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.asked import arn, on_object, on_table, selecting, table_arn
from tests.support.iam import Decision, Request, decide
from tests.support.roles import ANN, BOB, BUCKET, Roles, deployed, grants, people
from tests.support.templates import ACCOUNT, Template, load

TABLE, SYSTEM = "cartograph-dev", "cartograph-dev-system"
NEW = f"{TABLE}-restored-1"
BACKUP = f"{table_arn(TABLE)}/backup/01489173575360-b308cd7d"
EXPORT = f"{table_arn(TABLE)}/export/01693685827463-2d8752fd"
PEOPLE, IN_PRODUCTION = people(), people(Environment="prod")
KEYS = ["t#USER#u"]
# To rows past the rules, and to what the tables are.
NOBODYS = """Scan PartiQLInsert PartiQLUpdate PartiQLDelete GetItem PutItem UpdateItem DeleteItem
    ConditionCheckItem DeleteTable CreateTable UpdateTable UpdateTimeToLive UpdateContinuousBackups
    DeleteBackup RestoreTableFromBackup ImportTable PutResourcePolicy DeleteResourcePolicy
    UpdateTableReplicaAutoScaling CreateTableReplica DeleteTableReplica UpdateGlobalTable
    DisableKinesisStreamingDestination EnableKinesisStreamingDestination TagResource UntagResource
    GetRecords DescribeStream""".split()


def may(request: Request, roles: Roles = PEOPLE) -> set[str]:
    return roles.allowing(request)


def about(action: str, resource: str, **context: tuple[str, ...]) -> Request:
    return Request(f"dynamodb:{action}", resource, context=context)


@pytest.mark.parametrize("action", NOBODYS)
@pytest.mark.parametrize(
    "resource",
    [table_arn(TABLE), table_arn(TABLE, "GSI1"), table_arn(SYSTEM), EXPORT],
)
def test_nobody_may_do_to_the_tables_what_no_command_does(action: str, resource: str) -> None:
    request = Request(f"dynamodb:{action}", resource, context={"dynamodb:LeadingKeys": ("t#U",)})
    assert may(request) == set()


# --- support --------------------------------------------------------------------------------


def test_support_selects_by_key_and_nothing_else() -> None:
    assert may(selecting(f"SELECT * FROM \"{TABLE}\" WHERE PK = 'x'")) == {"support"}  # noqa: S608
    of_index = f'SELECT * FROM "{TABLE}"."GSI1" WHERE GSI1PK IN [?, ?]'  # noqa: S608
    assert may(selecting(of_index)) == {"support"}
    [*asked] = {action for action, _ in grants(PEOPLE.statements("support"), "dynamodb")}
    assert sorted(asked) == ["dynamodb:DescribeTable", "dynamodb:PartiQLSelect"]


@pytest.mark.parametrize(
    "statement",
    [
        f'SELECT * FROM "{TABLE}"',  # noqa: S608
        f"SELECT * FROM \"{TABLE}\" WHERE email = 'x'",  # noqa: S608
        f"SELECT * FROM \"{TABLE}\" WHERE begins_with(PK, 'x')",  # noqa: S608
        f'SELECT * FROM "{TABLE}"."GSI1" WHERE PK = \'x\'',  # noqa: S608
    ],
)
def test_a_statement_that_would_read_everything_is_denied_whatever_else_allows_it(
    statement: str,
) -> None:
    anything = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}
    scan = selecting(statement)
    assert decide(scan, [*PEOPLE.statements("support"), anything]) is Decision.DENIED
    assert may(scan) == set()


@pytest.mark.parametrize("table", [SYSTEM, NEW, "cartograph-prod", "cartograph-devil"])
def test_support_sees_this_table_alone(table: str) -> None:
    assert may(selecting(f"SELECT * FROM \"{table}\" WHERE PK = 'x'")) == set()  # noqa: S608
    assert "support" not in may(on_table("DescribeTable", table))


# --- operators ------------------------------------------------------------------------------


def test_a_backup_is_made_and_restored_and_never_removed() -> None:
    assert may(on_table("CreateBackup", TABLE)) == {"operator"}
    for action in ("DescribeBackup", "RestoreTableFromBackup"):
        assert may(about(action, BACKUP)) == {"operator"}
    assert may(about("DeleteBackup", BACKUP)) == set()
    for other in (SYSTEM, NEW, "cartograph-prod"):
        assert may(on_table("CreateBackup", other)) == set()
    foreign = BACKUP.replace("-dev/", "-prod/")
    assert may(about("RestoreTableFromBackup", foreign)) == set()
    assert may(on_table("RestoreTableToPointInTime", "cartograph-prod")) == set()


RESTORING = """RestoreTableFromBackup BatchWriteItem DeleteItem GetItem PutItem Query Scan
    UpdateItem UpdateTable UpdateTimeToLive UpdateContinuousBackups""".split()


@pytest.mark.parametrize("action", RESTORING)
def test_what_is_restored_is_a_new_table_of_a_name_of_its_own(action: str) -> None:
    assert may(on_table(action, NEW)) == {"operator"}
    others = {TABLE, SYSTEM, "cartograph-prod-restored-1", "cartograph-dev-restored", "x"}
    if action in {"Query", "BatchWriteItem"}:  # for counting again, and for made-up data
        others.remove(TABLE)
    for other in others:
        assert may(on_table(action, other)) == set(), other


def test_of_a_restored_table_the_system_table_is_made_and_nothing_removed() -> None:
    assert may(on_table("CreateTable", f"{NEW}-system")) == {"operator"}
    assert may(on_table("CreateTable", NEW)) == set()
    for table in (NEW, f"{NEW}-system"):
        assert may(on_table("DeleteTable", table)) == set()


def test_rows_are_mended_in_transactions_alone() -> None:
    within = "TransactWriteItems"
    assert may(on_table("UpdateItem", TABLE, keys=KEYS, within=within)) == {"operator"}
    assert may(on_table("UpdateItem", TABLE, keys=KEYS)) == set()
    for write in ("PutItem", "DeleteItem", "ConditionCheckItem"):
        assert may(on_table(write, TABLE, keys=KEYS, within=within)) == set()
    assert may(on_table("UpdateItem", SYSTEM, keys=KEYS, within=within)) == set()


def test_made_up_data_is_for_no_shop_in_production() -> None:
    load_all = on_table("BatchWriteItem", TABLE, keys=KEYS)
    assert may(load_all) == {"operator"}
    in_production = on_table("BatchWriteItem", "cartograph-prod", keys=KEYS)
    assert may(in_production, IN_PRODUCTION) == set()
    assert may(on_table("CreateBackup", "cartograph-prod"), IN_PRODUCTION) == {"operator"}


FILES = ("PutObject", "PutObjectAcl", "AbortMultipartUpload", "GetObject")


@pytest.mark.parametrize("action", FILES)
def test_exports_are_in_one_bucket_of_this_account(action: str) -> None:
    key = "nightly/AWSDynamoDB/01693685827463-2d8752fd/manifest-summary.json"
    assert may(on_object(action, BUCKET, key)) == {"operator"}
    assert may(on_object(action, BUCKET, key, owner="111111111111")) == set()
    assert may(on_object(action, "another", key)) == set()
    assert may(on_object(action, f"{BUCKET}-2", key)) == set()
    without = people(ExportBucket="")
    assert may(on_object(action, "", key), without) == set()
    for one in (on_table("ExportTableToPointInTime", TABLE), about("DescribeExport", EXPORT)):
        assert (may(one), may(one, without)) == ({"operator"}, set())
    for removing in ("DeleteObject", "ListBucket", "PutBucketPolicy"):
        assert may(on_object(removing, BUCKET, key)) == set()


# --- redriving ------------------------------------------------------------------------------

CLUSTER = arn("ecs", "cluster/cartograph-dev")


def running(definition: str, cluster: str = CLUSTER) -> Request:
    context = {"ecs:cluster": (cluster,)}
    return Request("ecs:RunTask", arn("ecs", f"task-definition/{definition}"), context=context)


def passing(role: str, to: str = "ecs-tasks.amazonaws.com") -> Request:
    resource = f"arn:aws:iam::{ACCOUNT}:role{role}"
    return Request("iam:PassRole", resource, context={"iam:PassedToService": (to,)})


def test_an_operator_runs_the_processors_task_in_this_cluster() -> None:
    service = deployed().template
    family = service.properties("ProcessorTask")["Family"]
    assert arn("ecs", f"cluster/{service.properties('Cluster')['ClusterName']}") == CLUSTER
    assert may(running(f"{family}:7")) == {"operator"}
    assert may(running(f"{family}:7", CLUSTER.replace("dev", "prod"))) == set()
    assert may(running("cartograph-dev-service:7")) == set()


def test_a_task_is_given_the_roles_for_redriving_and_no_other() -> None:
    service = deployed().template
    given = {"RedriveRole", "ExecutionRole"}
    for name, role in service.of_type("IAM::Role").items():
        allowed = may(passing(f"{role.get('Path', '/')}{name}"))
        assert allowed == ({"operator"} if name in given else set()), name
    path = service.properties("RedriveRole")["Path"]
    assert may(passing(f"{path}RedriveRole", "lambda.amazonaws.com")) == set()


# --- who may have them ----------------------------------------------------------------------


@pytest.mark.parametrize(("who", "whose"), [("support", ANN), ("operator", BOB)])
def test_a_role_is_had_by_those_named_and_after_a_second_factor(who: str, whose: str) -> None:
    def assumed(by: str, factor: str | None, roles: Roles = PEOPLE) -> bool:
        context = {"aws:MultiFactorAuthPresent": (factor,)} if factor else {}
        request = Request("sts:AssumeRole", "x", principal=by, context=context)
        return decide(request, [], resource=roles.trust(who)) is Decision.ALLOWED

    assert assumed(whose, "true")
    assert not assumed(whose, "false")
    assert not assumed(whose, None)
    [other] = {ANN, BOB} - {whose}
    assert not assumed(other, "true")
    assert not assumed(f"{whose}2", "true")
    assert assumed(whose, None, people(RequireMfa="false"))
    assert not assumed(other, "true", people(RequireMfa="false"))


def test_without_anybody_to_have_them_there_are_no_roles() -> None:
    nobody: dict[str, Any] = {"SupportPrincipals": "", "OperatorPrincipals": ""}
    alone = people(**nobody)
    assert alone.names() == []
    assert alone.template.of_type("IAM::Role") == alone.template.of_type("IAM::Policy") == {}
    assert not {"SupportRoleArn", "OperatorRoleArn"} & alone.template.outputs.keys()
    assert Template("template.yaml").of_type("IAM::Role") == {}
    assert people(OperatorPrincipals="").names() == ["support"]
    assert people(SupportPrincipals="").names() == ["operator"]
    assert PEOPLE.template.outputs["OperatorRoleArn"] == "OperatorRole.Arn"


@pytest.mark.parametrize("parameter", ["SupportPrincipals", "OperatorPrincipals"])
def test_nobody_is_named_by_a_wildcard(parameter: str) -> None:
    pattern = load("template.yaml")["Parameters"][parameter]["AllowedPattern"]
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/Bob/somebody"
    for named in ("", ANN, f"arn:aws-cn:iam::{ACCOUNT}:root", session):
        assert re.fullmatch(pattern, named)
    for named in ("*", "arn:aws:iam::*:root", f"{ANN}*", "arn:aws:s3:::bucket", "Ann"):
        assert not re.fullmatch(pattern, named)


def test_no_statement_allows_by_a_wildcard_in_its_action() -> None:
    for roles in (PEOPLE, IN_PRODUCTION):
        for who in roles.names():
            found = list(grants(roles.statements(who), "dynamodb", "s3", "ecs", "iam"))
            assert [action for action, _ in found if "*" in action] == []
            everywhere = [action for action, resource in found if resource == "*"]
            assert everywhere == (["dynamodb:ListBackups"] if who == "operator" else [])
