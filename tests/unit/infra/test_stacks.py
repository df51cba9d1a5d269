"""How the stacks go together, and that what they make is encrypted."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.support.iam import Decision, Request, decide
from tests.support.stacks import (
    ENVIRONMENTS,
    EVERYTHING,
    FUNCTION,
    dax,
    events,
    service,
    watch,
)
from tests.support.templates import Template, load, names

ORDER = ("template.yaml", "events.yaml", "service.yaml", "watch.yaml", "dax.yaml")
# What whoever deploys has of their own.
OWN = """VpcId VpcCidr PublicSubnetIds PrivateSubnetIds CertificateArn Image JwksUrl""".split()


def all_of_them(**parameters: Any) -> list[Template]:
    return [
        Template("template.yaml", {"OwnKey": "true", **parameters}),
        events(**EVERYTHING, **parameters),
        service(**FUNCTION, RouteTableIds=["rtb-1"], **parameters),
        watch(Reactions="function", **parameters),
        dax(**parameters),
    ]


# --- how the stacks go together -------------------------------------------------------------


def test_every_template_is_looked_at_here() -> None:
    assert sorted(ORDER) == names()


@pytest.mark.parametrize("name", ORDER)
def test_every_stack_is_of_a_project_and_an_environment(name: str) -> None:
    parameters = load(name)["Parameters"]
    assert parameters["Project"]["Default"] == "cartograph"
    assert parameters["Environment"]["AllowedValues"] == list(ENVIRONMENTS)


@pytest.mark.parametrize("name", ORDER)
def test_what_a_stack_must_be_told_an_earlier_one_puts_out(name: str) -> None:
    """Under the same name, so that the one can be handed on as the other."""
    earlier = ORDER[: ORDER.index(name)]
    outputs = set(itertools.chain(*(load(each).get("Outputs", ()) for each in earlier)))
    wanted = {key for key, one in load(name)["Parameters"].items() if "Default" not in one}
    assert wanted - set(OWN) <= outputs


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_stack_refers_to_what_it_does_not_make(environment: str) -> None:
    plain = [events(), service(MailFrom=""), watch(), Template("template.yaml")]
    for template in [*all_of_them(Environment=environment), *plain]:
        assert template.resources
        assert template.outputs or template.name == "watch.yaml"
        assert template.broken_rules() == []


def test_what_costs_carries_the_tags_that_the_budget_goes_by() -> None:
    tags = {"project": "cartograph", "environment": "dev"}
    both = watch().properties("Budget")["Budget"]["FilterExpression"]["And"]
    assert {one["Tags"]["Key"]: one["Tags"]["Values"] for one in both} == {
        name: [value] for name, value in tags.items()
    }
    costly = """DynamoDB::GlobalTable SQS::Queue SNS::Topic KMS::Key Kinesis::Stream S3::Bucket
        KinesisFirehose::DeliveryStream ElasticLoadBalancingV2::LoadBalancer DAX::Cluster
        ElastiCache::ReplicationGroup ECS::Service ECS::TaskDefinition Lambda::Function""".split()
    for kind in costly:
        made = [one for each in all_of_them() for one in each.of_type(kind).values()]
        assert made
        for one in made:
            for holder in one.get("Replicas", [one]):
                found = holder["Tags"]
                if isinstance(found, list):
                    found = {tag["Key"]: tag["Value"] for tag in found}
                assert found == tags


# --- encrypted where it lies and where it goes ----------------------------------------------


def test_what_lies_is_encrypted() -> None:
    found = events(**EVERYTHING)
    assert all(one["SqsManagedSseEnabled"] for one in found.of_type("SQS::Queue").values())
    assert {one["KmsMasterKeyId"] for one in found.of_type("SNS::Topic").values()} == {"TopicsKey"}
    assert found.properties("TopicsKey")["EnableKeyRotation"] is True
    [stream] = found.of_type("Kinesis::Stream").values()
    assert stream["StreamEncryption"]["EncryptionType"] == "KMS"
    [bucket] = found.of_type("S3::Bucket").values()
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert service().properties("Broker")["AtRestEncryptionEnabled"] is True
    assert dax().properties("Cache")["SSESpecification"] == {"SSEEnabled": True}


def policies(found: Template) -> dict[str, list[dict[str, Any]]]:
    """The statements of each resource that has a policy of its own, by its name."""
    places = {
        "SQS::QueuePolicy": "Queues",
        "SNS::TopicPolicy": "Topics",
        "S3::BucketPolicy": "Bucket",
    }
    guarded: dict[str, list[dict[str, Any]]] = {}
    for kind, place in places.items():
        for policy in found.of_type(kind).values():
            names = policy[place] if isinstance(policy[place], list) else [policy[place]]
            guarded |= dict.fromkeys(names, policy["PolicyDocument"]["Statement"])
    return guarded


@pytest.mark.parametrize(
    ("kind", "action", "where"),
    [
        ("SQS::Queue", "sqs:SendMessage", "{}.Arn"),
        ("SNS::Topic", "sns:Publish", "{}"),
        ("S3::Bucket", "s3:PutObject", "{}.Arn/key"),
    ],
)
def test_every_queue_topic_and_bucket_refuses_plain_http(
    kind: str, action: str, where: str
) -> None:
    found = events(**EVERYTHING)
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]

    def asked(name: str, secure: str) -> Decision:
        request = Request(action, where.format(name), context={"aws:SecureTransport": (secure,)})
        return decide(request, everything, resource=policies(found)[name])

    assert found.of_type(kind)
    for name in found.of_type(kind):
        assert asked(name, "false") is Decision.DENIED, name
        assert asked(name, "true") is Decision.ALLOWED, name


def test_what_goes_to_the_broker_the_cache_and_the_clients_is_encrypted() -> None:
    broker = service().properties("Broker")
    assert (broker["TransitEncryptionEnabled"], broker["TransitEncryptionMode"]) == (
        True,
        "required",
    )
    assert service().properties("BrokerUrl")["SecretString"].startswith("rediss://")
    assert dax().properties("Cache")["ClusterEndpointEncryptionType"] == "TLS"
    assert service().properties("HttpsListener")["SslPolicy"].startswith("ELBSecurityPolicy-TLS13")
    [redirect] = service().properties("HttpListener")["DefaultActions"]
    assert redirect["RedirectConfig"]["Protocol"] == "HTTPS"
    assert events(**EVERYTHING).properties("MailSet")["DeliveryOptions"] == {"TlsPolicy": "REQUIRE"}


# --- the cache ------------------------------------------------------------------------------


def test_the_cache_has_three_nodes_and_forgets_after_half_a_minute() -> None:
    cache = dax().properties("Cache")
    assert cache["ReplicationFactor"] == 3
    assert load("dax.yaml")["Parameters"]["Nodes"]["MinValue"] == 3
    kept = dax().properties("CacheParameters")["ParameterNameValues"]
    assert kept == {"record-ttl-millis": "30000", "query-ttl-millis": "30000"}


def test_the_cache_reads_and_writes_nothing() -> None:
    [policy] = dax().properties("CacheRole")["Policies"]
    actions = {
        one
        for each in policy["PolicyDocument"]["Statement"]
        for one in [each["Action"]]
        if isinstance(one, str)
    }
    [several] = [
        one["Action"]
        for one in policy["PolicyDocument"]["Statement"]
        if isinstance(one["Action"], list)
    ]
    assert actions | set(several) == {
        f"dynamodb:{name}" for name in ("DescribeTable", "BatchGetItem", "GetItem", "Query")
    }
