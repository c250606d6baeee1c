"""What a pod may do, whatever runs in it: of every pod of every overlay."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from render_manifests import PINNED
from serve_app.settings import AppSettings
from tests.deploy.manifests import OVERLAYS, ROOT, built, quantity, ray_service
from tests.deploy.pods import containers, pods, restricted_problems

pytestmark = pytest.mark.integration

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
WEIGHTS = "ocr-serve-weights"
# What has to be written to: Ray's sessions and libraries' temporary files, and the home folder.
WRITTEN = {"/tmp", "/home/ocr"}


def writable(spec: dict[str, Any], container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Path → volume of what a container may write to."""
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    return {
        mount["mountPath"]: volumes[mount["name"]]
        for mount in container.get("volumeMounts", [])
        if not mount.get("readOnly")
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_passes_restricted(overlay: str) -> None:
    found = {name: restricted_problems(spec) for name, spec in pods(built(overlay)).items()}
    assert len(found) >= 3
    assert found == {name: [] for name in found}


def test_an_autoscaler_without_a_security_context_would_be_found() -> None:
    documents = copy.deepcopy(built("prod-gpu"))
    (service,) = [one for one in documents if one["kind"] == "RayService"]
    del service["spec"]["rayClusterConfig"]["autoscalerOptions"]["securityContext"]
    found = restricted_problems(pods(documents)["head"])
    assert "autoscaler: allowPrivilegeEscalation" in found
    assert "autoscaler: capabilities.drop" in found


def test_a_volume_of_the_node_would_be_found() -> None:
    spec = copy.deepcopy(pods(built("dev-cpu"))["worker cpu"])
    spec["volumes"].append({"name": "node", "hostPath": {"path": "/"}})
    spec["hostPID"] = True
    assert restricted_problems(spec) == ["hostPID", "volume node: ['hostPath']"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_autoscaler_has_a_token_of_kubernetes(overlay: str) -> None:
    holders = []
    for name, spec in pods(built(overlay)).items():
        assert spec["automountServiceAccountToken"] is False, name
        tokens = {
            volume["name"]
            for volume in spec.get("volumes", [])
            for source in volume.get("projected", {}).get("sources", [])
            if "serviceAccountToken" in source
        }
        for container in containers(spec):
            for mount in container.get("volumeMounts", []):
                if mount["name"] in tokens or mount["mountPath"].startswith(SERVICE_ACCOUNT):
                    holders.append((name, container["name"], mount["mountPath"]))
    assert holders == [("head", "autoscaler", SERVICE_ACCOUNT)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_root_file_systems_are_read_only_and_what_is_written_to_has_a_limit(overlay: str) -> None:
    for name, spec in pods(built(overlay)).items():
        for container in containers(spec):
            where = f"{name}, {container['name']}"
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, where
            if container["name"] == "wait-gcs-ready":
                continue  # KubeRay's own; it asks one address and writes nothing
            places = writable(spec, container)
            wanted = {"/tmp"} if container["name"] == "autoscaler" else WRITTEN
            assert wanted <= set(places), where
            for path in wanted:
                assert quantity(places[path]["emptyDir"]["sizeLimit"]) > 0, (where, path)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_job_writes_to_the_weights(overlay: str) -> None:
    writers = []
    for name, spec in pods(built(overlay)).items():
        for container in containers(spec):
            for volume in writable(spec, container).values():
                if volume.get("persistentVolumeClaim", {}).get("claimName") == WEIGHTS:
                    writers.append((name, container["name"]))
    assert writers == [(f"job {WEIGHTS}", "pull")]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_asks_for_local_storage_and_is_held_to_it(overlay: str) -> None:
    for name, spec in pods(built(overlay)).items():
        for container in spec["containers"]:
            resources = container["resources"]
            asked = quantity(resources["requests"]["ephemeral-storage"])
            limit = quantity(resources["limits"]["ephemeral-storage"])
            assert 0 < asked <= limit, (name, container["name"])
            shares = [
                quantity(volume["emptyDir"]["sizeLimit"])
                for volume in writable(spec, container).values()
                if "emptyDir" in volume
            ]
            # Beside the volumes there are the container's own log lines.
            assert sum(shares) < limit, (name, container["name"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_the_configuration_names_is_mounted_and_cannot_be_written_to(overlay: str) -> None:
    documents = built(overlay)
    service = ray_service(documents)
    args = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][0]["args"]
    settings = AppSettings.model_validate(args)
    named = {settings.auth.keys_file} | {
        path
        for model in settings.models.values()
        for path in (model.weights.hashes_file, model.weights.directory, model.weights.cache_dir)
    }
    paths = {str(path) for path in named if path is not None}
    assert paths
    for name, spec in pods(documents).items():
        if not name.startswith("worker"):
            continue
        mounts = [m for m in spec["containers"][0]["volumeMounts"] if m.get("readOnly")]
        for path in paths:
            assert [m for m in mounts if path.startswith(m["mountPath"])], (name, path)


def job_command(documents: tuple[dict[str, Any], ...]) -> list[str]:
    (job,) = [one for one in documents if one["kind"] == "Job"]
    command: list[str] = job["spec"]["template"]["spec"]["containers"][0]["command"]
    return command


def test_production_loads_nothing_that_is_not_pinned() -> None:
    """The bundled weights are, by hashes in the code."""
    args = yaml.safe_load(ray_service(built("prod-gpu"))["spec"]["serveConfigV2"])
    models = AppSettings.model_validate(args["applications"][0]["args"]).models.values()
    assert {model.weights.source for model in models} == {"bundled"}
    assert job_command(built("prod-gpu"))[:3] == ["ocr-serve", "weights", "pull"]


def test_the_official_models_are_two_lines_away_and_pinned(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    file = tmp_path / "k8s" / "overlays" / "prod-gpu" / "kustomization.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count("  # - {target") == 2
    file.write_text(text.replace("  # - {target", "  - {target"), encoding="utf-8")
    documents = built("prod-gpu", tmp_path)
    folder, hashes = PINNED["directory"], PINNED["hashes_file"]
    command = job_command(documents)
    assert command == ["ocr-serve", "weights", "fetch", folder, f"--hashes-file={hashes}"]
    for name, spec in pods(documents).items():
        mounts = spec["containers"][0]["volumeMounts"]
        if name.startswith(("worker", "head", "job")):
            assert any(hashes.startswith(one["mountPath"] + "/") for one in mounts), name
