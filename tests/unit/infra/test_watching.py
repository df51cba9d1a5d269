"""What somebody is told of, when the service runs on AWS."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from datasources.keys import GSI1, GSI2, GSI3
from tests.support.stacks import FUNCTION, containers, events, service, watch

INDEXES = (GSI1, GSI2, GSI3)


def alarmed() -> dict[str, dict[str, Any]]:
    return watch(Reactions="function").of_type("CloudWatch::Alarm")


def metrics(alarm: dict[str, Any]) -> set[str]:
    if "MetricName" in alarm:
        return {alarm["MetricName"]}
    stats = [one["MetricStat"] for one in alarm["Metrics"] if "MetricStat" in one]
    return {one["Metric"]["MetricName"] for one in stats}


def dimensions(alarm: dict[str, Any]) -> set[str]:
    stats = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", ()) if "MetricStat" in one]
    return {one["Value"] for each in [alarm, *stats] for one in each.get("Dimensions", ())}


def test_there_is_an_alarm_for_all_that_should_wake_somebody() -> None:
    wanted = """ReadThrottleEvents WriteThrottleEvents SystemErrors SuccessfulRequestLatency
        TargetResponseTime HTTPCode_Target_5XX_Count HTTPCode_ELB_5XX_Count HealthyHostCount
        cartograph_stream_lag_seconds IteratorAge ApproximateNumberOfMessagesVisible EventsLost
        DatabaseMemoryUsagePercentage""".split()
    assert set(wanted) <= set().union(*map(metrics, alarmed().values()))


def test_every_alarm_is_heard_and_says_what_no_news_means() -> None:
    for name, alarm in alarmed().items():
        assert alarm["AlarmActions"] == ["alarms"], name
        assert alarm["TreatMissingData"] in {"notBreaching", "breaching", "ignore"}, name
        assert alarm["AlarmDescription"], name


def test_what_an_alarm_looks_at_is_in_its_sum_whole() -> None:
    for name, alarm in alarmed().items():
        if "Metrics" not in alarm:
            continue
        [sum_] = (one for one in alarm["Metrics"] if "Expression" in one)
        assert [one for one in alarm["Metrics"] if one["ReturnData"]] == [sum_], name
        parts = {one["Id"] for one in alarm["Metrics"] if "MetricStat" in one}
        functions = {"SUM", "MAX", "IF", "FILL"}
        assert set(re.findall(r"[A-Za-z]\w*", sum_["Expression"])) - functions == parts, name


def test_a_stream_that_is_behind_is_told_after_a_minute_and_after_half_its_memory() -> None:
    ages = {name: alarm["Threshold"] for name, alarm in alarmed().items() if "Lag" in name}
    assert ages == {
        "StreamLag": 60,
        "StreamLagHalfGone": 12 * 3_600,
        "FunctionLag": 60_000,  # Lambda counts milliseconds
        "FunctionLagHalfGone": 12 * 3_600_000,
    }
    assert alarmed()["StreamLag"]["TreatMissingData"] == "breaching"


@pytest.mark.parametrize("kind", ["Read", "Write"])
def test_throttles_are_those_of_both_tables_and_of_every_index(kind: str) -> None:
    alarm = alarmed()[f"{kind}Throttles"]
    wanted = {"cartograph-dev", "cartograph-dev-system", *INDEXES}
    assert dimensions(alarm) == wanted
    assert metrics(alarm) == {f"{kind}ThrottleEvents"}
    assert alarm["Threshold"] == 0


def test_faults_and_time_are_those_of_every_call_that_is_made() -> None:
    calls = {"BatchGetItem", "Query", "TransactWriteItems"}
    for name in ("SystemErrors", "StoreLatency"):
        assert dimensions(alarmed()[name]) == {"cartograph-dev", *calls}


def test_what_is_watched_is_what_the_other_stacks_make() -> None:
    made, running = events(), service(**FUNCTION)
    queues = {one["QueueName"] for one in made.of_type("SQS::Queue").values()}
    assert dimensions(alarmed()["DeadLetters"]) == queues
    assert dimensions(alarmed()["FunctionLag"]) == {running.properties("Function")["FunctionName"]}
    logs = {one["LogGroupName"] for one in running.of_type("Logs::LogGroup").values()}
    filters = watch().of_type("Logs::MetricFilter").values()
    assert {one["LogGroupName"] for one in filters} <= logs
    assert {one["FilterPattern"] for one in filters} == {'{ $.event = "events lost:*" }'}


def test_the_processors_numbers_are_collected_under_the_names_that_are_watched() -> None:
    [collector] = containers()["collector"]["Environment"]
    lag = alarmed()["StreamLag"]
    assert f"^{lag['MetricName']}$" in collector["Value"]
    assert f"namespace: {lag['Namespace']}\n" in collector["Value"]
    [dimension] = lag["Dimensions"]
    assert f"labels: {{ {dimension['Name']}: {dimension['Value']} }}" in collector["Value"]
    assert "127.0.0.1:9000" in collector["Value"]
    assert containers()["processor"]["Command"][-1] == "9000"


def test_the_budget_warns_before_it_is_spent() -> None:
    budget = watch(MonthlyBudget=250).properties("Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 250, "Unit": "USD"}
    heard = [one["Subscribers"][0]["Address"] for one in budget["NotificationsWithSubscribers"]]
    assert heard == ["alarms", "alarms"]
    warned = [one["Notification"] for one in budget["NotificationsWithSubscribers"]]
    assert [(one["NotificationType"], one["Threshold"]) for one in warned] == [
        ("ACTUAL", 80),
        ("FORECASTED", 100),
    ]
    assert {one["ThresholdType"] for one in warned} == {"PERCENTAGE"}


def test_there_is_one_dashboard_and_no_widget_lies_on_another() -> None:
    [dashboard] = watch().of_type("CloudWatch::Dashboard").values()
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    covered = [
        (x, y)
        for one in widgets
        for x in range(one["x"], one["x"] + one["width"])
        for y in range(one["y"], one["y"] + one["height"])
    ]
    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) < 24
