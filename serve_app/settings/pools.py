"""Where it is read: pools of workers, and how their memory is kept."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
    model_validator,
)

from serve_app.settings.values import AutoInt, PositiveFloat, PositiveInt, Strict


class AutoscalingSettings(Strict):
    """How many workers a pool has, by the pages that wait (``policy/autoscaling.py``)."""

    min_replicas: int = Field(
        0, ge=0, description="0: none while nothing is asked of the pool, not even its devices."
    )
    max_replicas: PositiveInt
    target_wait_s: PositiveFloat = Field(
        30.0, description="Workers are added until the last page waits no longer than this."
    )
    page_seconds: PositiveFloat = Field(
        3.0, description="Seconds of one worker per page, until pages were measured."
    )
    upscale_delay_s: float = Field(
        5.0, ge=0, description="More must have been wanted this long; the first comes at once."
    )
    downscale_delay_s: float = Field(
        60.0,
        ge=0,
        description="Fewer must have been wanted this long. The last worker stays until its models "
        "have been unloaded (models.*.idle_timeout_s).",
    )
    start_wait_s: PositiveFloat = Field(
        10.0,
        description="How long pages wait for the first worker before they go to the next pool. "
        "Without a next pool they wait until their deadline.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> AutoscalingSettings:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas must not be above max_replicas")
        return self


class PoolSettings(Strict):
    """A pool of workers on one kind of device: a Serve deployment of OCRService replicas."""

    device: Literal["cpu", "gpu"]
    num_replicas: AutoInt = Field(
        1,
        description="Workers, where there is no `autoscaling`. auto: one for 16 CPUs.",
    )
    autoscaling: AutoscalingSettings | None = None
    num_cpus: float = Field(1.0, ge=0, description="CPUs that Ray reserves per replica.")
    num_gpus: float = Field(0.0, ge=0, description="Share of a GPU per replica, e.g. 0.5.")
    memory_bytes: AutoInt = Field(
        4 * 2**30,
        description="RAM that Ray books per replica. For device: cpu also the budget of its "
        "engines; for device: gpu that is num_gpus x the GPU's memory x pressure.critical. auto: "
        "what the machine has beside Ray, gateway and workers (policy/sizing.py); gpu: 4 GiB.",
    )
    max_concurrent_loads: PositiveInt = Field(
        1, description="Models that load at once per replica; a load peaks in memory and CPU."
    )
    queue_timeout_s: PositiveFloat = Field(
        300.0, description="Longest wait of a page for memory or an engine; then 503."
    )
    max_queued_pages: PositiveInt = Field(
        256, description="Pages waiting or running per replica; beyond them the answer is 503."
    )

    place_timeout_s: PositiveFloat = Field(
        300.0,
        description="Where nodes can be added: a worker that has waited this long for one is not "
        "waited for any more, and pages get 503 no_worker, or go to the next pool.",
    )

    spill_pages: PositiveInt = Field(
        8,
        description="Pages of one model in a replica from which on another replica may load the "
        "model too; a further copy is used from half of that.",
    )

    @model_validator(mode="after")
    def _device_matches(self) -> PoolSettings:
        if (self.device == "gpu") != (self.num_gpus > 0):
            raise ValueError("num_gpus must be above 0 for device: gpu, and 0 for device: cpu")
        return self

    @model_validator(mode="after")
    def _one_number_of_workers(self) -> PoolSettings:
        if self.autoscaling is not None and "num_replicas" in self.model_fields_set:
            raise ValueError("num_replicas and autoscaling exclude each other")
        return self

    @property
    def starts_empty(self) -> bool:
        """Whether it may have no worker and still take work."""
        return self.autoscaling is not None and self.autoscaling.min_replicas == 0


class PressureSettings(Strict):
    """When a memory domain (a GPU, or a node's RAM) is how full, and how often that is read.

    Fractions of the whole device, used by anybody.
    """

    warning: float = Field(0.80, gt=0, lt=1, description="No preloads; batch work waits.")
    critical: float = Field(0.95, gt=0, lt=1, description="New work falls back or is refused.")
    emergency: float = Field(0.98, gt=0, le=1, description="All that is idle is unloaded.")
    hysteresis: float = Field(
        0.02, ge=0, lt=0.2, description="A level ends this far below where it began."
    )
    sample_interval_s: PositiveFloat = Field(0.5, description="Between two readings.")

    @model_validator(mode="after")
    def _in_order(self) -> PressureSettings:
        if not self.hysteresis < self.warning < self.critical < self.emergency:
            raise ValueError("hysteresis, warning, critical and emergency must rise in this order")
        return self


class RecycleSettings(Strict):
    """When an engine is replaced after its page, at most one at a time per replica."""

    drift_bytes: PositiveInt = Field(
        2**30,
        description="Memory above its baseline (after its largest page so far), free heap apart.",
    )
    max_pages: PositiveInt = Field(5000, description="Pages served.")


class CancelSettings(Strict):
    """What becomes of a page that runs when its caller has left; one that waits is dropped."""

    running: Literal["finish", "kill"] = Field(
        "finish",
        description="finish: it runs to its end. kill: its engine is ended, so that the next page "
        "waits for a load instead.",
    )
    grace_s: float = Field(2.0, ge=0, description="For kill: time to come to its end by itself.")
