"""k8s/: what is made from the configuration is up to date, and overlays pass strict checks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml
from ray.scripts.scripts import start

import render_manifests
from serve_app.command.environment import FIXED
from serve_app.config_check import check_file
from serve_app.policy.sizing import GATEWAY_BYTES, MIB, RENDERING_BYTES, WORKER_BYTES
from serve_app.settings import AppSettings
from tests.deploy.manifests import (
    OVERLAYS,
    ROOT,
    built,
    pod_specs,
    quantity,
    ray_service,
    ray_service_problems,
)

pytestmark = pytest.mark.integration

KUBERNETES = "1.31"
# Custom resources of others, which the checker of Kubernetes' own does not know.
CUSTOM = {"RayService", "PodMonitor", "PrometheusRule"}
RAY_ENV = "ocr-serve-ray-env"
# What Ray itself needs in a pod of workers: raylet, agents, log monitor, Serve's proxy (measured:
# policy/sizing.py; the rest of its table is on the head node).
RAY_BYTES = 400 * MIB


def start_parameters(service: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Of ``ray start``, by group, as the manifest has them."""
    cluster = service["spec"]["rayClusterConfig"]
    groups = {"head": cluster["headGroupSpec"]}
    groups |= {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    return {name: group["rayStartParams"] for name, group in groups.items()}


def args_of(service: dict[str, Any]) -> AppSettings:
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    return AppSettings.model_validate(config["applications"][0]["args"])


def test_what_is_made_from_the_configuration_is_up_to_date() -> None:
    assert render_manifests.differences() == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_ray_service_has_no_field_that_kuberay_does_not_know(overlay: str) -> None:
    assert ray_service_problems(ray_service(built(overlay))) == []


def test_a_planted_typo_in_the_ray_service_is_found() -> None:
    service = ray_service(built("prod-gpu"))
    cluster = service["spec"]["rayClusterConfig"]
    cluster["workerGroupSpecs"][0]["minReplica"] = 1
    service["spec"]["upgradeStrategy"]["typ"] = "NewCluster"
    found = "\n".join(ray_service_problems(service))
    assert "minReplica" in found
    assert "typ" in found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_serve_configuration_in_it_passes_the_strict_check(
    overlay: str, tmp_path: Path
) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(ray_service(built(overlay))["spec"]["serveConfigV2"], encoding="utf-8")
    assert check_file(file) == []


def test_a_planted_typo_in_the_serve_configuration_is_found(tmp_path: Path) -> None:
    text = ray_service(built("prod-gpu"))["spec"]["serveConfigV2"]
    file = tmp_path / "serve.yaml"
    file.write_text(text.replace("idle_timeout_s", "idle_timeout", 1), encoding="utf-8")
    (problem,) = check_file(file)
    assert "did you mean 'idle_timeout_s'" in str(problem)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_else_is_valid_to_kubernetes(overlay: str) -> None:
    documents = [one for one in built(overlay) if one["kind"] not in CUSTOM]
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_has_rays_variables_and_can_be_selected(overlay: str) -> None:
    documents = built(overlay)
    (variables,) = [one for one in documents if one["metadata"]["name"].startswith(RAY_ENV)]
    assert variables["data"] == dict(FIXED)
    name = variables["metadata"]["name"]
    assert re.fullmatch(f"{RAY_ENV}-[a-z0-9]{{10}}", name), "a change of it rolls out"
    service = ray_service(documents)
    cluster = service["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": name}}]
        labels = group["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/component"] == "ocr-serve-ray"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_are_those_of_the_dockerfiles_with_a_tag(overlay: str) -> None:
    kinds = {file.name.partition(".")[0] for file in (ROOT / "docker").glob("*.Dockerfile")}
    documents = built(overlay)
    images = {
        c["image"]
        for spec in pod_specs(ray_service(documents)).values()
        for c in spec["containers"]
    }
    for job in (one for one in documents if one["kind"] == "Job"):
        images |= {c["image"] for c in job["spec"]["template"]["spec"]["containers"]}
    for image in images:
        match = re.fullmatch(r"ocr-serve-(\w+):[0-9.]+", image)
        assert match, image
        assert match[1] in kinds


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ray_start_knows_the_parameters(overlay: str) -> None:
    """KubeRay makes options of them as they are; a pod with an unknown one never starts."""
    for name, parameters in start_parameters(ray_service(built(overlay))).items():
        start.make_context(name, [f"--{key}={value}" for key, value in parameters.items()])


