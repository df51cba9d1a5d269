"""A client of DynamoDB or its streams whose hot operations skip what botocore does anew for every
call.

Two steps, both by the client's public event, such as `before-call.dynamodb`. The first call of an
operation goes through aioboto3 as far as that event, where its endpoint and headers are remembered;
every further one is made from them and goes straight to the event. In both cases a handler there
answers the call. Whoever registers for that event sees each request before and may answer it; those
that botocore has registered for calls of any service come behind, since they have nothing to add
here and cost more than a signature.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from datasources.fast.codec import PROTOCOL, decode, encode
from datasources.fast.connections import Answer, address
from datasources.fast.signing import Signer
from datasources.fast.transport import Transport

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials
    from botocore.model import OperationModel

# By the name that a service has in events.
_METHODS = {
    "dynamodb": {
        "BatchGetItem": "batch_get_item",
        "BatchWriteItem": "batch_write_item",
        "GetItem": "get_item",
        "PutItem": "put_item",
        "Query": "query",
        "TransactWriteItems": "transact_write_items",
        "UpdateItem": "update_item",
    },
    "dynamodb-streams": {"GetRecords": "get_records"},
}

Method = Callable[..., Awaitable[dict[str, Any]]]

_FORM = "cartograph_form"  # of rows, in the context of a request


class RefreshingCredentials(Protocol):
    """What is used of aiobotocore's credentials, which renew themselves."""

    async def get_frozen_credentials(self) -> ReadOnlyCredentials: ...


def typed(client: Any, name: str, form: type[Struct]) -> Method:
    """A method of a client of DynamoDB which, where the client can, gives rows in a form."""
    of_form = getattr(client, "typed", None)
    method: Method = of_form(name, form) if of_form else getattr(client, name)
    return method


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What aioboto3 made of the first call of an operation, as its event shows it. `tokens` are
    the parameters that botocore makes up where they are not given."""

    model: OperationModel
    tokens: AbstractSet[str]
    request: Mapping[str, Any]
    signer: Any
    context: Mapping[str, Any]


class FastClient:
    """Has every method and attribute of the aioboto3 client it stands for; only that the rows of
    BatchGetItem and Query come as JSON, which `datasources.rows.stored` reads as well.

    A table is given by name, not by ARN: the endpoint is the same for all calls of an operation.
    """

    def __init__(
        self, client: Any, transport: Transport, credentials: RefreshingCredentials
    ) -> None:
        self._client = client
        self._transport = transport
        self._credentials = credentials
        self._prepared: dict[str, _Prepared] = {}
        self._signers: dict[str, Signer] = {}
        self._typed: dict[tuple[str, type[Struct]], Method] = {}
        self._service: str = client.meta.service_model.service_id.hyphenize()
        for operation, name in _METHODS[self._service].items():
            setattr(self, name, partial(self._call, operation, getattr(client, name)))
        client.meta.events.register_first("before-call", self._answer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def typed(self, name: str, form: type[Struct]) -> Method:
        """The method whose rows come as structs of a form, where all of an answer are of it."""
        method = self._typed.get((name, form))
        if method is None:
            plain: partial[Any] = getattr(self, name)
            method = self._typed[name, form] = partial(plain.func, *plain.args, form)
        return method

    async def _call(
        self,
        operation: str,
        method: Method,
        form: type[Struct] | None = None,
        /,
        **parameters: Any,
    ) -> dict[str, Any]:
        prepared = self._prepared.get(operation)
        if prepared is None or not prepared.tokens <= parameters.keys():
            return await method(**parameters)
        body = encode(parameters)
        if body is None:
            return await method(**parameters)
        request = {**prepared.request, "headers": {**prepared.request["headers"]}, "body": body}
        http, answer = (
            await self._client.meta.events.emit_until_response(
                f"before-call.{self._service}.{operation}",
                model=prepared.model,
                params=request,
                request_signer=prepared.signer,
                context={**prepared.context, _FORM: form},
            )
        )[1]
        if http.status_code >= 300:
            raise self._client.exceptions.from_code(answer["Error"]["Code"])(answer, operation)
        return answer  # type: ignore[no-any-return]

    async def _answer(
        self,
        model: OperationModel,
        params: Mapping[str, Any],
        request_signer: Any,
        context: Mapping[str, Any],
        **_: Any,
    ) -> tuple[Answer, dict[str, Any]] | None:
        """None leaves the call to botocore."""
        if model.name not in self._prepared:
            if not self._answerable(model, params, context):
                return None
            self._remember(model, params, request_signer, context)
        credentials = await self._credentials.get_frozen_credentials()
        where, body = address(params["url"]), params["body"]
        signer = self._signer(context)
        headers = signer.sign(params["headers"], where.authority, body, credentials)
        answer = await self._transport.post(where, headers, body)
        return answer, decode(answer, model, context.get(_FORM))

    def _remember(
        self,
        model: OperationModel,
        params: Mapping[str, Any],
        request_signer: Any,
        context: Mapping[str, Any],
    ) -> None:
        request = {**params, "headers": {**params["headers"]}}
        tokens = frozenset(model.idempotent_members)
        self._prepared[model.name] = _Prepared(model, tokens, request, request_signer, {**context})

    def _signer(self, context: Mapping[str, Any]) -> Signer:
        region = context.get("signing", {}).get("region") or self._client.meta.region_name
        if region not in self._signers:
            self._signers[region] = Signer(region)
        return self._signers[region]

    def _answerable(
        self, model: OperationModel, params: Mapping[str, Any], context: Mapping[str, Any]
    ) -> bool:
        """Whether the call is one of those that are answered here, and is to be made as they
        are."""
        return (
            model.name in _METHODS[self._service]
            and model.service_model.resolved_protocol == PROTOCOL
            and context.get("auth_type") in {None, "v4"}
            and address(params["url"]).path == "/"
        )
