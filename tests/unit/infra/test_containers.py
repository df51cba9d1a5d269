"""What the images and the composition of containers promise, by what stands in their files."""

from __future__ import annotations

import re
from typing import Any

import pytest

import settings
from schema.serving.server import ENDING
from server import parser
from tests.support.containers import (
    PROXY,
    ROOT,
    Stage,
    command_of,
    compose,
    services,
    stage_of,
    stages,
)

OURS = {name: one for name, one in services().items() if "build" in one}
CARTOGRAPHS = {n: one for n, one in OURS.items() if one["build"]["target"] == "service"}
RUNNING = ("store", "service")  # stages that containers are made of
UNIT = {"s": 1, "m": 60}


def seconds(text: str) -> int:
    return int(text[:-1]) * UNIT[text[-1]]


def environment(service: dict[str, Any]) -> dict[str, str]:
    stage = stage_of(service)
    assert stage
    own: dict[str, str] = service.get("environment", {})
    return stage.environment | own


@pytest.mark.parametrize("stage", stages().values(), ids=lambda one: one.name)
def test_images_are_built_on_tags_that_name_a_version_and_a_release(stage: Stage) -> None:
    assert re.fullmatch(r"(python:3\.\d+|node:\d+)-(slim-trixie|trixie-slim)", stage.base)


@pytest.mark.parametrize(
    "image", [one["image"] for one in services().values() if "build" not in one]
)
def test_images_of_others_have_a_version(image: str) -> None:
    assert re.search(r":\d+\.\d+-alpine$", image)


@pytest.mark.parametrize("name", RUNNING)
def test_no_container_runs_as_root(name: str) -> None:
    stage = stages()[name]
    made = stage.all("RUN")[0].text

    assert stage.last("USER").text == "10001:10001"
    assert "--gid 10001" in made
    assert "--uid 10001" in made
    after = stage.steps[stage.steps.index(stage.last("USER")) :]
    assert "RUN" not in {step.name for step in after}


@pytest.mark.parametrize("name", RUNNING)
def test_signals_reach_the_process_itself(name: str) -> None:
    assert stages()[name].last("ENTRYPOINT").is_exec
    assert stages()[name].last("CMD").is_exec


def test_the_image_that_is_built_by_default_is_the_service() -> None:
    assert [*stages()][-1] == "service"


def test_what_was_built_with_stays_behind() -> None:
    for name in RUNNING:
        copied = [step.words for step in stages()[name].all("COPY")]
        assert [words[1] == words[2] and "--from=" in words[0] for words in copied] == [True]


def test_every_dependency_is_installed_by_hash() -> None:
    for stage in stages().values():
        for step in stage.all("RUN"):
            for command in step.text.split("&&"):
                if "pip install" in command and "--no-deps" not in command:
                    assert "--require-hashes -r" in command


def test_locks_and_sources_that_are_copied_are_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for stage in stages().values():
        for step in stage.all("COPY"):
            *sources, _ = [word for word in step.words if not word.startswith("--")]
            if not step.words[0].startswith("--from"):
                assert [one for one in sources if not (ROOT / one).exists() or one in ignored] == []


@pytest.mark.parametrize("name", CARTOGRAPHS)
def test_settings_are_those_that_there_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment(CARTOGRAPHS[name]).items():
        monkeypatch.setenv(variable, value)

    loaded = settings.load()

    assert loaded.store == "http://store:4566"
    assert loaded.jwt_secret


@pytest.mark.parametrize("name", ["service-1", "service-2", "processor"])
def test_commands_are_those_that_there_are(name: str) -> None:
    program, *arguments = command_of(CARTOGRAPHS[name])
    given = parser().parse_args(arguments)

    assert program == "cartograph"
    assert (given.host, given.port) == ("0.0.0.0", 8000)  # noqa: S104 within its container
    assert getattr(given, "workers", 1) == 1


def test_prepare_runs_commands_that_there_are() -> None:
    said = CARTOGRAPHS["prepare"]["command"][0]

    for command in re.findall(r"cartograph (\w+)", said):
        parser().parse_args([command])
    assert said.index("cartograph table") < said.index("cartograph seed")


@pytest.mark.parametrize("name", RUNNING)
def test_health_is_asked_where_the_process_listens(name: str) -> None:
    stage = stages()[name]
    port = stage.last("EXPOSE").text

    program, flag, code = stage.health
    assert (program, flag) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    assert f"http://127.0.0.1:{port}/" in code


@pytest.mark.parametrize("name", OURS)
def test_containers_of_ours_are_confined(name: str) -> None:
    one = OURS[name]

    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]


def test_all_file_systems_are_read_only() -> None:
    assert [name for name, one in services().items() if not one.get("read_only")] == []


def test_two_instances_are_behind_the_proxy_and_alike() -> None:
    servers = re.findall(r"^    server \S+ (\S+):(\d+)$", PROXY.read_text("utf-8"), re.MULTILINE)

    assert servers == [("service-1", "8000"), ("service-2", "8000")]
    assert services()["service-1"] == services()["service-2"]
    assert services()["proxy"]["depends_on"].keys() == {"service-1", "service-2"}


def test_the_proxy_alone_is_reached_from_outside_and_from_this_machine_alone() -> None:
    ports = {name: one["ports"] for name, one in services().items() if "ports" in one}

    assert ports == {"proxy": ["127.0.0.1:8080:8080"]}
    assert "bind :8080" in PROXY.read_text("utf-8")


def test_the_proxys_network_is_what_is_trusted() -> None:
    [network] = compose()["networks"]["default"]["ipam"]["config"]

    for name in ("service-1", "service-2"):
        given = services()[name]["environment"]
        assert given["CARTOGRAPH_TRUSTED_PROXIES"] == network["subnet"]


def test_what_is_told_to_end_has_the_time_for_it() -> None:
    for name in ("service-1", "service-2", "processor"):
        assert seconds(services()[name]["stop_grace_period"]) > ENDING
    assert seconds(services()["store"]["stop_grace_period"]) >= 120


def test_an_instance_that_ends_is_asked_no_more_before_it_stops_listening() -> None:
    said = PROXY.read_text("utf-8")
    [interval] = re.findall(r"check inter (\d+)s fall 1 ", said)

    assert "http-check send meth GET uri /readyz" in said
    assert int(interval) < settings.Settings.model_fields["linger"].default


def test_a_service_waits_for_what_it_needs() -> None:
    for name, one in services().items():
        for other, condition in one.get("depends_on", {}).items():
            needed = services()[other]
            checked = "healthcheck" in needed or stage_of(needed)
            ends = condition["condition"] == "service_completed_successfully"
            assert ends == (other == "prepare"), name
            assert ends or checked, name


def test_rows_and_the_sign_that_they_are_seeded_live_and_go_together() -> None:
    assert services()["store"]["volumes"] == services()["prepare"]["volumes"] == ["store:/data"]
    assert stages()["store"].environment["STATE_DIR"] == "/data"
    assert [*compose()["volumes"]] == ["store"]
