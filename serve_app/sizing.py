"""Sizes by the machine: facts are read, ``policy/sizing.py`` plans, ``auto`` becomes numbers.

Twice for each start: by ``ocr-serve run`` before Ray starts, which then is told what it has; and by
``build()`` in the cluster, for what is started in another way. Both come to the same numbers.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from serve_app.api.api_keys import ApiKeysError, KeySource
from serve_app.config_check import ConfigError, check_args, check_file
from serve_app.devices import machine
from serve_app.policy import placement
from serve_app.policy.placement import Resources
from serve_app.policy.sizing import Machine, Plan, has_auto, plan
from serve_app.policy.sizing_table import table, warnings
from serve_app.settings import AppSettings

IN_KUBERNETES = "KUBERNETES_SERVICE_HOST"


def plan_of(config: Mapping[str, Any], *, dashboard: bool = False) -> Plan:
    """For a checked Serve configuration on this machine, before Ray runs."""
    settings = check_args(config["applications"][0].get("args") or {})
    return plan(settings, machine.read(), dashboard=dashboard)


def prerequisites(settings: AppSettings, environ: Mapping[str, str]) -> list[str]:
    """What is missing on this machine beside its size; a line each."""
    found = []
    if settings.auth.required:
        try:
            KeySource(settings.auth, environ)
        except ApiKeysError as error:
            found.append(f"{error} (`ocr-serve key NAME` makes one)")
    missing = {
        str(path)
        for model in settings.models.values()
        for path in (model.weights.directory, model.weights.hashes_file)
        if path is not None and not path.exists()
    }
    found += [
        f"no weights: {path} is not there (models.*.weights; `ocr-serve weights fetch`)"
        for path in sorted(missing)
    ]
    return found


def objections(made: Plan, environ: Mapping[str, str]) -> list[str]:
    """Everything for which a start on this machine alone would be in vain; a line each."""
    there = Resources(made.num_cpus, made.machine.gpus, made.left_bytes)
    sized = [made.missing] if made.missing else placement.problems(made.settings, there)
    return [*prerequisites(made.settings, environ), *sized]


def told_to_ray(made: Plan) -> dict[str, Any]:
    """What Ray is told to have, in arguments of ``ray.init``."""
    told = {
        "num_cpus": made.num_cpus,
        "object_store_memory": made.store_bytes,
        "_memory": made.left_bytes,
    }
    # Ray would come to the same, with a warning of its own.
    return {**told, "_plasma_directory": tempfile.gettempdir()} if made.store_is_slow else told


def explain(file: Path, environ: Mapping[str, str] = os.environ) -> tuple[list[str], list[str]]:
    """The table for a configuration on this machine, and what is wrong."""
    if problems := check_file(file):
        return [], [str(problem) for problem in problems]
    made = plan_of(yaml.safe_load(file.read_text(encoding="utf-8")))
    lines = [*table(made), *(f"warning: {warning}" for warning in warnings(made))]
    return lines, [f"{file}: {line}" for line in objections(made, environ)]


def sized(settings: AppSettings) -> AppSettings:
    """Without any ``auto``, for where the application is built: in the cluster, or without Ray.

    Raises:
        ConfigError: the cluster is this machine alone, and what is booked will never fit; or
            something is ``auto`` and no node says how large it is.
    """
    import ray

    if not ray.is_initialized():
        return plan(settings, machine.read()).settings if has_auto(settings) else settings
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if len(nodes) == 1 and nodes[0].get("CPU", 0) > 0 and IN_KUBERNETES not in os.environ:
        made = plan(settings, _this(nodes[0]))
        if not more_may_come() and (found := objections(made, os.environ)):
            raise ConfigError(*found)
        return made.settings
    return plan(settings, _smallest(nodes)).settings if has_auto(settings) else settings


def more_may_come() -> bool:
    """Whether Ray's autoscaler has been told how to add nodes to this cluster.

    Nothing of Ray's tells; its monitor runs beside every head node, with a file if it may.
    """
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or ()
        if any(part.endswith("/monitor.py") for part in line) and any(
            part.startswith("--autoscaling-config=") for part in line
        ):
            return True
    return False


def _this(resources: Mapping[str, float]) -> Machine:
    # What is in use here by now is mostly Ray's own; its resource was sized before that.
    return dataclasses.replace(
        machine.read(),
        in_use_bytes=0,
        gpus=resources.get("GPU", 0.0),
        ray_bytes=int(resources.get("memory", 0)),
    )


def _smallest(nodes: Sequence[Mapping[str, float]]) -> Machine:
    with_cpus = [node for node in nodes if node.get("CPU", 0) > 0]
    if not with_cpus:
        raise ConfigError("something is `auto`, and there is no node yet to size it by: a number")
    node = min(with_cpus, key=lambda one: one.get("memory", 0))
    memory = int(node.get("memory", 0))
    return Machine(memory, "Ray's resource", 0, node["CPU"], node.get("GPU", 0.0), ray_bytes=memory)
