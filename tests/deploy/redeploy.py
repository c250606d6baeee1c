"""``python -m tests.deploy.redeploy ADDRESS CONFIG``: what ``serve deploy CONFIG`` does.

That command goes through Ray's dashboard, which our server leaves out; here the same configuration
goes to Serve's controller directly. Returns when every deployment runs the new version.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import ray
import yaml
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

TIMEOUT_S = 90


def main(address: str, file: str) -> None:
    config = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    ray.init(address, namespace="serve", log_to_driver=False)
    client = _get_global_client()
    client.deploy_apps(ServeDeploySchema.model_validate(config))
    deadline = time.monotonic() + TIMEOUT_S
    time.sleep(2)  # the controller begins
    while any(app.status != "RUNNING" for app in serve.status().applications.values()):
        if time.monotonic() > deadline:
            sys.exit(f"not within {TIMEOUT_S} s: {serve.status()}")
        time.sleep(0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
