"""What clients ask of AWS, as IAM sees it: each call as the requests that a role has to allow.

"Actions, resources, and condition keys" of the Service Authorization Reference, for DynamoDB, SQS,
SNS, SES and S3. Of DynamoDB's Developer Guide: "Using IAM with DynamoDB transactions", each action
of a transaction is a request of its own; "Using IAM with DynamoDB backup and restore", who restores
has to be allowed to read and write the new table; "Requesting a table export in DynamoDB", what is
exported is written in the name of who asks for it; "IAM security policies with PartiQL".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parseaddr
from typing import Any

from datasources.keys import partition_attribute
from datasources.operating.partiql import parse
from tests.support.iam import Request
from tests.support.templates import ACCOUNT, REGION

_TRANSACTED = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
# Of whoever restores, on the new table.
_RESTORED = """BatchWriteItem DeleteItem GetItem PutItem Query Scan UpdateItem""".split()
_SECURE = {"aws:SecureTransport": ("true",), "aws:PrincipalAccount": (ACCOUNT,)}


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def table_arn(name: str, index: str | None = None) -> str:
    return arn("dynamodb", f"table/{name}" + (f"/index/{index}" if index else ""))


class Recorder:
    """The requests of the clients that it listens to, in their order. `by` is who is asking now:
    requests that nobody is named for are those of the test itself, and not kept."""

    def __init__(self) -> None:
        self.requests: dict[str, list[Request]] = {}
        self._by: str | None = None
        self._stream = ""  # the one that was described last

    @contextmanager
    def by(self, role: str) -> Iterator[None]:
        before, self._by = self._by, role
        try:
            yield
        finally:
            self._by = before

    def listen(self, client: Any, role: str | None = None) -> None:
        """To one client, always of `role` if one is named."""
        service = client.meta.service_model.service_id.hyphenize()
        events = client.meta.events
        if service in {"dynamodb", "dynamodb-streams"}:  # these skip botocore's other events
            events.register(f"before-call.{service}", self._called(role))
        else:
            events.register(f"provide-client-params.{service}", self._to_call(role))

    def _called(self, role: str | None) -> Callable[..., None]:
        def called(model: Any, params: Mapping[str, Any], **_: Any) -> None:
            call = json.loads(params["body"])
            self._stream = call.get("StreamArn", self._stream)
            self._keep(role, requests_of(model.name, call, self._stream))

        return called

    def _to_call(self, role: str | None) -> Callable[..., None]:
        def to_call(params: Mapping[str, Any], model: Any, **_: Any) -> None:
            self._keep(role, requests_of(model.name, params))

        return to_call

    def _keep(self, role: str | None, requests: list[Request]) -> None:
        if by := role or self._by:
            self.requests.setdefault(by, []).extend(requests)


def requests_of(operation: str, call: Mapping[str, Any], stream: str = "") -> list[Request]:
    """Raises KeyError for an operation that is not known here. `stream` is the one that an iterator
    is of, which does not say it here."""
    match operation:
        case "BatchGetItem" | "BatchWriteItem":
            return [
                on_table(operation, name, keys=_batched(part))
                for name, part in call["RequestItems"].items()
            ]
        case "TransactWriteItems":
            return [
                on_table(
                    _TRANSACTED[kind], body["TableName"], keys=[_partition(body)], within=operation
                )
                for entry in call["TransactItems"]
                for kind, body in entry.items()
            ]
        case "Query":
            index = call.get("IndexName")
            return [on_table(operation, call["TableName"], index, keys=[_asked_for(call)])]
        case "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem":
            return [on_table(operation, call["TableName"], keys=[_partition(call)])]
        case (
            "DescribeTable"
            | "CreateTable"
            | "UpdateTable"
            | "DescribeTimeToLive"
            | "UpdateTimeToLive"
            | "DescribeContinuousBackups"
            | "UpdateContinuousBackups"
            | "CreateBackup"
        ):
            return [on_table(operation, call["TableName"])]
        case "ListBackups":  # of no resource
            return [Request("dynamodb:ListBackups", "*", context=_SECURE)]
        case "DescribeBackup":
            return [Request("dynamodb:DescribeBackup", call["BackupArn"], context=_SECURE)]
        case "RestoreTableFromBackup":
            into, action = call["TargetTableName"], f"dynamodb:{operation}"
            of = Request(action, call["BackupArn"], context=_SECURE)
            return [of, on_table(operation, into), *(on_table(one, into) for one in _RESTORED)]
        case "RestoreTableToPointInTime":
            into = call["TargetTableName"]
            of = on_table(operation, call["SourceTableName"])
            return [of, *(on_table(one, into) for one in _RESTORED)]
        case "ExportTableToPointInTime":
            folder = "/".join(filter(None, (call.get("S3Prefix"), "AWSDynamoDB/1-2/_started")))
            written = ("PutObject", "PutObjectAcl", "AbortMultipartUpload")
            export = Request(f"dynamodb:{operation}", call["TableArn"], context=_SECURE)
            return [export, *(on_object(one, call["S3Bucket"], folder) for one in written)]
        case "DescribeExport":
            return [Request("dynamodb:DescribeExport", call["ExportArn"], context=_SECURE)]
        case "ExecuteStatement":
            return [selecting(call["Statement"])]
        case "GetObject":
            return [on_object(operation, call["Bucket"], call["Key"])]
        case "DescribeStream" | "GetShardIterator":
            return [Request(f"dynamodb:{operation}", call["StreamArn"], context=_SECURE)]
        case "GetRecords":
            return [Request("dynamodb:GetRecords", stream, context=_SECURE)]
        case "SendMessage" | "ReceiveMessage" | "DeleteMessage" | "ChangeMessageVisibility":
            queue = call["QueueUrl"].rpartition("/")[2]
            return [Request(f"sqs:{operation}", arn("sqs", queue), context=_SECURE)]
        case "Publish":
            return [Request("sns:Publish", call["TopicArn"], context=_SECURE)]
        case "SendEmail":
            address = parseaddr(call["FromEmailAddress"])[1]
            identity = arn("ses", f"identity/{address.rpartition('@')[2]}")
            return [
                Request(
                    "ses:SendEmail", identity, context=_SECURE | {"ses:FromAddress": (address,)}
                )
            ]
    raise KeyError(operation)


def on_table(
    operation: str,
    table: str,
    index: str | None = None,
    *,
    keys: list[str] | None = None,
    within: str | None = None,
    region: str = REGION,
) -> Request:
    """On a table or an index; `keys` are the partition keys, `within` the enclosing operation."""
    context: dict[str, tuple[str, ...]] = {**_SECURE}
    if keys is not None:
        context["dynamodb:LeadingKeys"] = tuple(dict.fromkeys(keys))
    if within:
        context["dynamodb:EnclosingOperation"] = (within,)
    resource = table_arn(table, index).replace(REGION, region)
    return Request(f"dynamodb:{operation}", resource, context=context)


def on_object(operation: str, bucket: str, key: str, *, owner: str = ACCOUNT) -> Request:
    """In S3; `owner` is the account that the bucket is of."""
    context = {**_SECURE, "aws:ResourceAccount": (owner,)}
    return Request(f"s3:{operation}", f"arn:aws:s3:::{bucket}/{key}", context=context)


def selecting(statement: str) -> Request:
    """A SELECT of PartiQL, which reads everything unless it holds the partition key."""
    select = parse(statement)
    scans = partition_attribute(select.index) not in select.held
    context = {**_SECURE, "dynamodb:FullTableScan": (str(scans).lower(),)}
    return Request("dynamodb:PartiQLSelect", table_arn(select.table, select.index), context=context)


def _batched(part: Any) -> list[str]:
    """The partition keys of one table's part of a batch."""
    if isinstance(part, dict):
        return [key[partition_attribute(None)]["S"] for key in part["Keys"]]
    return [_partition(body) for entry in part for body in entry.values()]


def _partition(body: Mapping[str, Any]) -> str:
    row = body.get("Item") or body["Key"]
    key: str = row[partition_attribute(None)]["S"]
    return key


def _asked_for(call: Mapping[str, Any]) -> str:
    """The partition that a query is about."""
    name, equals, value = call["KeyConditionExpression"].split()[:3]
    attribute = call["ExpressionAttributeNames"][name]
    assert (attribute, equals) == (partition_attribute(call.get("IndexName")), "=")
    key: str = call["ExpressionAttributeValues"][value]["S"]
    return key
