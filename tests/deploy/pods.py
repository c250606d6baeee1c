"""The pods of an overlay as Kubernetes gets to see them, and Pod Security's `restricted` for them.

KubeRay adds to what the RayService says: the autoscaler beside the head node, and before each
worker a container that waits for it (a copy of the worker's own security context).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from tests.deploy.manifests import pod_specs, ray_service

# https://kubernetes.io/docs/concepts/security/pod-security-standards/, "Restricted".
VOLUME_TYPES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
    *("persistentVolumeClaim", "projected", "secret"),
}
SECCOMP = {"RuntimeDefault", "Localhost"}
ALLOWED_CAPABILITIES = {"NET_BIND_SERVICE"}


def pods(documents: tuple[dict[str, Any], ...]) -> dict[str, dict[str, Any]]:
    """Pod specs by what they are: ``head``, ``worker cpu``, ``job ocr-serve-weights``, …"""
    service = ray_service(documents)
    found: dict[str, dict[str, Any]] = {}
    for group, spec in pod_specs(service).items():
        spec = copy.deepcopy(spec)
        if group == "head":
            spec["containers"].append(autoscaler(service))
        else:
            waits = {"name": "wait-gcs-ready", "resources": spec["containers"][0]["resources"]}
            waits["securityContext"] = spec["containers"][0].get("securityContext", {})
            spec["initContainers"] = [*spec.get("initContainers", []), waits]
        found["head" if group == "head" else f"worker {group}"] = spec
    for document in documents:
        if document["kind"] == "Job":
            found[f"job {document['metadata']['name']}"] = document["spec"]["template"]["spec"]
    return found


def autoscaler(service: dict[str, Any]) -> dict[str, Any]:
    """The container that KubeRay makes of ``autoscalerOptions``."""
    options = service["spec"]["rayClusterConfig"].get("autoscalerOptions", {})
    taken = ("resources", "securityContext", "volumeMounts", "env")
    return {"name": "autoscaler", **{key: options[key] for key in taken if key in options}}


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def restricted_problems(spec: dict[str, Any]) -> list[str]:
    """What Pod Security's level `restricted` refuses in a pod."""
    return [*_of_the_pod(spec), *(p for one in containers(spec) for p in _of_one(spec, one))]


def _of_the_pod(spec: dict[str, Any]) -> Iterator[str]:
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(shared):
            yield shared
    for volume in spec.get("volumes", []):
        if wrong := set(volume) - {"name"} - VOLUME_TYPES:
            yield f"volume {volume['name']}: {sorted(wrong)}"
    if spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls"


def _of_one(spec: dict[str, Any], container: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = {**spec.get("securityContext", {}), **own}
    name = container["name"]
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation"
    if both.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot"
    if both.get("runAsUser") == 0:
        yield f"{name}: runAsUser"
    if both.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield f"{name}: seccompProfile"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name}: capabilities.drop"
    if set(capabilities.get("add", [])) - ALLOWED_CAPABILITIES:
        yield f"{name}: capabilities.add"
    if own.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name}: hostPort"
