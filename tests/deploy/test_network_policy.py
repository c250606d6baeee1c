"""Who may reach the pods, and whom they may reach: of every pod of every overlay.

The policies are read as Kubernetes reads them: a pod that any policy selects gets what at least one
of them allows, and nothing else.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from tests.deploy.manifests import OVERLAYS, built, ray_service

pytestmark = pytest.mark.integration

METADATA = ipaddress.ip_address("169.254.169.254")
PUBLIC = ipaddress.ip_address("203.0.113.7")
Documents = tuple[dict[str, Any], ...]


def labels(documents: Documents) -> dict[str, dict[str, str]]:
    """The labels of each kind of pod; KubeRay adds its own."""
    cluster = ray_service(documents)["spec"]["rayClusterConfig"]
    found = {"head": {**_labels(cluster["headGroupSpec"]), "ray.io/node-type": "head"}}
    for group in cluster["workerGroupSpecs"]:
        found[f"worker {group['groupName']}"] = {**_labels(group), "ray.io/node-type": "worker"}
    for job in (one for one in documents if one["kind"] == "Job"):
        found["job"] = _labels(job["spec"])
    return found


def _labels(owner: dict[str, Any]) -> dict[str, str]:
    told: dict[str, str] = owner["template"]["metadata"]["labels"]
    return told


def matches(selector: dict[str, Any] | None, given: dict[str, str]) -> bool:
    """Label selectors with ``matchLabels`` only, which are all that is used here."""
    assert set(selector or {}) <= {"matchLabels"}
    wanted: dict[str, str] = (selector or {}).get("matchLabels", {})
    return wanted.items() <= given.items()


def rules(documents: Documents, pod: dict[str, str], way: str) -> list[dict[str, Any]] | None:
    """All rules of the policies that select the pod; None: none does, and everything is open."""
    selecting = [
        one["spec"]
        for one in documents
        if one["kind"] == "NetworkPolicy"
        and way.capitalize() in one["spec"]["policyTypes"]
        and matches(one["spec"]["podSelector"], pod)
    ]
    return [rule for one in selecting for rule in one.get(way, [])] if selecting else None


def address_is_allowed(documents: Documents, pod: dict[str, str], address: Any, port: int) -> bool:
    for rule in rules(documents, pod, "egress") or []:
        ports = [one["port"] for one in rule.get("ports", [])]
        for peer in rule.get("to", []):
            block = peer.get("ipBlock")
            if block is None or (ports and port not in ports):
                continue
            cut = [ipaddress.ip_network(one) for one in block.get("except", [])]
            inside = address in ipaddress.ip_network(block["cidr"])
            if inside and not any(address in one for one in cut):
                return True
    return False


def pods_allowed(documents: Documents, pod: dict[str, str]) -> set[tuple[str, int | None]]:
    """(label of the pods that may be asked, port) of the egress rules."""
    return {
        ("=".join(next(iter(peer["podSelector"]["matchLabels"].items()))), port)
        for rule in rules(documents, pod, "egress") or []
        for peer in rule.get("to", [])
        if "podSelector" in peer
        for port in [one["port"] for one in rule.get("ports", [])] or [None]
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_is_open_in_either_way(overlay: str) -> None:
    documents = built(overlay)
    for name, pod in labels(documents).items():
        assert rules(documents, pod, "ingress") is not None, name
        assert rules(documents, pod, "egress") is not None, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_rule_names_its_other_side_and_its_ports(overlay: str) -> None:
    documents = built(overlay)
    for name, pod in labels(documents).items():
        for way, side in (("ingress", "from"), ("egress", "to")):
            for rule in rules(documents, pod, way) or []:
                assert rule.get(side), f"{name}: {way} with anybody"
                for peer in rule[side]:
                    assert peer, f"{name}: {way} with anybody"
                    for selector in ("podSelector", "namespaceSelector"):
                        if selector in peer:
                            assert peer[selector].get("matchLabels"), f"{name}: any {selector}"
                own = all(peer == {"podSelector": ours()} for peer in rule[side])
                assert own or rule.get("ports"), f"{name}: {way} on all ports"


def ours() -> dict[str, Any]:
    return {"matchLabels": {"app.kubernetes.io/component": "ocr-serve-ray"}}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nobody_reaches_the_metadata_address(overlay: str) -> None:
    documents = built(overlay)
    for name, pod in labels(documents).items():
        for port in (80, 443, 6443):
            assert not address_is_allowed(documents, pod, METADATA, port), (name, port)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_workers_reach_no_address_outside_and_the_others_only_what_they_need(overlay: str) -> None:
    documents = built(overlay)
    for name, pod in labels(documents).items():
        reached = {
            port for port in (22, 80, 443, 6443) if address_is_allowed(documents, pod, PUBLIC, port)
        }
        wanted = {"head": {443, 6443}, "job": {443}}.get(name, set())
        assert reached == wanted, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_reach_ray_names_and_redis(overlay: str) -> None:
    documents = built(overlay)
    dns = {("k8s-app=kube-dns", 53)}
    ray = {("app.kubernetes.io/component=ocr-serve-ray", None)}
    redis = {("app.kubernetes.io/name=redis", 6379)} if overlay == "prod-gpu" else set()
    for name, pod in labels(documents).items():
        assert pods_allowed(documents, pod) == (dns if name == "job" else dns | ray | redis), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_http_port_is_for_labelled_clients_and_the_operator(overlay: str) -> None:
    documents = built(overlay)
    client = {"matchLabels": {"ocr-serve/client": "true"}}
    for name, pod in labels(documents).items():
        asking = [
            peer
            for rule in rules(documents, pod, "ingress") or []
            if 8000 in [one["port"] for one in rule.get("ports", [])]
            for peer in rule["from"]
        ]
        if name == "job":
            assert rules(documents, pod, "ingress") == []
            continue
        assert asking[:2] == [{"namespaceSelector": client}, {"podSelector": client}], name
        (operator,) = asking[2:]
        assert set(operator) == {"namespaceSelector", "podSelector"}, "both must fit"
