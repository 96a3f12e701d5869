"""The Helm chart, as it renders for three value sets: valid objects that name only what the code has."""

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import time
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest
import yaml

from tapewatch.errors import SettingsError
from tapewatch.kernels import cache_folder
from tapewatch.runtime.monitoring import DECLARED
from tapewatch.runtime.monitoring.monitor import _RequestHandler
from tapewatch.settings import Settings
from tests.unit.declared_metrics import declared
from tests.unit.deployed import ROOT, job_of, parsed, settings_of, shows_figures
from tests.unit.rendered_chart import CHART, SETS, Object, rendered, run_helm

SCHEMAS = json.loads((ROOT / "tests/vectors/kubernetes/schemas.json").read_text())
POLICY_PORTS = {"postgres": 5432, "elasticsearch": 9200}

pytestmark = pytest.mark.parametrize("values", SETS)


def of_kind(values: str, *kinds: str) -> list[Object]:
    """The objects of a value set that are of these kinds."""
    return [each for each in rendered(values) if each["kind"] in kinds]


def pods(values: str) -> Iterator[tuple[Object, Object]]:
    """Every workload, and its pod template."""
    for each in of_kind(values, "Deployment", "StatefulSet", "Job"):
        yield each, each["spec"]["template"]
    for each in of_kind(values, "CronJob"):
        yield each, each["spec"]["jobTemplate"]["spec"]["template"]


def words_of(pod: Object) -> list[str]:
    """Arguments of a pod's process, as its first member has them."""
    words: list[str] = pod["spec"]["containers"][0]["args"]
    return [word.replace("$(POD_NAME)", "pod-0") for word in words]


def environment_of(pod: Object) -> dict[str, str]:
    """Variables that are ours."""
    given = pod["spec"]["containers"][0]["env"]
    return {each["name"]: each["value"] for each in given if each["name"].startswith("TAPEWATCH_")}


def selects(selector: Object, labels: Object) -> bool:
    """Whether a selector of labels alone takes an object with these."""
    return bool(selector) and selector.items() <= labels.items()


@cache
def checker(kind: str) -> jsonschema.Draft201909Validator:
    """Kubernetes' or an operator's schema of a kind."""
    return jsonschema.Draft201909Validator({**SCHEMAS["kinds"][kind], "$defs": SCHEMAS["$defs"]})


def faults(thing: Object) -> list[str]:
    """What is wrong with an object."""
    found = checker(f"{thing['apiVersion']} {thing['kind']}").iter_errors(thing)
    return [f"{thing['kind']} {thing['metadata']['name']} {error.json_path}: {error.message[:200]}" for error in found]


