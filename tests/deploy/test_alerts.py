"""k8s/monitoring/alerts.yaml as Prometheus itself reads it: valid, and firing when it is to.

`promtool` is in Debian's package `prometheus` (`scripts/check_system.py --apt --tests`).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import ROOT

PROMTOOL = shutil.which("promtool")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROMTOOL is None, reason="no promtool (Debian's package prometheus)"),
]

ALERTS = ROOT / "k8s/monitoring/alerts.yaml"
CASES = Path(__file__).with_name("alert_cases.yaml")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    command = [PROMTOOL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules without what Kubernetes puts around them."""
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(ALERTS.read_text())["spec"]), encoding="utf-8")
    return file


def test_prometheus_accepts_every_rule(rules: Path) -> None:
    checked = promtool("check", "rules", str(rules))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_fire_and_clear(rules: Path) -> None:
    file = rules.with_name("cases.yaml")
    cases = {"rule_files": [rules.name], **_cases(rules)}
    file.write_text(yaml.safe_dump(cases), encoding="utf-8")
    tested = promtool("test", "rules", str(file))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_has_a_case(rules: Path) -> None:
    groups = yaml.safe_load(rules.read_text())["groups"]
    declared = {rule["alert"] for group in groups for rule in group["rules"]}
    fired = {
        case["alertname"]
        for test in yaml.safe_load(CASES.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == declared


def _cases(rules: Path) -> dict[str, Any]:
    """The cases; what an alert says and how severe it is is taken from its rule."""
    groups = yaml.safe_load(rules.read_text())["groups"]
    by_name = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    cases: dict[str, Any] = yaml.safe_load(CASES.read_text())
    for test in cases["tests"]:
        for case in test["alert_rule_test"]:
            rule = by_name[case["alertname"]]
            for expected in case.setdefault("exp_alerts", []):
                labels = expected.setdefault("exp_labels", {})
                summary = rule["annotations"]["summary"]
                for name, value in labels.items():
                    summary = summary.replace(f"{{{{ $labels.{name} }}}}", value)
                expected["exp_annotations"] = {"summary": summary}
                expected["exp_labels"] = {**labels, **rule["labels"]}
    return cases
