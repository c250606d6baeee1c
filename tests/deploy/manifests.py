"""The Kubernetes manifests as kustomize builds them, and strict checks without a cluster."""

from __future__ import annotations

import copy
import functools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("dev-cpu", "prod-gpu")
# KubeRay's definition of a RayService, which is kept outside of the repository.
CRD = Path(
    os.environ.get(
        "OCR_SERVE_RAYSERVICE_CRD",
        ROOT.parent / "shared" / "kuberay" / "ray.io_rayservices.v1.7.0.yaml",
    )
)
KUSTOMIZE_MAJOR = 5


@functools.cache
def built(overlay: str, root: Path = ROOT) -> tuple[dict[str, Any], ...]:
    """What ``kubectl kustomize`` makes of an overlay; skips where there is no kubectl.

    ``root``: of the folder ``k8s``.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None or _kustomize_major(kubectl) < KUSTOMIZE_MAJOR:
        pytest.skip(f"no kubectl with kustomize {KUSTOMIZE_MAJOR} or newer")
    folder = str(root / "k8s" / "overlays" / overlay)
    made = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 0, made.stderr
    return tuple(yaml.safe_load_all(made.stdout))


def _kustomize_major(kubectl: str) -> int:
    command = [kubectl, "version", "--client", "--output=yaml"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    version = re.search(r"kustomizeVersion: v(\d+)", told)
    return int(version[1]) if version else 0


def ray_service(documents: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """The only RayService, as a copy to be changed at will."""
    (found,) = [document for document in documents if document["kind"] == "RayService"]
    return copy.deepcopy(found)


@functools.cache
def ray_service_schema() -> dict[str, Any]:
    """JSON Schema of a RayService that knows no other fields than the CRD's."""
    if not CRD.is_file():
        pytest.skip(f"no {CRD}; set OCR_SERVE_RAYSERVICE_CRD")
    crd = yaml.load(CRD.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (version,) = [one for one in crd["spec"]["versions"] if one["name"] == "v1"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    _forbid_unknown(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def ray_service_problems(document: dict[str, Any]) -> list[str]:
    """What is wrong with it, each with its place."""
    validator = jsonschema.Draft7Validator(ray_service_schema())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def _forbid_unknown(schema: dict[str, Any]) -> None:
    """From a structural schema of Kubernetes to a strict one of JSON Schema, in place."""
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("anyOf", None)
        schema["type"] = ["integer", "string"]
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for inner in schema.get("properties", {}).values():
        _forbid_unknown(inner)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            _forbid_unknown(schema[key])


def pod_specs(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By group: the head and each group of workers."""
    cluster = service["spec"]["rayClusterConfig"]
    groups = {"head": cluster["headGroupSpec"]}
    groups |= {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    return {name: group["template"]["spec"] for name, group in groups.items()}


def quantity(text: str | int | float) -> float:
    """A Kubernetes quantity as a number: ``250m`` → 0.25, ``8Gi`` → 8 × 2**30."""
    units = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "": 1}
    match = re.fullmatch(r"([0-9.]+)(m|Ki|Mi|Gi|)", str(text))
    assert match, f"no quantity: {text}"
    return float(match[1]) * units[match[2]]
