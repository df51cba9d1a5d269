"""The stacks, deployed to the embedded store as far as it knows what is in them, and the service
run with the settings that they give it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from composition.store import TEMPLATE
from datasources import embedded
from datasources.client import Endpoint, new_session, open_client
from datasources.embedded import embedded_store
from datasources.operating.provision import check
from tests.conftest import CACHE, REGION
from tests.e2e.support import elsewhere, serving, until
from tests.e2e.test_process import rate, rating
from tests.support import items
from tests.support.roles import ANN, BOB
from tests.support.shop import TestShop
from tests.support.stacks import FUNCTION, GIVEN
from tests.support.templates import load

SERVICES = """cloudformation ec2 ecs elasticache elasticloadbalancing events firehose iam kinesis
    kms lambda logs pipes s3 secretsmanager sts""".split()
# What the store does not know, or not well enough; nor does it know alarms of several metrics.
UNKNOWN = """AWS::ApplicationAutoScaling::ScalableTarget AWS::ApplicationAutoScaling::ScalingPolicy
    AWS::EC2::SecurityGroupEgress AWS::ECS::Service""".split()
MAKING = "CREATE_IN_PROGRESS"
LONGEST = 60
SECRET = "a secret of thirty-two bytes or more"
OWN = {name: GIVEN[name] for name in ("CertificateArn", "Image", "JwksUrl", "MailFrom")}


@dataclass
class Account:
    """An account in the store; `outputs` are those of all stacks so far."""

    session: Any
    url: str
    stack: AsyncExitStack
    outputs: dict[str, str] = field(default_factory=dict)

    async def client(self, service: str) -> Any:
        return await self.stack.enter_async_context(
            self.session.client(service, endpoint_url=self.url)
        )

    async def deploy(self, template: str, **parameters: str) -> None:
        """A stack, told what earlier ones put out."""
        document = deepcopy(load(template))
        for name, resource in [*document["Resources"].items()]:
            if resource["Type"] in UNKNOWN:
                del document["Resources"][name]
        # AWS's queues are had by TLS.
        secure = {name: url.replace("http:", "https:") for name, url in self.outputs.items()}
        known = {**secure, **parameters}
        client, name = await self.client("cloudformation"), Path(template).stem
        await client.create_stack(
            StackName=name,
            TemplateBody=json.dumps(document),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": known[key]}
                for key in document["Parameters"]
                if key in known
            ],
        )
        async with asyncio.timeout(LONGEST):
            while True:
                stack = (await client.describe_stacks(StackName=name))["Stacks"][0]
                if stack["StackStatus"] != MAKING:
                    break
                await asyncio.sleep(0.05)
        events = (await client.describe_stack_events(StackName=name))["StackEvents"]
        reasons = [one.get("ResourceStatusReason") for one in events]
        assert stack["StackStatus"] == "CREATE_COMPLETE", reasons
        self.outputs |= {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", ())}

    async def network(self) -> dict[str, str]:
        """What a deployment of the service is told of the network."""
        ec2 = await self.client("ec2")
        network = (await ec2.create_vpc(CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
        subnets = [
            await ec2.create_subnet(
                VpcId=network, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{zone}"
            )
            for n, zone in enumerate("acac")
        ]
        names = [one["Subnet"]["SubnetId"] for one in subnets]
        routes = await ec2.create_route_table(VpcId=network)
        return {
            "VpcId": network,
            "VpcCidr": "10.0.0.0/16",
            "PublicSubnetIds": ",".join(names[:2]),
            "PrivateSubnetIds": ",".join(names[2:]),
            "RouteTableIds": routes["RouteTable"]["RouteTableId"],
        }

    async def settings(self, task: str) -> dict[str, str]:
        """What the container of a task is started with, names without their prefix."""
        ecs = await self.client("ecs")
        definition = await ecs.describe_task_definition(taskDefinition=f"cartograph-dev-{task}")
        container = definition["taskDefinition"]["containerDefinitions"][0]
        return {
            one["name"].removeprefix("CARTOGRAPH_"): one["value"]
            for one in container["environment"]
            if one.get("value")
        }

    async def subscribe(self, topic: str) -> str:
        """The URL of a new queue that gets what is published."""
        queues, topics = await self.client("sqs"), await self.client("sns")
        made = await queues.create_queue(QueueName="heard.fifo", Attributes={"FifoQueue": "true"})
        url: str = made["QueueUrl"]
        answer = await queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        await topics.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=answer["Attributes"]["QueueArn"]
        )
        return url

    async def hear(self, queue: str, kind: str) -> dict[str, Any]:
        """The first message of a kind that comes to the queue."""
        client = await self.client("sqs")
        async with asyncio.timeout(LONGEST):
            while True:
                found = await client.receive_message(QueueUrl=queue, WaitTimeSeconds=5)
                for one in found.get("Messages", ()):
                    message: dict[str, Any] = json.loads(json.loads(one["Body"])["Message"])
                    if message["type"] == kind:
                        return message
                    receipt = one["ReceiptHandle"]
                    await client.delete_message(QueueUrl=queue, ReceiptHandle=receipt)


@pytest.fixture
async def account(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Account]:
    monkeypatch.setattr(embedded, "SERVICES", (*embedded.SERVICES, *SERVICES))
    async with (
        embedded_store(
            cache_dir=CACHE, data_dir=None, region=REGION, report=lambda _line: None
        ) as url,
        AsyncExitStack() as stack,
    ):
        yield Account(new_session(Endpoint(REGION, url, local=True)), url, stack)


async def test_the_service_runs_over_what_was_deployed(account: Account, tmp_path: Path) -> None:
    """By the settings of its tasks, each tenant's rows by a session of its own; without a broker
    one process does what both of them do."""
    await account.deploy("template.yaml", OwnKey="true")
    await account.deploy("events.yaml", Pipe="true", Archive="true")
    await account.deploy("service.yaml", TenantsApart="true", **OWN, **await account.network())
    table = account.outputs["MainTableName"]
    async with open_client(Endpoint(REGION, account.url, local=True)) as client:
        await check(client, table, TEMPLATE)
        shop = TestShop(client, table, tenant="default")
        await shop.put(items.category("books", product_count=1), items.product(1, category="books"))
    queue = await account.subscribe(account.outputs["EventsTopicArn"])

    settings = await account.settings("processor") | await account.settings("service")
    assert settings["TABLE"] == table
    assert settings["TENANT_ROLE_ARN"] == account.outputs["TenantRoleArn"]
    for elsewhere_alone in ("STORE", "JWKS_URL", "MAIL_FROM"):
        del settings[elsewhere_alone]
    settings |= {"JWT_SECRET": SECRET, "SINK_ENDPOINT": account.url}
    settings["DEAD_LETTER_QUEUE"] = account.outputs["DeadLettersUrl"]
    with serving(elsewhere(tmp_path, account.url, **settings)) as service:
        product, expected = rate(service, stars=4)
        until(lambda: rating(service, product) == expected)
        assert (await account.hear(queue, "review-created"))["tenant"] == "default"


async def test_people_are_given_roles_with_the_tables(account: Account) -> None:
    people = f"{ANN},{BOB}"
    await account.deploy(
        "template.yaml",
        SupportPrincipals=people,
        OperatorPrincipals=BOB,
        ExportBucket="exports-of-cartograph",
    )
    iam = await account.client("iam")
    roles = {one["Arn"]: one for one in (await iam.list_roles())["Roles"]}
    support = roles[account.outputs["SupportRoleArn"]]
    [trusted] = support["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"AWS": people.split(",")}
    assert trusted["Condition"] == {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    operator = roles[account.outputs["OperatorRoleArn"]]["RoleName"]
    policies = (await iam.list_role_policies(RoleName=operator))["PolicyNames"]
    assert set(policies) == {"restoring", "mending", "exporting", "seeding", "redriving"}


async def test_the_function_is_deployed_with_its_mapping(account: Account) -> None:
    await account.deploy("template.yaml", BillingMode="PROVISIONED", Environment="prod")
    await account.deploy("events.yaml", Environment="prod", OrderedEvents="false")
    network = await account.network()
    await account.deploy("service.yaml", Environment="prod", **OWN, **FUNCTION, **network)
    functions = await account.client("lambda")
    [mapping] = (await functions.list_event_source_mappings())["EventSourceMappings"]
    assert mapping["EventSourceArn"] == account.outputs["MainTableStreamArn"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == 10_000
