"""k8s/: what is made from the configuration is up to date, and overlays pass strict checks."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import render_manifests
from serve_app.command.environment import FIXED
from serve_app.config_check import check_file
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
# What Ray itself needs in a pod beside its workers and the object store.
RAY_BYTES = 2 * 2**30


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
    (variables,) = [one for one in documents if one["metadata"]["name"] == "ocr-serve-ray-env"]
    assert variables["data"] == dict(FIXED)
    service = ray_service(documents)
    cluster = service["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": "ocr-serve-ray-env"}}]
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
def test_what_ray_books_fits_into_the_pods(overlay: str) -> None:
    """A pod's memory is the budget that the application sees; its pools' workers must fit."""
    service = ray_service(built(overlay))
    settings, specs = args_of(service), pod_specs(service)
    for pool in settings.pools.values():
        group = "gpu" if pool.device == "gpu" else "cpu"
        (container,) = specs[group]["containers"]
        resources = container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        shares = math.floor(1 / pool.num_gpus) if pool.num_gpus else 1
        (workers,) = [
            one
            for one in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
            if one["groupName"] == group
        ]
        store = int(workers["rayStartParams"]["object-store-memory"])
        memory = quantity(resources["limits"]["memory"]) - store - RAY_BYTES
        assert memory >= shares * pool.memory_bytes
        cpus = quantity(resources["requests"]["cpu"])
        gateways = settings.gateway.num_cpus if group == "cpu" else 0
        assert cpus >= shares * (pool.num_cpus or 2) + gateways  # two: one engine and its pages
        if pool.device == "gpu":
            assert quantity(resources["limits"]["nvidia.com/gpu"]) == 1


def test_the_old_cluster_outlives_the_requests_of_an_upgrade() -> None:
    service = ray_service(built("prod-gpu"))
    deletion_s = service["spec"]["rayClusterDeletionDelaySeconds"]
    assert deletion_s > args_of(service).gateway.request_timeout_s
