"""build(args): the whole system as a Serve application.

The only place with deployments, binds, options and deployment names.
"""

# No `from __future__ import annotations` here: Serve reads build's annotation at run time.
from typing import Any

from ray import serve
from ray.serve import Application

from serve_app.config_check import check_args
from serve_app.deployments.gateway import Gateway
from serve_app.deployments.ocr_service import OCRService
from serve_app.settings import AppSettings, PoolSettings

GATEWAY = "gateway"

# Calls of the control plane must pass while pages wait: a replica takes more calls than pages.
CONTROL_CALLS = 8


def pool_deployment_name(pool: str) -> str:
    """``cpu`` → ``pool-cpu``."""
    return f"pool-{pool}"


def build(args: dict[str, Any]) -> Application:
    """The application that ``serve run configs/*.yaml`` starts.

    Raises:
        ConfigError: the args have unknown keys or wrong values; all of them are named.
    """
    settings = check_args(args)
    pools = {name: _pool(name, pool, settings) for name, pool in settings.pools.items()}
    gateway = serve.deployment(serve.ingress()(Gateway)).options(
        name=GATEWAY,
        num_replicas=settings.gateway.num_replicas,
        ray_actor_options={"num_cpus": settings.gateway.num_cpus},
        max_ongoing_requests=settings.gateway.max_ongoing_requests,
        max_queued_requests=settings.gateway.max_queued_requests,
    )
    return gateway.bind(settings, pools)


def _pool(name: str, pool: PoolSettings, settings: AppSettings) -> Application:
    deployment = serve.deployment(OCRService).options(
        name=pool_deployment_name(name),
        num_replicas=pool.num_replicas,
        ray_actor_options={
            "num_cpus": pool.num_cpus,
            "num_gpus": pool.num_gpus,
            "memory": pool.memory_bytes,
        },
        max_ongoing_requests=pool.max_queued_pages + CONTROL_CALLS,
        max_queued_requests=pool.max_queued_pages,
    )
    return deployment.bind(name, settings)