def merged(below: Any, above: Any) -> Any:
    """Values as Helm merges them: tables by key, anything else whole."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {key: merged(below[key], above[key]) if key in below and key in above else {**below, **above}[key]
            for key in {**below, **above}}  # fmt: skip


def values_of(values: str) -> Any:
    """A value set over the defaults."""
    own = yaml.safe_load((CHART / f"values/{values}.yaml").read_text())
    return merged(yaml.safe_load((CHART / "values.yaml").read_text()), own)


def test_helm_lint_has_nothing_to_say(values: str) -> None:
    said = run_helm(["lint", "--strict", "--quiet"], values)
    assert "[ERROR]" not in said
    assert "[WARNING]" not in said


def test_helm_refuses_values_that_the_schema_does_not_know(values: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run_helm(["template", "x", "--set", "processes.engine.replica=3"], values)
    assert "replica" in refused.value.stderr


def test_every_object_is_valid_offline(values: str) -> None:
    assert [fault for each in rendered(values) for fault in faults(each)] == []
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered(values)]
    assert len(names) == len(set(names))


def test_a_field_that_kubernetes_does_not_know_is_found(values: str) -> None:
    for each in rendered(values):
        wrong = copy.deepcopy(each)
        wrong["spec" if "spec" in wrong else "metadata"]["readynessProbe"] = {}
        assert faults(wrong), each["kind"]


def test_the_values_are_as_their_schema_says_and_wrong_ones_are_not(values: str) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    rules = jsonschema.Draft7Validator(schema)
    given = values_of(values)
    assert [error.message for error in rules.iter_errors(given)] == []
    for wrong in (
        {"kafka": {"bootstrap": ""}},
        {"image": {"tag": "latest"}},
        {"settings": {"topics.replication": 3}},
        {"processes": {"engine": {"replica": 3}}},
        {"processes": {"sink-postgres": {"replicas": 2}}},
        {"schedules": {"taiwan": {"timezone": "Asia/Taipei", "windows": [{"start": "08:00", "end": "13:40"}]}}},
        {"ingress": {"enabled": True, "host": "console.example.org", "tlsSecret": ""}},
    ):
        assert not rules.is_valid(merged(given, wrong)), wrong


def test_every_process_runs_a_command_that_parses_with_settings_that_there_are(values: str) -> None:
    for workload, pod in pods(values):
        parsed(words_of(pod))
        given = environment_of(pod)
        found = settings_of(given)
        assert found.kafka.bootstrap, workload["metadata"]["name"]
        # A variable that is not one of ours would have been refused; this one says that values keep their kind.
        assert isinstance(found.topics.market_partitions, int)


def test_probes_and_ports_are_the_endpoint_s(values: str) -> None:
    for workload, pod in pods(values):
        container = pod["spec"]["containers"][0]
        settings = settings_of(environment_of(pod))
        stays = workload["kind"] in ("Deployment", "StatefulSet")
        assert ("livenessProbe" in container) == (stays and shows_figures(words_of(pod))), container["name"]
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                asked = container[probe]["httpGet"]
                assert asked["path"] in _RequestHandler.PAGES
                assert ports[asked["port"]] == settings.metrics.port > 0
                assert settings.metrics.host == "0.0.0.0"
        if words_of(pod)[0] == "console":
            assert ports["http"] == settings.console.port
            assert settings.console.behind_proxy
            assert settings.console.allowed_hosts


def test_pods_are_nobody_s_bounded_and_pinned(values: str) -> None:
    for _, pod in pods(values):
        spec = pod["spec"]
        assert spec["enableServiceLinks"] is False
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"]
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert re.fullmatch(r"tapewatch(-training)?:\d+\.\d+\.\d+", container["image"])


def test_what_is_mounted_and_named_is_there(values: str) -> None:
    for _, pod in pods(values):
        spec = pod["spec"]
        volumes = {each["name"]: each for each in spec["volumes"]}
        mounts = {each["mountPath"]: volumes[each["name"]] for each in spec["containers"][0]["volumeMounts"]}
        assert {each["name"] for each in mounts.values()} == volumes.keys()
        assert {"/var/lib/tapewatch", "/var/cache/tapewatch", "/tmp"} <= mounts.keys()
        secrets = mounts.get("/run/secrets/tapewatch", {"projected": {"sources": []}})
        projected = secrets["projected"]["sources"]
        assert projected or "/run/secrets/tapewatch" not in mounts
        files = {item["path"] for source in projected for item in source["secret"]["items"]}
        named = {value.lstrip("@") for value in environment_of(pod).values() if "/run/secrets/tapewatch/" in value}
        assert named == {f"/run/secrets/tapewatch/{name}" for name in files}


def test_kernels_are_made_ready_by_a_module_that_there_is_where_the_process_looks_for_them(values: str) -> None:
    for _, pod in pods(values):
        for before in pod["spec"].get("initContainers", []):
            module = before["command"][-1].rpartition("python -m ")[2]
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
            written = {each["name"]: each["mountPath"] for each in before["volumeMounts"]}
            read = {each["name"]: each["mountPath"] for each in pod["spec"]["containers"][0]["volumeMounts"]}
            assert written["kernels"] == f"{before['env'][0]['value']}/{cache_folder().name}"
            assert read["kernels"] == f"/var/cache/{cache_folder().name}"
            assert "XDG_CACHE_HOME=/var/cache\n" in (ROOT / "Dockerfile").read_text()


def test_the_ingress_brings_browsers_by_a_name_that_the_console_knows(values: str) -> None:
    (console,) = [pod for _, pod in pods(values) if words_of(pod)[0] == "console"]
    for ingress in of_kind(values, "Ingress"):
        hosts = [rule["host"] for rule in ingress["spec"]["rules"]]
        assert set(hosts) <= set(settings_of(environment_of(console)).console.allowed_hosts)
        assert ingress["spec"]["tls"][0]["hosts"] == hosts
        (service,) = [
            each for each in of_kind(values, "Service") if each["metadata"]["name"] == "tapewatch-console-web"
        ]
        assert selects(service["spec"]["selector"], console["metadata"]["labels"])


def test_a_variable_of_a_kubernetes_service_would_be_refused(values: str) -> None:
    for service in of_kind(values, "Service"):
        variable = f"{service['metadata']['name'].upper().replace('-', '_')}_SERVICE_HOST"
        with pytest.raises(SettingsError):
            settings_of({variable: "10.0.0.1"})


def test_secrets_are_named_and_never_held(values: str) -> None:
    assert of_kind(values, "Secret", "ConfigMap") == []
    for _, pod in pods(values):
        for name, value in environment_of(pod).items():
            assert not re.search("password|secret|token|key", name, re.IGNORECASE) or value.startswith("/run/secrets/")
            assert name != "TAPEWATCH_POSTGRES_URL" or value.startswith("@/run/secrets/")


def test_members_of_a_group_have_fixed_names_of_their_own(values: str) -> None:
    for each in of_kind(values, "StatefulSet"):
        words = each["spec"]["template"]["spec"]["containers"][0]["args"]
        assert words[words.index("--instance") + 1] == "$(POD_NAME)"
        assert each["spec"]["serviceName"] in {service["metadata"]["name"] for service in of_kind(values, "Service")}
        assert each["spec"]["podManagementPolicy"] == "Parallel"
    for each in of_kind(values, "Deployment"):
        assert each["spec"]["strategy"] == {"type": "Recreate"}


def test_prometheus_finds_every_process_under_the_job_that_the_rules_know(values: str) -> None:
    services = [each for each in of_kind(values, "Service") if each["spec"].get("clusterIP") == "None"]
    asked = 0
    for workload, pod in pods(values):
        if workload["kind"] in ("Job", "CronJob") or not shows_figures(words_of(pod)):
            continue
        asked += 1
        (service,) = [each for each in services if selects(each["spec"]["selector"], pod["metadata"]["labels"])]
        assert service["metadata"]["labels"]["prometheus-job"] == job_of(words_of(pod))
        assert service["spec"]["publishNotReadyAddresses"]
    assert len(services) == asked > 0
    for monitor in of_kind(values, "ServiceMonitor"):
        assert monitor["spec"]["jobLabel"] == "prometheus-job"
        chosen = monitor["spec"]["selector"]["matchLabels"]
        assert all(selects(chosen, service["metadata"]["labels"]) for service in services)
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["path"] in _RequestHandler.PAGES
        assert all(endpoint["port"] == service["spec"]["ports"][0]["name"] for service in services)


def test_the_rules_are_the_product_s_and_ask_for_metrics_that_there_are(values: str) -> None:
    text = (ROOT / "infra/prometheus/rules.yml").read_text()
    assert (CHART / "files/rules.yml").read_text() == text, "cp infra/prometheus/rules.yml infra/helm/files/"
    ours = {rule["alert"]: rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]}
    declared()
    for rules in of_kind(values, "PrometheusRule"):
        found = {rule["alert"]: rule for group in rules["spec"]["groups"] for rule in group["rules"]}
        assert found.keys() == ours.keys()
        for name, rule in found.items():
            if rule != ours[name]:
                assert name == "TapewatchNoPartitionsHeld"
                assert rule["expr"].startswith(f"({ours[name]['expr']}) and on () (sum(kube_statefulset_replicas{{")
            assert set(re.findall(r"\b(tapewatch_[a-z_]+)", rule["expr"])) <= DECLARED.keys()


def groups_of(settings: Settings) -> set[str]:
    """Consumer groups of a process with these settings, of the kinds that scale by what is waiting."""
    return {settings.engine.group, settings.paper.group, settings.evidence.group, settings.forecast.group}


def test_what_scales_is_there_and_follows_its_own_group(values: str) -> None:
    workloads = {(each["kind"], each["metadata"]["name"]): (each, pod) for each, pod in pods(values)}
    scaled = of_kind(values, "ScaledObject")
    for each in scaled:
        target = each["spec"]["scaleTargetRef"]
        workload, pod = workloads[target["kind"], target["name"]]
        assert "replicas" not in workload["spec"]
        assert each["spec"]["minReplicaCount"] <= each["spec"]["maxReplicaCount"]
        for trigger in each["spec"]["triggers"]:
            metadata = trigger["metadata"]
            assert all(isinstance(value, str) for value in metadata.values())
            if trigger["type"] == "kafka":
                settings = settings_of(environment_of(pod))
                assert metadata["bootstrapServers"] == settings.kafka.bootstrap
                assert metadata["consumerGroup"] in groups_of(settings)
                kind = words_of(pod)[1]
                assert metadata["consumerGroup"] == getattr(settings, kind).group
            else:
                assert ZoneInfo(metadata["timezone"]).key == metadata["timezone"]
                assert int(metadata["desiredReplicas"]) <= each["spec"]["maxReplicaCount"]
                assert each["spec"]["minReplicaCount"] == 0
    assert bool(scaled) == values_of(values)["keda"]["enabled"]


def at(cron: str) -> time:
    """The time of day of a cron line that names one."""
    minute, hour, *_ = cron.split()
    return time(int(hour), int(minute))


def test_the_desk_of_one_exchange_comes_at_eight_and_leaves_at_twenty_to_two(values: str) -> None:
    hours = {
        each["metadata"]["name"]: [
            trigger["metadata"] for trigger in each["spec"]["triggers"] if trigger["type"] == "cron"
        ]
        for each in of_kind(values, "ScaledObject")
    }
    for windows in hours.values():
        for window in windows:
            assert at(window["start"]) < at(window["end"])
            assert window["start"].split()[2:] == window["end"].split()[2:]
    if values == "exchange":
        for name in ("tapewatch-twse", "tapewatch-engine", "tapewatch-paper", "tapewatch-canary"):
            (window,) = hours[name]
            assert window["timezone"] == "Asia/Taipei"
            assert (at(window["start"]), at(window["end"])) == (time(8, 0), time(13, 40))
            assert window["start"].endswith(" 1-5")


@pytest.mark.slow
def test_a_pod_is_under_one_network_policy_that_lets_it_to_its_servers_alone(values: str) -> None:
    policies = of_kind(values, "NetworkPolicy")
    if not values_of(values)["network"]["enabled"]:
        assert policies == []
        return
    for workload, pod in pods(values):
        labels = pod["metadata"]["labels"]
        (policy,) = [each for each in policies if selects(each["spec"]["podSelector"]["matchLabels"], labels)]
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        open_to = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        settings = settings_of(environment_of(pod))
        broker = int(settings.kafka.bootstrap.rpartition(":")[2])
        wanted = {53, *([] if workload["kind"] == "Job" else [broker])}
        wanted |= {5432} if settings.postgres.url else set()
        wanted |= {9200} if settings.elasticsearch.url else set()
        assert wanted <= open_to
        assert open_to - wanted <= set(values_of(values)["network"]["internet"]["ports"])
        ports = {port["name"] for port in pod["spec"]["containers"][0].get("ports", [])}
        assert {port["port"] for rule in policy["spec"].get("ingress", []) for port in rule["ports"]} == ports


def test_disruptions_take_one_engine_at_a_time(values: str) -> None:
    budgets = {each["metadata"]["name"]: each["spec"] for each in of_kind(values, "PodDisruptionBudget")}
    engines = {each["metadata"]["name"]: pod for each, pod in pods(values) if words_of(pod)[:2] == ["run", "engine"]}
    shared = engines.keys() - {"tapewatch-engine-canary"}
    assert shared <= budgets.keys()
    for name in shared:
        assert budgets[name]["maxUnavailable"] == 1
        assert selects(budgets[name]["selector"]["matchLabels"], engines[name]["metadata"]["labels"])


def test_the_database_is_migrated_before_anything_starts(values: str) -> None:
    (job,) = of_kind(values, "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["db", "migrate"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
