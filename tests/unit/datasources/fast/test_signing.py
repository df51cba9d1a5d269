"""Signatures of our own are botocore's."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from datasources.fast.signing import Signer

WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
LINES = st.lists(WORDS, min_size=1, max_size=4).map("  ".join)
NAMES = st.sampled_from(
    ["Content-Type", "User-Agent", "X-Amzn-Trace-Id", "X-Amz-Target", "x-amz-other", "A", "Z-1"]
)
HOSTS = st.sampled_from(
    [
        "dynamodb.eu-west-1.amazonaws.com",
        "127.0.0.1:8000",
        "123456789012.ddb.us-east-1.amazonaws.com",
    ]
)
REQUESTS = st.tuples(
    st.dictionaries(NAMES, LINES),
    st.binary(max_size=2_000),
    st.builds(ReadOnlyCredentials, WORDS, WORDS, st.none() | WORDS),
    st.integers(0, 4_102_444_800),
)


def by_botocore(
    region: str,
    host: str,
    headers: dict[str, str],
    body: bytes,
    credentials: ReadOnlyCredentials,
    moment: int,
) -> dict[str, str]:
    request = AWSRequest("POST", f"https://{host}/", headers=headers, data=body)
    with patch("botocore.auth.get_current_datetime") as now:
        now.return_value = datetime.fromtimestamp(moment, UTC)
        SigV4Auth(credentials, "dynamodb", region).add_auth(request)
    return dict(request.headers.items())


@given(st.sampled_from(["eu-west-1", "us-gov-east-1"]), HOSTS, st.lists(REQUESTS, max_size=4))
def test_a_signature_is_the_one_of_botocore(
    region: str,
    host: str,
    requests: list[tuple[dict[str, str], bytes, ReadOnlyCredentials, int]],
) -> None:
    moments: list[int] = []
    signer = Signer(region, clock=lambda: moments[-1])
    for headers, body, credentials, moment in requests:
        moments.append(moment)
        expected = by_botocore(region, host, headers, body, credentials, moment)
        assert signer.sign(headers, host, body, credentials) == expected


@given(REQUESTS, WORDS, st.integers(0, 4_102_444_800))
def test_a_kept_key_is_for_its_secret_and_its_day_alone(
    request: tuple[dict[str, str], bytes, ReadOnlyCredentials, int], secret: str, other: int
) -> None:
    headers, body, credentials, moment = request
    now = [moment]
    signer = Signer("eu-west-1", clock=lambda: now[0])
    renewed = credentials._replace(secret_key=secret)
    for used, at in [(credentials, moment), (renewed, moment), (renewed, other)]:
        now[0] = at
        for _ in range(2):
            expected = by_botocore("eu-west-1", "store", headers, body, used, at)
            assert signer.sign(headers, "store", body, used) == expected


def test_nobody_reads_a_key_in_a_log() -> None:
    signer = Signer("eu-west-1", clock=lambda: 0)
    signer.sign({}, "store", b"", ReadOnlyCredentials("AKIA", "swordfish", None))
    assert "swordfish" not in repr(signer)
