"""The templates of `infra/`, told what a deployment has to tell them."""

from __future__ import annotations

from typing import Any

from tests.support.asked import arn, table_arn
from tests.support.templates import ACCOUNT, Template

ENVIRONMENTS = ("dev", "staging", "prod")

# What a deployment must be told, and has no default.
GIVEN: dict[str, Any] = {
    "MainTableStreamArn": f"{table_arn('cartograph-dev')}/stream/2026",
    "EventsTopicArn": arn("sns", "cartograph-dev-events.fifo"),
    "TopicsKeyArn": arn("kms", "key/topics"),
    "DeadLettersUrl": f"https://sqs.example/{ACCOUNT}/cartograph-dev-dead-letters",
    "DeadLettersArn": arn("sqs", "cartograph-dev-dead-letters"),
    "FailedBatchesArn": arn("sqs", "cartograph-dev-failed-batches"),
    "VpcId": "vpc-1",
    "VpcCidr": "10.0.0.0/16",
    "PublicSubnetIds": ["subnet-1", "subnet-2"],
    "PrivateSubnetIds": ["subnet-3", "subnet-4"],
    "CertificateArn": arn("acm", "certificate/1"),
    "Image": "registry.example/cartograph@sha256:1",
    "JwksUrl": "https://id.example/keys",
    "MailFrom": "shop@shop.example",
}
FUNCTION = {"Reactions": "function", "FunctionBucket": "code", "FunctionKey": "code.zip"}
# All that events.yaml has to offer.
EVERYTHING = {"Pipe": "true", "Archive": "true", "MailDomain": "shop.example"}


def events(**parameters: Any) -> Template:
    return Template(
        "events.yaml", {"MainTableStreamArn": GIVEN["MainTableStreamArn"], **parameters}
    )


def service(**parameters: Any) -> Template:
    return Template("service.yaml", {**GIVEN, **parameters})


def watch(**parameters: Any) -> Template:
    given = {"AlarmsTopicArn": "alarms", "BalancerName": "b", "TargetsName": "t", "BrokerName": "v"}
    return Template("watch.yaml", {**given, **parameters})


def dax(**parameters: Any) -> Template:
    given = {"VpcId": "vpc-1", "PrivateSubnetIds": ["subnet-1", "subnet-2", "subnet-3"]}
    return Template(
        "dax.yaml", {**given, "ServiceGroupId": "sg-1", "ApiRoleName": "api", **parameters}
    )


def containers(**parameters: Any) -> dict[str, dict[str, Any]]:
    """The containers of the service's tasks, by their names."""
    tasks = service(**parameters).of_type("ECS::TaskDefinition").values()
    return {one["Name"]: one for task in tasks for one in task["ContainerDefinitions"]}
