"""What Serve says of the deployments, for people and for /readyz."""

from __future__ import annotations

from typing import Any

from serve_app.settings import PoolSettings

# What Serve says of a deployment without replicas that may start one.
WELL = frozenset({"HEALTHY", "UPSCALING", "DOWNSCALING", "UPDATING"})


def deploy_failure() -> str | None:
    """Why the deploy failed, if it did. Only in a process that is connected to Ray."""
    from ray import serve

    for name, application in serve.status().applications.items():
        if application.status == "DEPLOY_FAILED":
            reason = last_line(application.message)
            return f"the deploy of application {name!r} failed: {reason}"
    return None


def deploy_summary() -> str:
    """The state of each deployment, for a person."""
    from ray import serve

    lines = []
    for application in serve.status().applications.values():
        for name, state in application.deployments.items():
            lines.append(f"  {name}: {state.status.value} {last_line(state.message)}".rstrip())
    return "\n".join(lines) or "  nothing is deployed"


def last_line(message: str) -> str:
    """The error at the end of a traceback; the whole of it is in the log above."""
    return message.strip().rpartition("\n")[2]


def pool_status(
    pool: PoolSettings, deployment: Any, no_worker: str | None = None
) -> dict[str, Any]:
    """One pool of /readyz.

    Args:
        deployment: Serve's ``DeploymentStatusOverview``; None if it knows of none.
        no_worker: why no worker is to come.
    """
    states = {} if deployment is None else deployment.replica_states
    running = sum(count for state, count in states.items() if str(state) == "RUNNING")
    status = deployment.status.value if deployment else "UNKNOWN"
    waits_in_vain = no_worker if running == 0 else None
    starts_empty = pool.starts_empty and status in WELL and not waits_in_vain
    facts: dict[str, Any] = {
        "device": pool.device,
        "running_replicas": running,
        "status": status,
        "ready": running > 0 or starts_empty,
        "starts_empty": starts_empty,
    }
    if waits_in_vain:
        facts["no_worker"] = waits_in_vain
    if deployment is not None and not facts["ready"]:
        facts["problem"] = last_line(deployment.message)
    return facts
