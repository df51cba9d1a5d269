"""What those who run the service see of it: log, metrics, traces and explanations."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from composition.logs import FIELDS
from tests.e2e.around import around
from tests.e2e.live.shelves import SECRET
from tests.e2e.support import ROOT, Service, elsewhere, serving, until
from tests.support import plain
from tests.support.collector import Collector

SHOP = "query Shop { products(first: 3) { nodes { id name category { name } } } }"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass
class Watched:
    """A service, and where it sends its traces."""

    service: Service
    collector: Collector

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log, but for what the command itself says."""
        said = [line for line in self.service.said if not line.startswith("cartograph: ")]
        return [json.loads(line) for line in said]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with around() as found:
        settings = elsewhere(
            tmp_path_factory.mktemp("state"),
            found.endpoint.url or "",
            JWT_SECRET=SECRET,
            LOG_LEVEL="debug",
            LOG_REQUESTS="all",
        )
        with serving(settings | found.tracing()) as service:
            yield Watched(service, found.collector)


def test_every_line_is_json_and_of_the_listed_fields(watched: Watched) -> None:
    watched.service.ask(SHOP)

    def told() -> list[dict[str, Any]]:
        return [line for line in watched.lines if line.get("operation") == "Shop"]

    until(lambda: bool(told()))  # another thread reads what the service says
    assert all(set(line) <= set(FIELDS) for line in watched.lines)
    line = told()[0]
    assert (line["event"], line["kind"], line["tenant"]) == ("request", "query", "default")
    assert line["calls"] > 0


def test_a_trace_leads_from_the_request_to_the_calls_of_the_store(watched: Watched) -> None:
    plain.post(
        f"{watched.service.url}/graphql",
        json={"query": SHOP.replace("Shop", "Traced")},
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
    )

    def spans() -> dict[str, dict[str, Any]]:
        return {
            span["spanId"]: span
            for span in watched.collector.spans
            if base64_hex(span["traceId"]) == TRACE
        }

    def is_whole() -> bool:
        return any(span["name"] == "POST /graphql" for span in spans().values())

    until(is_whole)
    found = spans()
    paths = {tuple(path(found, span)) for span in found.values()}
    request = ("POST /graphql", "query")
    assert (*request, "load pages", "Query cartograph") in paths
    assert (*request, "load items", "BatchGetItem cartograph") in paths


def path(spans: dict[str, dict[str, Any]], span: dict[str, Any]) -> list[str]:
    """The names of the spans that lead to one."""
    above = spans.get(span.get("parentSpanId", ""))
    return [*(path(spans, above) if above else ()), span["name"]]


def base64_hex(text: str) -> str:
    return base64.b64decode(text).hex()


def test_the_dashboard_shows_every_metric_and_none_that_is_not_there(watched: Watched) -> None:
    dashboard = (ROOT / "infra" / "grafana.json").read_text(encoding="utf-8")
    shown = set(re.findall(r"(?:cartograph|process)_[a-z_]+", dashboard))
    families = list(text_string_to_metric_families(watched.service.get("/metrics").text))
    ours = [family for family in families if family.name.startswith("cartograph_")]
    ours = [family for family in ours if not family.name.endswith("_created")]

    def names(name: str, kind: str) -> set[str]:
        if kind == "histogram":
            return {f"{name}_{part}" for part in ("bucket", "count", "sum")}
        return {f"{name}_total" if kind == "counter" else name}

    there = set().union(*(names(family.name, family.type) for family in families))
    assert shown - there == set()
    assert [f.name for f in ours if shown.isdisjoint(names(f.name, f.type))] == []


def test_the_dashboard_adds_up_what_several_workers_tell() -> None:
    """Each has samples of its own, by a label `worker`: a graph that shows them as they are would
    show one of them."""
    dashboard = json.loads((ROOT / "infra" / "grafana.json").read_text(encoding="utf-8"))
    shown = [query["expr"] for panel in dashboard["panels"] for query in panel.get("targets", ())]
    ours = [query for query in shown if "cartograph_" in query]
    added_up = re.compile(r"(histogram_quantile\([\d.]+, )?(sum|max)( by \([a-z, ]+\))? ?\(")

    assert len(ours) > 20
    assert [query for query in ours if not added_up.match(query)] == []
    # How far behind the furthest is, and whether any breaker is open, is no sum.
    worst = {name for query in ours for name in re.findall(r"^max\((\w+)", query)}
    assert worst == {"cartograph_breaker_state", "cartograph_stream_lag_seconds"}


@pytest.mark.parametrize("is_staff", [True, False])
def test_outside_the_embedded_store_explanations_are_for_staff(
    watched: Watched, is_staff: bool
) -> None:
    token = watched.service.signed("somebody", staff=is_staff)
    headers = {"authorization": f"Bearer {token}", "x-explain": "1"}
    response = plain.post(f"{watched.service.url}/graphql", json={"query": SHOP}, headers=headers)
    body = response.json()
    assert body["data"]["products"]["nodes"]
    assert ("explain" in body["extensions"]) is is_staff


def test_over_the_embedded_store_explanations_are_for_all_who_ask(service: Service) -> None:
    def explained(**headers: str) -> bool:
        body = plain.post(f"{service.url}/graphql", json={"query": SHOP}, headers=headers).json()
        return "explain" in body["extensions"]

    assert explained(**{"X-Explain": "1"})
    assert not explained()
    assert not explained(**{"X-Explain": "0"})
