"""Write what images and Kubernetes manifests repeat: Serve configurations, and Ray's variables.

``configs/*.yaml`` and ``serve_app/command/ray.env`` are the source; kustomize reads only files
below its own folder, so the manifests hold copies. ``make manifests`` writes them, a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "# Made from {source} by `make manifests`; change it there.\n"

LOCAL = "configs/local.yaml"
# What each image runs by default.
IMAGES = {"docker/local.yaml": LOCAL, "docker/gpu.yaml": "configs/gpu.yaml"}

# What is different in a pod: every address is listened to (the pod's own), the keys are a mounted
# secret, the weights a mounted volume.
EVERY_ADDRESS = "0.0.0.0"  # nosec B104  # of a pod, which network-policy.yaml guards
IN_A_POD = {"http_options": {"host": EVERY_ADDRESS, "port": 8000}, "proxy_location": "EveryNode"}
# What is sized by the machine elsewhere: pods are declared, and the same wherever they run.
DEV_SIZES = {
    "models": {
        "ocr": {"max_concurrent_predictions": 2},
        "structure": {"max_concurrent_predictions": 2},
    },
    "pools": {"cpu": {"num_replicas": 1, "memory_bytes": 4 * 2**30}},
    "gateway": {"max_body_bytes_total": 2**28},
    "documents": {"render_memory_bytes": 2**29, "assembly_memory_bytes": 2**29},
}
OVERLAYS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "dev-cpu": (LOCAL, DEV_SIZES),
    "prod-gpu": ("configs/prod.yaml", {"auth": {"keys_file": "/etc/ocr-serve/keys.yaml"}}),
}
# Options of Serve's deployments, beside the arguments: a machine takes one gateway with it.
DEPLOYMENTS: Mapping[str, list[dict[str, Any]]] = {
    "prod-gpu": [{"name": "gateway", "max_replicas_per_node": 1}],
}
CACHE_DIR = "/cache/ocr-serve"
# Where the volume and the ConfigMap of pinned models are mounted.
PINNED = {
    "directory": "/cache/models",
    "hashes_file": "/etc/ocr-serve-weights/weights.sha256",
}


class _Text(str):
    """A string that is written as a block, line by line."""


def _as_block(dumper: yaml.SafeDumper, text: _Text) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


yaml.SafeDumper.add_representer(_Text, _as_block)


def serve_config(
    source: str, args: Mapping[str, Any], *, cache_dir: str | None = CACHE_DIR
) -> dict[str, Any]:
    """The configuration of a file as it is in a pod; ``args`` are merged into the application's.

    ``cache_dir``: of the bundled weights; None: as the image's own variable says.
    """
    config: dict[str, Any] = yaml.safe_load((ROOT / source).read_text(encoding="utf-8"))
    _merge(config, IN_A_POD)
    own = config["applications"][0]["args"]
    _merge(own, args)
    for model in own["models"].values():
        wanted = model.get("weights", {}).get("source", "bundled")
        if wanted == "directory":
            _merge(model, {"weights": PINNED})
        elif cache_dir and wanted == "bundled":
            _merge(model, {"weights": {"source": "bundled", "cache_dir": cache_dir}})
    return config


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def rendered() -> dict[Path, str]:
    """Every file that is made, with its text."""
    variables = (ROOT / "serve_app/command/ray.env").read_text(encoding="utf-8")
    files = {
        Path("k8s/base/ray.env"): NOTICE.format(source="serve_app/command/ray.env") + variables
    }
    for overlay, (source_file, args) in OVERLAYS.items():
        serve = serve_config(source_file, args)
        if deployments := DEPLOYMENTS.get(overlay):
            serve["applications"][0]["deployments"] = deployments
        config = yaml.safe_dump(serve, sort_keys=False, width=100)
        patch = {
            "apiVersion": "ray.io/v1",
            "kind": "RayService",
            "metadata": {"name": "ocr-serve"},
            "spec": {"serveConfigV2": _Text(config)},
        }
        text = yaml.safe_dump(patch, sort_keys=False, width=100)
        path = Path(f"k8s/overlays/{overlay}/serve-config.yaml")
        files[path] = NOTICE.format(source=source_file) + text
    for name, source_file in IMAGES.items():
        serve = serve_config(source_file, {}, cache_dir=None)
        text = yaml.safe_dump(serve, sort_keys=False, width=100)
        files[Path(name)] = NOTICE.format(source=source_file) + text
    return files


def differences() -> list[str]:
    """The files that are not what they are made from."""
    return [
        str(path)
        for path, text in rendered().items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != text
    ]


def main() -> None:
    """Write them."""
    for path, text in rendered().items():
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