def test_ray_start_refuses_other_parameters() -> None:
    with pytest.raises(click.NoSuchOption):
        start.make_context("start", ["--memory-bytes=1"])
    with pytest.raises(click.BadParameter):
        start.make_context("start", ["--memory=8Gi"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_as_many_workers_as_ray_places_in_a_pod_fit_into_it(overlay: str) -> None:
    """Ray places by what `ray start` is told; the kernel kills by the pod's limit."""
    service = ray_service(built(overlay))
    settings, specs = args_of(service), pod_specs(service)
    groups = {one["groupName"]: one for one in worker_groups(service)}
    for pool in settings.pools.values():
        group = "gpu" if pool.device == "gpu" else "cpu"
        (container,) = specs[group]["containers"]
        resources, started = container["resources"], groups[group]["rayStartParams"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        limit = quantity(resources["limits"]["memory"]) * settings.pressure.critical
        booked, store = int(started["memory"]), int(started["object-store-memory"])
        cpus = float(started.get("num-cpus", quantity(resources["requests"]["cpu"])))
        gateway = settings.gateway if group == "cpu" else None
        if gateway:
            cpus -= gateway.num_cpus
        places: list[float] = [booked // pool.memory_bytes]
        places += [cpus // pool.num_cpus] if pool.num_cpus else []
        places += [1 // pool.num_gpus] if pool.num_gpus else []
        workers = int(min(places))
        assert workers >= 1
        beside = RAY_BYTES + store + workers * (WORKER_BYTES + RENDERING_BYTES)
        if gateway:  # one: max_replicas_per_node, and a single one in dev-cpu
            beside += GATEWAY_BYTES + gateway.max_body_bytes_total
        assert workers * pool.memory_bytes + beside <= limit
        if pool.device == "gpu":
            assert workers == 2
            assert quantity(resources["limits"]["nvidia.com/gpu"]) == 1
            assert quantity(resources["requests"]["cpu"]) >= workers * 2  # an engine, its pages


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_given_the_time_to_finish_what_they_have_begun(overlay: str) -> None:
    service = ray_service(built(overlay))
    settings = args_of(service)
    needed = {
        "cpu": settings.gateway.request_timeout_s,
        "gpu": max(model.predict_timeout_s for model in settings.models.values()),
    }
    for group, spec in pod_specs(service).items():
        (container,) = spec["containers"]
        drained = float(variables_of(container)["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
        # Then Ray ends its processes.
        assert drained + 30 <= spec["terminationGracePeriodSeconds"], group
        assert drained >= needed.get(group, 0) + (30 if group in needed else 0), group
    hard_stop = float(FIXED["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"])
    http = yaml.safe_load(service["spec"]["serveConfigV2"])["http_options"]
    assert hard_stop > http["request_timeout_s"] > settings.gateway.request_timeout_s


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_slow_answer_does_not_take_a_pod_out_of_the_service(overlay: str) -> None:
    for group, spec in pod_specs(ray_service(built(overlay))).items():
        if group != "head":  # gets no traffic
            probe = spec["containers"][0]["readinessProbe"]
            assert (probe["timeoutSeconds"], probe["failureThreshold"]) == (10, 3)
            command = probe["exec"]["command"][-1]
            assert "52365/api/local_raylet_healthz" in command
            assert "8000/-/healthz" in command


def test_gateways_are_in_different_pods_and_pods_on_different_machines() -> None:
    documents = built("prod-gpu")
    service = ray_service(documents)
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    (gateway,) = config["applications"][0]["deployments"]
    assert gateway == {"name": "gateway", "max_replicas_per_node": 1}
    (cpu,) = [one for one in worker_groups(service) if one["groupName"] == "cpu"]
    assert cpu["minReplicas"] >= args_of(service).gateway.num_replicas
    spread = cpu["template"]["spec"]["topologySpreadConstraints"]
    keys = {one["topologyKey"] for one in spread}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    (budget,) = [one for one in documents if one["kind"] == "PodDisruptionBudget"]
    selected = budget["spec"]["selector"]["matchLabels"]
    assert selected["ray.io/group"] == "cpu"
    assert all(one["labelSelector"]["matchLabels"].items() <= selected.items() for one in spread)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_engine_fetches_weights_from_a_hub(overlay: str) -> None:
    """Several at once would race on the shared volume; a Job fills it before."""
    documents = built(overlay)
    models = args_of(ray_service(documents)).models.values()
    assert {model.weights.source for model in models} <= {"bundled", "directory"}
    assert [one["metadata"]["name"] for one in documents if one["kind"] == "Job"]


def test_what_the_prometheus_operator_selects_by_is_one_variable() -> None:
    documents = built("prod-gpu")
    found = [one for one in documents if one["kind"] in {"PodMonitor", "PrometheusRule"}]
    assert len(found) == 2
    assert {one["metadata"]["labels"]["release"] for one in found} == {"kube-prometheus-stack"}
    assert not [one for one in documents if one["metadata"]["name"] == "ocr-serve-settings"]


def test_the_example_ingress_waits_as_long_and_takes_as_much_as_the_server() -> None:
    (ingress,) = yaml.safe_load_all((ROOT / "k8s/examples/ingress.yaml").read_text())
    kubernetes_validate.validate(ingress, KUBERNETES, strict=True)
    service = ray_service(built("prod-gpu"))
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    told = {
        name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()
    }
    assert (
        int(told["proxy-body-size"].rstrip("m")) * MIB > args_of(service).limits.max_request_bytes
    )
    for name in ("proxy-read-timeout", "proxy-send-timeout"):
        assert int(told[name]) >= config["http_options"]["request_timeout_s"]
    assert config["http_options"]["keep_alive_timeout_s"] > 60  # nginx's upstream-keepalive-timeout
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "ocr-serve-serve-svc", "port": {"number": 8000}}


def worker_groups(service: dict[str, Any]) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return groups


def variables_of(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


def test_the_old_cluster_outlives_the_requests_of_an_upgrade() -> None:
    service = ray_service(built("prod-gpu"))
    deletion_s = service["spec"]["rayClusterDeletionDelaySeconds"]
    assert deletion_s > args_of(service).gateway.request_timeout_s
