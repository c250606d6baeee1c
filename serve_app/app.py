"""build(args): the whole system as a Serve application.

The only place with deployments, binds, options and deployment names.
"""

# No `from __future__ import annotations` here: Serve reads build's annotation at run time.
import warnings
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig
from ray.serve.handle import DeploymentHandle

from serve_app.config_check import check_args
from serve_app.control.model_registry import ModelRegistry
from serve_app.devices.heap import hand_back_freed_memory
from serve_app.gateway.gateway import Gateway
from serve_app.node_address import listen_where_the_node_does
from serve_app.policy.placement import SINGLETON_CPUS
from serve_app.settings import AppSettings, AutoscalingSettings, PoolSettings
from serve_app.sizing import sized
from serve_app.worker.ocr_service import OCRService

GATEWAY, REGISTRY = "gateway", "model-registry"

# Calls of the control plane must pass while pages wait: a replica takes more calls than pages.
CONTROL_CALLS = 8

# The gateway refuses what is too much itself, with a Retry-After: Serve must hand it over at once.
REFUSALS = 1000

# How often a replica that is to stop looks whether its calls have ended; Serve's 2 s make a stop of
# the whole application twice as long.
SHUTDOWN_POLL_S = 0.2

# How often Serve asks a worker for what the routers go by, seconds. Where there is only one worker,
# there is nothing to choose.
ROUTING_STATS_S, LONE_ROUTING_STATS_S = 1.0, 5.0

# How often a worker tells its pages to the autoscaler, and over how long Serve takes its own means.
AUTOSCALING_INTERVAL_S = 1.0
AUTOSCALING_LOOK_BACK_S = 2.5

# One, whatever happens; it answers in microseconds and holds almost nothing.
SINGLETON = {
    "num_replicas": 1,
    "max_ongoing_requests": 1000,
    "ray_actor_options": {"num_cpus": SINGLETON_CPUS},
    "health_check_period_s": 2,
    "health_check_timeout_s": 5,
    "graceful_shutdown_wait_loop_s": SHUTDOWN_POLL_S,
}


class Edge(Gateway):
    """Gateway as Serve makes it."""

    def __init__(
        self,
        settings: AppSettings,
        pools: dict[str, DeploymentHandle],
        registry: DeploymentHandle,
    ) -> None:
        listen_where_the_node_does()
        super().__init__(settings, pools, registry)


class PoolReplica(OCRService):
    """OCRService as Serve makes and ends it."""

    def __init__(self, pool: str, settings: AppSettings, registry: DeploymentHandle) -> None:
        listen_where_the_node_does()
        hand_back_freed_memory()
        super().__init__(pool, settings, registry=registry)

    async def __del__(self) -> None:
        """Called by Serve, once, when the replica stops."""
        await self.close()


class Registry(ModelRegistry):
    """ModelRegistry as Serve makes and ends it."""

    def __init__(self, settings: AppSettings) -> None:
        listen_where_the_node_does()
        super().__init__(settings)

    async def __del__(self) -> None:
        """Called by Serve, once, when the replica stops."""
        await self.close()


def pool_deployment_name(pool: str) -> str:
    """``cpu`` → ``pool-cpu``."""
    return f"pool-{pool}"


def build(args: dict[str, Any]) -> Application:
    """The application that ``serve run configs/*.yaml`` starts.

    Raises:
        ConfigError: the args have unknown keys or wrong values, or what they book can never be
            there; all of it is named.
    """
    return application(check_args(args))


def application(settings: AppSettings, pool_replica: type[OCRService] = PoolReplica) -> Application:
    """The deployments and who knows whom; tests give a replica with fake engines."""
    settings = sized(settings)
    registry = serve.deployment(Registry).options(name=REGISTRY, **SINGLETON).bind(settings)
    pools = {
        name: _pool(name, pool, settings, pool_replica).bind(name, settings, registry)
        for name, pool in settings.pools.items()
    }
    gateway = serve.deployment(serve.ingress()(Edge)).options(
        name=GATEWAY,
        num_replicas=settings.gateway.num_replicas,
        ray_actor_options={"num_cpus": settings.gateway.num_cpus},
        max_ongoing_requests=settings.gateway.max_ongoing_requests
        + settings.gateway.max_uploads
        + settings.jobs.max_waiting
        + REFUSALS,
        max_queued_requests=settings.gateway.max_queued_requests,
        # One that is replaced by a new version answers what it has begun. `ocr-serve run` drains
        # before it stops, with a deadline of its own.
        graceful_shutdown_timeout_s=settings.gateway.request_timeout_s,
        graceful_shutdown_wait_loop_s=SHUTDOWN_POLL_S,
    )
    return gateway.bind(settings, pools, registry)


def _pool(
    name: str, pool: PoolSettings, settings: AppSettings, pool_replica: type[OCRService]
) -> Any:
    spill_pages = min(pool.spill_pages, pool.max_queued_pages)  # before a replica refuses
    weights = {model: declared.memory.base_bytes for model, declared in settings.models.items()}
    alone = pool.autoscaling is None and pool.num_replicas == 1
    return serve.deployment(pool_replica).options(
        name=pool_deployment_name(name),
        **_size(pool),
        ray_actor_options={
            "num_cpus": pool.num_cpus,
            "num_gpus": pool.num_gpus,
            "memory": pool.memory_bytes,
        },
        max_ongoing_requests=pool.max_queued_pages + CONTROL_CALLS,
        max_queued_requests=pool.max_queued_pages,
        # The page that runs is finished; what waits is tried again elsewhere. Not longer: a replica
        # that was never placed goes only after this time, and asks for its node until then.
        graceful_shutdown_timeout_s=max(one.predict_timeout_s for one in settings.models.values()),
        graceful_shutdown_wait_loop_s=SHUTDOWN_POLL_S,
        request_router_config=RequestRouterConfig(
            request_router_class="serve_app.gateway.router:ModelAffinityRouter",
            request_router_kwargs={"models": weights, "spill_pages": spill_pages},
            request_routing_stats_period_s=LONE_ROUTING_STATS_S if alone else ROUTING_STATS_S,
        ),
    )


def _size(pool: PoolSettings) -> dict[str, Any]:
    """How many replicas: a number, or Serve's autoscaling with our policy."""
    if pool.autoscaling is None:
        return {"num_replicas": pool.num_replicas}
    return {"autoscaling_config": _autoscaling(pool.autoscaling, pool.num_gpus)}


def _autoscaling(wanted: AutoscalingSettings, num_gpus: float) -> AutoscalingConfig:
    policy = AutoscalingPolicy(
        policy_function="serve_app.control.autoscaling:PageWaitPolicy",
        policy_kwargs={
            "target_wait_s": wanted.target_wait_s,
            "page_seconds": wanted.page_seconds,
            # A further worker with a whole GPU gets another one than those that are full.
            "shares_device": num_gpus < 1,
        },
    )
    with warnings.catch_warnings():
        # The variables that are to replace it do nothing in Ray 2.60.
        warnings.filterwarnings("ignore", message="The `metrics_interval_s` field")
        return AutoscalingConfig(
            min_replicas=wanted.min_replicas,
            max_replicas=wanted.max_replicas,
            upscale_delay_s=wanted.upscale_delay_s,
            downscale_delay_s=wanted.downscale_delay_s,
            metrics_interval_s=AUTOSCALING_INTERVAL_S,
            look_back_period_s=AUTOSCALING_LOOK_BACK_S,
            policy=policy,
        )
