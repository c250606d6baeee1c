"""A start that would be in vain ends before Ray starts, with what is needed and what is there.

How long it takes is counted in CPU time: other tests may keep the machine busy.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.server import ROOT, app_args, free_port, shipped_config

pytestmark = pytest.mark.e2e

WITHIN_S = 10.0


def start(config: dict[str, Any], folder: Path) -> tuple[int, str, float]:
    """Exit code, stderr, and seconds."""
    config["http_options"] |= {"host": "127.0.0.1", "port": free_port()}
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    without = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "OCR_SERVE_API"))}
    before = cpu_s()
    ended = subprocess.run(
        [sys.executable, "-m", "serve_app", "run", str(file)],
        cwd=ROOT,
        env={**without, "OCR_SERVE_STATE": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ended.returncode, ended.stderr, cpu_s() - before


def cpu_s() -> float:
    """Of the children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_pool_that_can_never_be_placed(tmp_path: Path) -> None:
    config = shipped_config()
    app_args(config)["pools"]["cpu"]["memory_bytes"] = 64 * 2**40
    code, said, seconds = start(config, tmp_path)
    assert code == 1
    assert "too little memory: 65536.0 GiB are booked (pool cpu 1 x 65536.0 GiB), and" in said
    assert seconds < WITHIN_S


def test_what_prod_yaml_needs_is_one_line_each(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "configs/prod.yaml").read_text())
    weights = {"source": "directory", "directory": "/nowhere", "hashes_file": __file__}
    app_args(config)["models"]["ocr"]["weights"] = weights
    app_args(config)["pools"]["cpu"]["num_cpus"] = 4096
    app_args(config)["pools"]["gpu"]["num_gpus"] = 1
    app_args(config)["pools"]["gpu"]["autoscaling"]["min_replicas"] = 4
    app_args(config)["pools"]["gpu"]["autoscaling"]["max_replicas"] = 4096
    code, said, _ = start(config, tmp_path)
    lines = [line.removeprefix("ocr-serve: ") for line in said.splitlines()]
    assert code == 1
    for start_ in ("auth.required is true, but there are no API keys", "no weights: /nowhere"):
        assert sum(line.startswith(start_) for line in lines) == 1, said
    assert sum("CPUs: 40" in line for line in lines) == 1, said
    assert sum("GPU" in line and "booked" in line for line in lines) == 1, said
