"""Each role may do what its part does, and nothing else: all that the parts ask of AWS while they
do all that they do, held against the policies."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pytest
from moto.server import ThreadedMotoServer

from datasources.client import Endpoint
from schema.build import build_schema
from tests.support.asked import arn
from tests.support.flows import READS, SENDER, TENANT, Part, Site, deployed
from tests.support.iam import Request
from tests.support.mutations import RESULTS
from tests.support.people import looked_after
from tests.support.roles import BUCKET, Roles, grants, people
from tests.support.roles import deployed as roles_of
from tests.support.stacks import FUNCTION

SERVICES = ("dynamodb", "sqs", "sns", "ses")


@dataclass(frozen=True)
class Played:
    """A site where everything was done, and the roles it would have on AWS."""

    site: Site
    roles: Roles

    def asked(self, part: str) -> list[Request]:
        if part == "tenant":  # the API's, as far as they are about rows
            return [one for one in self.asked("api") if "dynamodb:LeadingKeys" in one.context]
        return self.site.requests.get(part, []) + self._of_lambda(part)

    def _of_lambda(self, part: str) -> list[Request]:
        """What Lambda itself asks in the function's name ("Process Amazon DynamoDB records" in its
        Developer Guide, under execution role permissions)."""
        if part != "function":
            return []
        reading = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
        requests = [Request(f"dynamodb:{action}", self.site.stream) for action in reading]
        batches = arn("sqs", f"{self.site.project}-dev-failed-batches")
        return [*requests, Request("sqs:SendMessage", batches)]


@pytest.fixture(scope="module", params=["processor", "function", "redrive"])
def played(request: pytest.FixtureRequest, endpoint: Endpoint) -> Played:
    """By whom the changes are reacted to."""
    part: Part = request.param
    site = asyncio.run(deployed(endpoint, reacts=part))
    parameters = {
        "MainTableStreamArn": site.stream,
        "EventsTopicArn": site.topic,
        "DeadLettersArn": arn("sqs", f"{site.project}-dev-dead-letters"),
        "FailedBatchesArn": arn("sqs", f"{site.project}-dev-failed-batches"),
        "MailFrom": SENDER,
        **(FUNCTION if part != "processor" else {}),
    }
    return Played(site, roles_of(site.project, **parameters))


def test_every_root_field_was_read_and_every_mutation_made() -> None:
    schema = build_schema()._schema
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    assert set(READS) == set(schema.query_type.fields)
    assert set(RESULTS) == set(schema.mutation_type.fields)


def test_each_request_is_allowed_by_the_role_of_the_part_that_made_it(played: Played) -> None:
    for part in played.site.requests:
        refused = [one for one in played.asked(part) if not played.roles.allows(part, one)]
        assert refused == [], part


def test_a_request_is_allowed_by_no_role_whose_part_makes_none_like_it(played: Played) -> None:
    """Alike are requests for the same action on the same thing."""
    complete = complete_parts(played)
    done = {part: {(one.action, one.resource) for one in played.asked(part)} for part in complete}
    for requests in played.site.requests.values():
        for one in requests:
            may = played.roles.allowing(one) & complete
            assert may <= {part for part in complete if (one.action, one.resource) in done[part]}


def test_a_role_has_no_permission_that_its_part_does_not_use(played: Played) -> None:
    for part in complete_parts(played) | {"tenant"}:
        done = {(one.action, one.resource) for one in played.asked(part)}
        unused = [
            (action, resource)
            for action, resource in grants(played.roles.statements(part), *SERVICES)
            if not any(one == action and fnmatchcase(on, resource) for one, on in done)
            and ":configuration-set/" not in resource  # which SES judges a mail by as well
        ]
        assert unused == [], part


def complete_parts(played: Played) -> set[str]:
    """Those that have done all that they do."""
    parts = {"api", "processor"} & set(played.site.requests)
    if "redrive" in played.site.requests:
        return parts | {"redrive"}
    return parts | ({"function"} & set(played.site.requests))


def test_a_tenants_role_allows_all_that_is_done_for_it_and_nothing_for_another(
    played: Played,
) -> None:
    requests = played.asked("tenant")
    assert {one.action.partition(":")[2] for one in requests} >= {"Query", "BatchGetItem"}
    for one in requests:
        assert played.roles.allows("tenant", one, tenant=TENANT)
        for other in (f"{TENANT}2", TENANT[:-1], f"{TENANT}*", "*", "?"):
            assert not played.roles.allows("tenant", one, tenant=other)
        assert not played.roles.allows("tenant", one)


# --- people ---------------------------------------------------------------------------------

# What some part of the service does to the table's rows as well.
EVERYDAY = {f"dynamodb:{each}" for each in ("DescribeTable", "BatchGetItem", "Query", "UpdateItem")}


@dataclass(frozen=True)
class Kept:
    """A shop that people have looked after: what each of them asked, and the roles there are."""

    requests: dict[str, list[Request]]
    people: Roles
    service: Roles


@pytest.fixture(scope="module")
def kept(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    project, folder = f"p{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("kept")
    s3 = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    s3.start()
    host, port = s3.get_host_and_port()
    files = Endpoint(endpoint.region, f"http://{host}:{port}", local=True)
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "test")
        recorder = asyncio.run(looked_after(endpoint, files, f"{project}-dev", BUCKET, folder))
    yield Kept(recorder.requests, people(project), roles_of(project))
    s3.stop()


def test_what_a_person_does_is_allowed_by_exactly_the_role_meant(kept: Kept) -> None:
    """Or by both, where both do alike."""
    done = {
        who: {(one.action, one.resource) for one in requests}
        for who, requests in kept.requests.items()
    }
    assert set(done) == {"support", "operator"} == set(kept.people.names())
    for who, requests in kept.requests.items():
        for one in requests:
            may = kept.people.allowing(one)
            assert who in may, one
            assert may == {other for other in done if (one.action, one.resource) in done[other]}


def test_what_people_do_the_service_may_not_but_for_the_everyday(kept: Kept) -> None:
    for requests in kept.requests.values():
        for one in requests:
            assert one.action in EVERYDAY or kept.service.allowing(one) == set(), one
            assert "restored" not in one.resource or kept.service.allowing(one) == set(), one


def test_a_person_has_no_permission_that_no_command_uses(kept: Kept) -> None:
    for who, requests in kept.requests.items():
        done = {(one.action, one.resource) for one in requests}
        unused = [
            (action, resource)
            for action, resource in grants(kept.people.statements(who), "dynamodb", "s3")
            if not any(one == action and fnmatchcase(on, resource) for one, on in done)
        ]
        assert unused == [], who
