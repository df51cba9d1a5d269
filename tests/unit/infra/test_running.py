"""What runs on AWS, and what follows the stream there."""

from __future__ import annotations

import json
from typing import Any

import pytest

import settings
from schema.live.websocket import SocketLimits
from schema.serving.server import ENDING
from tests.support.stacks import (
    ENVIRONMENTS,
    EVERYTHING,
    FUNCTION,
    GIVEN,
    containers,
    events,
    service,
)
from tests.support.templates import REGION


def given_to(container: dict[str, Any]) -> dict[str, str]:
    named = [*container["Environment"], *container["Secrets"]]
    return {one["Name"]: str(one.get("Value", one.get("ValueFrom"))) for one in named}


@pytest.mark.parametrize("name", ["service", "processor"])
def test_a_task_is_started_with_settings_that_there_are(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = given_to(containers()[name]) | {
        "CARTOGRAPH_CURSOR_KEYS": "a key of sixteen or more",
        "CARTOGRAPH_REDIS_URL": "rediss://:secret@broker:6379/0",
    }
    for variable, value in values.items():
        monkeypatch.setenv(variable, value)
    loaded = settings.load()
    assert (loaded.store, loaded.table) == ("aws", "cartograph-dev")
    assert loaded.introspection is loaded.graphiql is False


def test_the_service_is_told_of_the_tenants_role_and_of_dax_where_it_is_to_use_them() -> None:
    names = ("CARTOGRAPH_TENANT_ROLE_ARN", "CARTOGRAPH_DAX_ENDPOINT")

    def told(**parameters: str) -> list[str]:
        given = given_to(containers(**parameters)["service"])
        return [given[name] for name in names]

    cache = "daxs://cartograph-dev.abc.dax-clusters.ap-northeast-1.amazonaws.com"
    assert told() == ["", ""]
    assert told(TenantsApart="true") == ["TenantRole.Arn", ""]
    assert told(DaxEndpoint=cache) == ["", cache]
    assert service(DaxEndpoint=cache).broken_rules() == []
    assert len(service(DaxEndpoint=cache, TenantsApart="true").broken_rules()) == 1
    assert set(names).isdisjoint(given_to(containers()["processor"]))


def test_the_cache_is_had_on_request_and_emptied_by_the_processor_that_knows_its_size() -> None:
    def told(container: str, **parameters: Any) -> list[str | None]:
        given = given_to(containers(**parameters)[container])
        return [given.get(name) for name in ("CARTOGRAPH_CACHE", "CARTOGRAPH_CACHE_ITEMS")]

    items = str(settings.Settings.model_fields["cache_items"].default)
    assert (told("service"), told("processor")) == (["false", items], [None, items])
    given = {"Cache": "true", "CacheItems": 5_000}
    assert told("service", **given) == ["true", "5000"]
    assert told("processor", **given) == [None, "5000"]
    assert service(**given).broken_rules() == []
    assert len(service(Cache="true", DaxEndpoint="daxs://cluster").broken_rules()) == 1


@pytest.mark.parametrize("apart", ["true", "false"])
def test_a_task_starts_when_it_has_its_permissions(apart: str) -> None:
    found = service(TenantsApart=apart)
    named = containers(TenantsApart=apart)["service"]["DockerLabels"]["rows"]
    waits = {*found.document["Resources"]["Service"]["DependsOn"], named}
    granting = found.of_type("IAM::Policy").items()
    assert waits >= {name for name, one in granting if "ApiRole" in one["Roles"]}


def test_secrets_are_fetched_and_not_written_down() -> None:
    for name in ("service", "processor"):
        container = containers()[name]
        assert {one["Name"]: one["ValueFrom"] for one in container["Secrets"]} == {
            "CARTOGRAPH_CURSOR_KEYS": "CursorKeys",
            "CARTOGRAPH_REDIS_URL": "BrokerUrl",
        }
    assert containers()["service"]["Secrets"]
    generated = [service().properties(name) for name in ("CursorKeys", "BrokerPassword")]
    assert all(one["GenerateSecretString"]["PasswordLength"] >= 48 for one in generated)


@pytest.mark.parametrize("name", ["service", "processor"])
def test_our_containers_run_as_nobody_and_write_nowhere(name: str) -> None:
    container = containers()[name]
    assert container["User"] == "10001"
    assert container["ReadonlyRootFilesystem"] is True
    assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    assert ENDING < container["StopTimeout"] <= 120
    assert "/healthz" in container["HealthCheck"]["Command"][-1]


def test_the_load_balancer_leaves_quiet_websockets_open_and_shows_graphql_alone() -> None:
    found = service()
    attributes = {
        one["Key"]: one["Value"] for one in found.properties("Balancer")["LoadBalancerAttributes"]
    }
    assert int(attributes["idle_timeout.timeout_seconds"]) > 2 * SocketLimits().ping
    [rule] = found.of_type("ElasticLoadBalancingV2::ListenerRule").values()
    assert rule["Conditions"][0]["PathPatternConfig"] == {"Values": ["/graphql"]}
    assert rule["Actions"] == [{"Type": "forward", "TargetGroupArn": "Targets"}]
    [otherwise] = found.properties("HttpsListener")["DefaultActions"]
    assert otherwise["FixedResponseConfig"]["StatusCode"] == "404"


def test_the_load_balancer_alone_reaches_those_who_serve() -> None:
    [way] = service().properties("ServiceGroup")["SecurityGroupIngress"]
    assert way["SourceSecurityGroupId"] == "BalancerGroup.GroupId"
    assert given_to(containers()["service"])["CARTOGRAPH_TRUSTED_PROXIES"] == GIVEN["VpcCidr"]
    for name in ("Service", "Processor"):
        network = service().properties(name)["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == "DISABLED"
        assert network["Subnets"] == GIVEN["PrivateSubnetIds"]


def test_the_broker_is_one_server_that_evicts_nothing() -> None:
    found = service(Environment="prod")
    parameters = found.properties("BrokerParameters")
    assert parameters["Properties"] == {"maxmemory-policy": "noeviction"}
    broker = found.properties("Broker")
    assert broker["Engine"] == "valkey"
    assert "NumNodeGroups" not in broker


def test_production_outlives_a_zone() -> None:
    def broker(environment: str) -> list[Any]:
        found = service(Environment=environment).properties("Broker")
        return [
            found[name]
            for name in ("NumCacheClusters", "AutomaticFailoverEnabled", "MultiAZEnabled")
        ]

    assert (broker("dev"), broker("prod")) == ([1, False, False], [2, True, True])
    counts = {
        name: service(Environment=name).properties("Processor")["DesiredCount"]
        for name in ENVIRONMENTS
    }
    assert counts == {"dev": 1, "staging": 1, "prod": 2}
    assert service(Environment="prod").properties("Service")["DesiredCount"] == 2


def test_there_are_as_many_tasks_as_asked_for_and_bad_ones_do_not_replace_good_ones() -> None:
    found = service(MinTasks=3, MaxTasks=7)
    assert found.properties("Service")["DesiredCount"] == 3
    scaling = found.properties("ServiceScaling")
    assert (scaling["MinCapacity"], scaling["MaxCapacity"]) == (3, 7)
    for name in ("Service", "Processor"):
        deployment = found.properties(name)["DeploymentConfiguration"]
        assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert deployment["MinimumHealthyPercent"] == 100


def test_the_tables_are_reached_within_the_network_by_the_routes_that_are_told() -> None:
    gateway = service(RouteTableIds=["rtb-1", "rtb-2"]).properties("Gateway")
    assert gateway["VpcEndpointType"] == "Gateway"
    assert gateway["RouteTableIds"] == ["rtb-1", "rtb-2"]
    assert gateway["ServiceName"] == f"com.amazonaws.{REGION}.dynamodb"


# --- what follows the stream ----------------------------------------------------------------


def test_the_function_gives_up_a_batch_only_when_nothing_else_is_left() -> None:
    mapping = service(**FUNCTION).properties("FunctionMapping")
    assert mapping["EventSourceArn"] == GIVEN["MainTableStreamArn"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == 10_000
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    # Put aside before the stream forgets them after a day.
    assert 20 * 3_600 < mapping["MaximumRecordAgeInSeconds"] < 24 * 3_600
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": GIVEN["FailedBatchesArn"]}}


def test_with_a_function_the_processor_does_not_react() -> None:
    assert given_to(containers()["processor"])["CARTOGRAPH_REACTIONS"] == "true"
    assert given_to(containers(**FUNCTION)["processor"])["CARTOGRAPH_REACTIONS"] == "false"
    assert "Function" not in service().resources


def test_the_function_is_told_the_same_as_the_processor() -> None:
    told = service(**FUNCTION).properties("Function")["Environment"]["Variables"]
    processors = given_to(containers(**FUNCTION)["processor"])
    assert {name: str(value) for name, value in told.items()}.items() <= processors.items()
    assert "CARTOGRAPH_DEAD_LETTER_QUEUE" in told


def test_a_function_needs_its_code() -> None:
    assert len(service(Reactions="function").broken_rules()) == 2
    assert service(**FUNCTION).broken_rules() == []


def test_a_stream_has_two_readers_at_most() -> None:
    assert events(Pipe="true", Reactions="function").broken_rules() != []
    assert events(Pipe="true").broken_rules() == []


def test_the_pipe_tells_which_row_changed_and_not_what_it_holds() -> None:
    pipe = events(**EVERYTHING).properties("ChangesPipe")
    assert "Image" not in pipe["TargetParameters"]["InputTemplate"]
    [one] = pipe["SourceParameters"]["FilterCriteria"]["Filters"]
    wanted = json.loads(one["Pattern"])["dynamodb"]["Keys"]["SK"]["S"]
    assert "UNIQUE" not in wanted  # whose partition keys are addresses and names


def test_what_the_pipe_cannot_tell_is_made_smaller_and_then_put_aside() -> None:
    source = events(**EVERYTHING).properties("ChangesPipe")["SourceParameters"]
    stream = source["DynamoDBStreamParameters"]
    assert stream["OnPartialBatchItemFailure"] == "AUTOMATIC_BISECT"
    assert stream["DeadLetterConfig"] == {"Arn": "FailedBatches.Arn"}
    assert 20 * 3_600 < stream["MaximumRecordAgeInSeconds"] < 24 * 3_600


def test_letters_wait_for_two_weeks_and_then_for_as_long_out_of_the_way() -> None:
    found = events()
    for name in ("DeadLetters", "HopelessLetters", "FailedBatches"):
        assert found.properties(name)["MessageRetentionPeriod"] == 14 * 24 * 3_600
    redrive = found.properties("DeadLetters")["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == "HopelessLetters.Arn"
    assert 5 <= redrive["maxReceiveCount"] <= 50
    allowed = found.properties("HopelessLetters")["RedriveAllowPolicy"]["sourceQueueArns"]
    assert [one.rpartition(":")[2] for one in allowed] == [
        found.properties("DeadLetters")["QueueName"]
    ]


def test_the_archive_is_kept_for_as_long_as_it_is_asked_for() -> None:
    bucket = events(Archive="true", ArchiveDays=500).properties("ArchiveBucket")
    [rule] = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 500
    archiver = events(Archive="true").properties("Archiver")
    read = archiver["KinesisStreamSourceConfiguration"]
    written = archiver["ExtendedS3DestinationConfiguration"]
    assert read["KinesisStreamARN"] == "ArchiveStream.Arn"
    assert written["BucketARN"] == "ArchiveBucket.Arn"
    [lines] = written["ProcessingConfiguration"]["Processors"]
    assert lines["Type"] == "AppendDelimiterToRecord"
    assert lines["Parameters"] == [{"ParameterName": "Delimiter", "ParameterValue": "\\n"}]
    assert "ArchiveBucket" not in events().resources


def test_mails_of_the_domain_go_by_its_set_which_tells_what_came_back() -> None:
    found = events(**EVERYTHING)
    identity = found.properties("MailIdentity")
    assert identity["ConfigurationSetAttributes"] == {"ConfigurationSetName": "MailSet"}
    told = found.properties("MailFeedback")["EventDestination"]
    assert {"bounce", "complaint"} <= set(told["MatchingEventTypes"])
    assert "MailSet" not in events().resources
    suppressed = found.properties("MailSet")["SuppressionOptions"]["SuppressedReasons"]
    assert set(suppressed) == {"BOUNCE", "COMPLAINT"}
