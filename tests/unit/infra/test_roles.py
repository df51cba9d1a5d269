"""What nobody may, whatever the roles allow: each request here has to be refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.asked import arn, on_table, table_arn
from tests.support.iam import Decision, Request, decide
from tests.support.roles import Roles, deployed, grants
from tests.support.stacks import FUNCTION, GIVEN

SERVICE, BY_FUNCTION = deployed(), deployed(**FUNCTION)
TABLE, SYSTEM = "cartograph-dev", "cartograph-dev-system"
STREAM = GIVEN["MainTableStreamArn"]
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem")
# Of whole tables, of other ways to the rows, and of what tables are.
NOBODYS = """Scan PartiQLSelect PartiQLInsert PartiQLUpdate PartiQLDelete DeleteTable CreateTable
    UpdateTable UpdateTimeToLive UpdateContinuousBackups CreateBackup DeleteBackup
    RestoreTableFromBackup RestoreTableToPointInTime ExportTableToPointInTime ImportTable
    PutResourcePolicy DeleteResourcePolicy UpdateTableReplicaAutoScaling CreateTableReplica
    EnableKinesisStreamingDestination TagResource""".split()


def everybody() -> list[tuple[Roles, str]]:
    return [(roles, part) for roles in (SERVICE, BY_FUNCTION) for part in roles.names()]


def parts(request: Request, roles: Roles = SERVICE) -> set[str]:
    return roles.allowing(request)


@pytest.mark.parametrize("action", NOBODYS)
@pytest.mark.parametrize(
    "resource", [table_arn(TABLE), table_arn(TABLE, "GSI1"), table_arn(SYSTEM)]
)
def test_nobody_may_do_to_a_table_what_no_part_does(action: str, resource: str) -> None:
    context = {"dynamodb:LeadingKeys": ("t#USER#u",)}
    request = Request(f"dynamodb:{action}", resource, context=context)
    assert [part for roles, part in everybody() if roles.allows(part, request, tenant="t")] == []


def test_no_statement_allows_by_a_wildcard_in_its_action() -> None:
    for roles, part in everybody():
        found = grants(roles.statements(part), "dynamodb", "sqs", "sns", "ses", "sts", "logs")
        assert [action for action, _ in found if "*" in action] == []


def test_no_role_reaches_another_table_queue_or_topic() -> None:
    foreign = [
        on_table("BatchGetItem", "cartograph-prod", keys=["t#USER#u"]),
        on_table("Query", f"{TABLE}-other", keys=["t#USER#u"]),
        on_table("DescribeTable", "cartograph-prod-system"),
        Request("dynamodb:GetRecords", STREAM.replace("-dev", "-prod")),
        Request("sqs:SendMessage", arn("sqs", "cartograph-prod-dead-letters")),
        Request("sns:Publish", arn("sns", "cartograph-dev-alarms")),
    ]
    for roles, part in everybody():
        assert [one for one in foreign if roles.allows(part, one, tenant="t")] == []


# --- the API --------------------------------------------------------------------------------


def test_the_api_has_no_part_in_the_stream() -> None:
    for action in ("DescribeStream", "GetShardIterator", "GetRecords", "ListStreams"):
        assert "api" not in parts(Request(f"dynamodb:{action}", STREAM))


@pytest.mark.parametrize("write", WRITES)
def test_the_api_writes_in_transactions_alone(write: str) -> None:
    keys = ["t#USER#u"]
    assert "api" in parts(on_table(write, TABLE, keys=keys, within="TransactWriteItems"))
    assert "api" not in parts(on_table(write, TABLE, keys=keys))
    assert "api" not in parts(on_table("BatchWriteItem", TABLE, keys=keys))


def test_the_api_does_nothing_to_the_system_table_but_look_that_it_is_there() -> None:
    assert "api" in parts(on_table("DescribeTable", SYSTEM))
    for action in ("BatchGetItem", "BatchWriteItem", "Query", *WRITES):
        for within in (None, "TransactWriteItems"):
            assert "api" not in parts(on_table(action, SYSTEM, keys=["STREAM#s"], within=within))


def test_the_api_sends_no_mail_and_publishes_nothing() -> None:
    mail = {"ses:FromAddress": (GIVEN["MailFrom"],)}
    assert "api" not in parts(
        Request("ses:SendEmail", arn("ses", "identity/shop.example"), context=mail)
    )
    assert "api" not in parts(Request("sns:Publish", GIVEN["EventsTopicArn"]))
    assert "api" not in parts(Request("sqs:SendMessage", GIVEN["DeadLettersArn"]))


# --- what follows the stream ----------------------------------------------------------------


def test_who_reacts_updates_rows_of_the_shop_and_makes_and_removes_none() -> None:
    within = "TransactWriteItems"
    keys = ["t#PRODUCT#p"]
    assert parts(on_table("UpdateItem", TABLE, keys=keys, within=within)) == {
        "api",
        "processor",
        "redrive",
    }
    for write in ("PutItem", "DeleteItem", "ConditionCheckItem"):
        assert parts(on_table(write, TABLE, keys=keys, within=within)) == {"api"}
    assert parts(on_table("UpdateItem", TABLE, keys=keys)) == set()


def test_who_reacts_reads_no_index() -> None:
    for index in ("GSI1", "GSI2", "GSI3"):
        assert parts(on_table("Query", TABLE, index, keys=["t#X"])) == {"api"}


def test_leases_are_the_processors_and_marks_those_of_who_reacts() -> None:
    lease = on_table("PutItem", SYSTEM, keys=["STREAM#s"])
    mark = on_table("PutItem", SYSTEM, keys=["EVENT#e"], within="TransactWriteItems")
    assert (parts(lease), parts(mark)) == ({"processor"}, {"processor", "redrive"})
    assert (parts(lease, BY_FUNCTION), parts(mark, BY_FUNCTION)) == (
        {"processor"},
        {"function", "redrive"},
    )
    assert parts(on_table("BatchWriteItem", SYSTEM, keys=["EVENT#e", "STREAM#s"])) == set()
    assert parts(on_table("Query", SYSTEM, keys=["EVENT#e"])) == set()
    assert parts(on_table("PutItem", SYSTEM, keys=["t#USER#u"])) == set()


def test_with_a_function_the_processor_follows_and_does_nothing_else() -> None:
    assert parts(
        on_table("UpdateItem", TABLE, keys=["t#P"], within="TransactWriteItems"), BY_FUNCTION
    ) == {
        "api",
        "function",
        "redrive",
    }
    assert "processor" not in parts(on_table("BatchGetItem", TABLE, keys=["t#P"]), BY_FUNCTION)
    assert "processor" not in parts(Request("sns:Publish", GIVEN["EventsTopicArn"]), BY_FUNCTION)


def test_mail_goes_out_under_the_shops_address_alone() -> None:
    identity = arn("ses", "identity/shop.example")
    for sender, may in (
        (GIVEN["MailFrom"], {"processor", "redrive"}),
        ("boss@shop.example", set()),
    ):
        context = {"ses:FromAddress": (sender,)}
        assert parts(Request("ses:SendEmail", identity, context=context)) == may
    silent = deployed(MailFrom="")
    context = {"ses:FromAddress": ("",)}
    assert parts(Request("ses:SendEmail", identity, context=context), silent) == set()


# --- tenants --------------------------------------------------------------------------------


def tenant_may(request: Request, tenant: str | None = "t") -> bool:
    return SERVICE.allows("tenant", request, **({"tenant": tenant} if tenant else {}))


@pytest.mark.parametrize("index", [None, "GSI1", "GSI2", "GSI3"])
def test_a_tenant_asks_for_its_own_partitions(index: str | None) -> None:
    assert tenant_may(on_table("Query", TABLE, index, keys=["t#USER#u"]))
    assert not tenant_may(on_table("Query", TABLE, index, keys=["t2#USER#u"]))
    assert not tenant_may(on_table("Query", TABLE, index, keys=["T#USER#u"]))
    assert not tenant_may(on_table("Query", TABLE, index))


def test_one_foreign_key_among_a_tenants_own_is_one_too_many() -> None:
    assert tenant_may(on_table("BatchGetItem", TABLE, keys=["t#USER#u", "t#PRODUCT#p"]))
    assert not tenant_may(on_table("BatchGetItem", TABLE, keys=["t#USER#u", "u#PRODUCT#p"]))


@pytest.mark.parametrize("write", WRITES)
def test_a_tenant_writes_its_own_rows(write: str) -> None:
    within = "TransactWriteItems"
    assert tenant_may(on_table(write, TABLE, keys=["t#USER#u"], within=within))
    assert not tenant_may(on_table(write, TABLE, keys=["u#USER#u"], within=within))
    assert not tenant_may(on_table(write, TABLE, keys=["t#USER#u"]))
    assert not tenant_may(on_table(write, TABLE, within=within))


def test_without_a_tag_a_tenants_role_allows_nothing() -> None:
    for key in ("t#USER#u", "#USER#u", "${aws:PrincipalTag/tenant}#USER#u"):
        assert not tenant_may(on_table("Query", TABLE, keys=[key]), None)


def test_with_tenants_apart_the_api_reaches_rows_by_a_tenants_role_alone() -> None:
    apart = deployed(TenantsApart="true")
    assert apart.template.broken_rules() == []
    within = "TransactWriteItems"
    about_rows = [
        on_table("BatchGetItem", TABLE, keys=["t#USER#u"]),
        on_table("Query", TABLE, keys=["t#USER#u"]),
        on_table("Query", TABLE, "GSI1", keys=["t#X"]),
        *(on_table(write, TABLE, keys=["t#USER#u"], within=within) for write in WRITES),
    ]
    for request in about_rows:
        assert "api" in parts(request)
        assert "api" not in parts(request, apart)
        assert apart.allows("tenant", request, tenant="t")
        assert not apart.allows("tenant", request, tenant="u")
    assert "api" in parts(on_table("DescribeTable", TABLE), apart)
    become = Request("sts:AssumeRole", "TenantRole.Arn", context=TAGGED)
    assert apart.allows("api", become)
    for part in ("processor", "redrive"):
        assert apart.statements(part) == SERVICE.statements(part)


TAGGED = {"aws:RequestTag/tenant": ("t",), "aws:TagKeys": ("tenant",)}


@pytest.mark.parametrize("action", ["sts:AssumeRole", "sts:TagSession"])
def test_only_the_api_becomes_a_tenant_and_only_by_name(action: str) -> None:
    api = "ApiRole.Arn"  # as GetAtt comes out here
    trust = SERVICE.trust("tenant")
    assert trust[0]["Principal"] == {"AWS": api}
    as_api = [{**one, "Principal": "*"} for one in trust]

    def may(**context: Any) -> bool:
        request = Request(action, "TenantRole.Arn", context=context)
        both = (decide(request, as_api), decide(request, SERVICE.statements("api")))
        assert both[0] is both[1]  # the two sides say the same
        return both[0] is Decision.ALLOWED

    assert may(**TAGGED)
    assert not may()
    assert not may(**{"aws:RequestTag/tenant": ("",), "aws:TagKeys": ("tenant",)})
    assert not may(**{**TAGGED, "aws:TagKeys": ("tenant", "role")})
    assert not SERVICE.allows("api", Request(action, arn("iam", "role/other"), context=TAGGED))
    others = [part for part in SERVICE.names() if part != "api"]
    request = Request(action, "TenantRole.Arn", context=TAGGED)
    assert [part for part in others if SERVICE.allows(part, request)] == []


def test_the_other_roles_are_had_by_what_runs_on_aws_alone() -> None:
    runs = dict.fromkeys(("api", "processor", "redrive"), "ecs-tasks.amazonaws.com")
    runs["function"] = "lambda.amazonaws.com"
    for part, service in runs.items():
        [trusted] = BY_FUNCTION.trust(part)
        assert trusted["Principal"] == {"Service": service}
        assert (trusted["Effect"], trusted["Action"]) == ("Allow", "sts:AssumeRole")


# --- the way to the table -------------------------------------------------------------------


def test_the_endpoint_of_the_network_leads_to_these_tables_alone() -> None:
    service = deployed(RouteTableIds=["rtb-1"]).template
    bounds = service.properties("Gateway")["PolicyDocument"]["Statement"]

    def may(request: Request) -> bool:
        everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
        return decide(request, everything, bounds=bounds) is Decision.ALLOWED

    for own in (
        on_table("Query", TABLE),
        on_table("Query", TABLE, "GSI1"),
        on_table("Query", SYSTEM),
    ):
        assert may(own)
        plain = {**own.context, "aws:SecureTransport": ("false",)}
        assert not may(Request(own.action, own.resource, context=plain))
        foreign = {**own.context, "aws:PrincipalAccount": ("111111111111",)}
        assert not may(Request(own.action, own.resource, context=foreign))
    assert not may(on_table("Query", "somebody-elses"))
    assert "Gateway" not in SERVICE.template.resources
