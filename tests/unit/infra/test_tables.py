"""The tables of `infra/template.yaml`: those of the code, kept as production wants them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from datasources import keys
from tests.support.asked import on_table, table_arn
from tests.support.iam import Decision, Request, decide
from tests.support.templates import REGION, Template

TABLES = ("MainTable", "SystemTable")
INDEXES = [keys.GSI1, keys.GSI2, keys.GSI3]
ABROAD = "eu-west-1"
KEY_ABROAD = f"arn:aws:kms:{ABROAD}:000000000000:key/mrk-1"
ENVIRONMENTS = ("dev", "staging", "prod")


def template(**parameters: Any) -> Template:
    return Template("template.yaml", parameters)


def tables(**parameters: Any) -> list[dict[str, Any]]:
    return [template(**parameters).properties(name) for name in TABLES]


def replicas(**parameters: Any) -> list[dict[str, Any]]:
    return [replica for table in tables(**parameters) for replica in table["Replicas"]]


def schema(index: str | None) -> list[dict[str, str]]:
    return [
        {"AttributeName": keys.partition_attribute(index), "KeyType": "HASH"},
        {"AttributeName": keys.sort_attribute(index), "KeyType": "RANGE"},
    ]


def attributes(*indexes: str | None) -> list[dict[str, str]]:
    return [
        {"AttributeName": part(index), "AttributeType": "S"}
        for index in indexes
        for part in (keys.partition_attribute, keys.sort_attribute)
    ]


# --- as the code has them -------------------------------------------------------------------


def test_the_main_table_has_the_keys_and_indexes_of_the_code() -> None:
    main, _ = tables()
    assert main["KeySchema"] == schema(None)
    assert main["AttributeDefinitions"] == attributes(None, *INDEXES)
    found = {one["IndexName"]: one for one in main["GlobalSecondaryIndexes"]}
    assert {name: one["KeySchema"] for name, one in found.items()} == {
        name: schema(name) for name in INDEXES
    }
    assert [found[name]["Projection"]["ProjectionType"] for name in INDEXES] == [
        "ALL",
        "ALL",
        "KEYS_ONLY",
    ]


def test_the_template_has_every_index_that_a_row_can_be_in() -> None:
    named = {name for name in vars(keys) if name.startswith("GSI")}
    assert named == set(INDEXES)


def test_the_system_table_has_the_same_key_and_no_index() -> None:
    _, system = tables()
    assert system["KeySchema"] == schema(None)
    assert system["AttributeDefinitions"] == attributes(None)
    assert "GlobalSecondaryIndexes" not in system


def test_the_main_table_alone_has_a_stream_with_both_images() -> None:
    main, system = tables()
    assert main["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert "StreamSpecification" not in system


def test_rows_expire_by_the_attribute_of_the_code() -> None:
    for table in tables():
        assert table["TimeToLiveSpecification"] == {"AttributeName": keys.TTL, "Enabled": True}


# --- as production wants them ---------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_table_is_encrypted_and_can_be_restored(environment: str) -> None:
    for table in tables(Environment=environment):
        assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
    for replica in replicas(Environment=environment, ReplicaRegion=ABROAD):
        recovery = replica["PointInTimeRecoverySpecification"]
        assert recovery == {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 35}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_production_protects_its_tables(environment: str) -> None:
    found = replicas(Environment=environment, ReplicaRegion=ABROAD)
    assert {one["DeletionProtectionEnabled"] for one in found} == {environment == "prod"}


def test_no_table_goes_with_its_stack() -> None:
    for name in TABLES:
        table = template().resources[name]
        assert table["DeletionPolicy"] == "RetainExceptOnCreate"
        assert table["UpdateReplacePolicy"] == "Retain"


def test_production_is_told_its_busiest_keys_and_others_on_request() -> None:
    def told(**parameters: Any) -> set[bool]:
        found = replicas(ReplicaRegion=ABROAD, **parameters)
        indexes = [*itertools.chain(*(one.get("GlobalSecondaryIndexes", ()) for one in found))]
        parts = [*found, *indexes]
        assert len(indexes) == 2 * len(INDEXES)
        return {one["ContributorInsightsSpecification"]["Enabled"] for one in parts}

    assert told() == {False}
    assert told(ContributorInsights="true") == told(Environment="prod") == {True}
    assert told(Environment="prod", BillingMode="PROVISIONED") == {True}


def test_a_key_of_our_own_is_rotated_and_outlives_the_stack() -> None:
    found = template(OwnKey="true")
    assert found.properties("TableKey")["EnableKeyRotation"] is True
    assert found.properties("TableKey")["MultiRegion"] is True
    assert found.resources["TableKey"]["DeletionPolicy"] == "Retain"
    for table in TABLES:
        [replica] = found.properties(table)["Replicas"]
        assert replica["SSESpecification"] == {"KMSMasterKeyId": "TableKey.Arn"}
    assert found.outputs["TableKeyArn"] == "TableKey.Arn"
    assert "TableKey" not in template().resources
    assert not any("SSESpecification" in one for one in replicas())


def test_our_own_key_is_used_through_the_table_alone() -> None:
    policy = template(OwnKey="true").properties("TableKey")["KeyPolicy"]["Statement"]

    def may(account: str, via: str) -> bool:
        context = {"kms:CallerAccount": (account,), "kms:ViaService": (via,)}
        principal = f"arn:aws:iam::{account}:role/any"
        request = Request("kms:Decrypt", "key", principal, context)
        return decide(request, [], resource=policy) is Decision.ALLOWED

    other = "111111111111"
    assert may("000000000000", f"dynamodb.{REGION}.amazonaws.com")
    assert not may(other, f"dynamodb.{REGION}.amazonaws.com")
    assert not may(other, f"s3.{REGION}.amazonaws.com")
    [_, through] = policy
    alone = Request("kms:Decrypt", "key", "arn:aws:iam::000000000000:role/any")
    assert decide(alone, [], resource=[through]) is Decision.NOT_ALLOWED


# --- capacity -------------------------------------------------------------------------------


def scaling(unit: str, node: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = node[f"{unit}ProvisionedThroughputSettings"]
    settings: dict[str, Any] = found[f"{unit}CapacityAutoScalingSettings"]
    return settings


def test_a_provisioned_table_is_scaled_and_so_is_each_index_both_ways() -> None:
    sizes = {"MinReadUnits": 1, "MaxReadUnits": 2, "MinWriteUnits": 3, "MaxWriteUnits": 4}
    goal = {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 60}}
    reads = {"MinCapacity": 1, "MaxCapacity": 2, **goal}
    writes = {"MinCapacity": 3, "MaxCapacity": 4, **goal}
    for table in tables(BillingMode="PROVISIONED", Utilization=60, ReplicaRegion=ABROAD, **sizes):
        names = [one["IndexName"] for one in table.get("GlobalSecondaryIndexes", ())]
        for part in (table, *table.get("GlobalSecondaryIndexes", ())):
            assert scaling("Write", part) == writes
        for replica in table["Replicas"]:
            found = replica.get("GlobalSecondaryIndexes", [])
            assert [one["IndexName"] for one in found] == names
            for part in (replica, *found):
                assert scaling("Read", part) == reads


def test_on_demand_nothing_is_provisioned() -> None:
    for table in tables(ReplicaRegion=ABROAD):
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert "ProvisionedThroughput" not in str(table)


def test_the_class_of_the_main_table_can_be_chosen() -> None:
    main, _ = tables(TableClass="STANDARD_INFREQUENT_ACCESS", ReplicaRegion=ABROAD)
    assert {one["TableClass"] for one in main["Replicas"]} == {"STANDARD_INFREQUENT_ACCESS"}


# --- other Regions, and the archive ---------------------------------------------------------


def test_a_table_has_one_replica_its_own_unless_another_is_asked_for() -> None:
    assert [one["Region"] for one in replicas()] == [REGION, REGION]
    main, system = tables(ReplicaRegion=ABROAD)
    assert [one["Region"] for one in main["Replicas"]] == [REGION, ABROAD]
    assert [one["Region"] for one in system["Replicas"]] == [REGION]


def test_a_replica_is_encrypted_as_the_table_is() -> None:
    assert template(ReplicaRegion=ABROAD, OwnKey="true").broken_rules() != []
    parameters = {"ReplicaRegion": ABROAD, "OwnKey": "true", "ReplicaKeyArn": KEY_ABROAD}
    assert (
        template(**parameters).broken_rules() == template(ReplicaRegion=ABROAD).broken_rules() == []
    )
    main, _ = tables(**parameters)
    assert main["Replicas"][1]["SSESpecification"] == {"KMSMasterKeyId": KEY_ABROAD}


def test_every_change_goes_to_the_archive_where_there_is_one() -> None:
    main, _ = tables(ArchiveStreamArn="arn:aws:kinesis:x")
    [replica] = main["Replicas"]
    assert replica["KinesisStreamSpecification"]["StreamArn"] == "arn:aws:kinesis:x"
    assert not any("KinesisStreamSpecification" in one for one in replicas())


# --- TLS ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        on_table("Query", "cartograph-dev"),
        on_table("Query", "cartograph-dev", "GSI1"),
        on_table("PutItem", "cartograph-dev-system"),
        Request("dynamodb:GetRecords", f"{table_arn('cartograph-dev')}/stream/2026"),
        on_table("Query", "cartograph-dev", region=ABROAD),
    ],
    ids=lambda request: request.resource,
)
def test_plain_http_is_refused_whoever_asks(request_: Request) -> None:
    found = tables(ReplicaRegion=ABROAD)
    policies = [replica["ResourcePolicy"] for table in found for replica in table["Replicas"]]
    policies.append(found[0]["Replicas"][0]["ReplicaStreamSpecification"]["ResourcePolicy"])
    statements = [one for each in policies for one in each["PolicyDocument"]["Statement"]]
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]

    def asked(secure: str) -> Decision:
        context = {"aws:SecureTransport": (secure,)}
        asking = Request(request_.action, request_.resource, context=context)
        return decide(asking, everything, resource=statements)

    assert (asked("false"), asked("true")) == (Decision.DENIED, Decision.ALLOWED)
