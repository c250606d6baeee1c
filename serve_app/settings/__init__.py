"""The configuration: ``applications[].args`` of a Serve file, parsed once into frozen types.

Unknown keys are errors everywhere (``extra="forbid"``). Not covered here: Serve's own keys
around ``args``, which ``config_check.py`` checks.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from serve_app.settings.documents import DocumentSettings, LimitSettings, PaddlexSettings
from serve_app.settings.edge import (
    AuthSettings,
    GatewaySettings,
    QuarantineSettings,
    UiSettings,
    UrlFetchSettings,
)
from serve_app.settings.jobs import JobSettings
from serve_app.settings.models import EngineSettings, MemorySettings, ModelSettings, WeightsSettings
from serve_app.settings.pools import (
    AutoscalingSettings,
    CancelSettings,
    PoolSettings,
    PressureSettings,
    RecycleSettings,
)
from serve_app.settings.values import (
    AUTO,
    LEAST_PARSER_BYTES,
    MODEL_NAME_PATTERN,
    PADDLE_MODELS,
    AutoInt,
    AutoParserBytes,
    LayerChoice,
    PipelineName,
    PositiveFloat,
    PositiveInt,
    StageName,
    Strict,
)

__all__ = [
    "AUTO",
    "LEAST_PARSER_BYTES",
    "MODEL_NAME_PATTERN",
    "PADDLE_MODELS",
    "AppSettings",
    "AuthSettings",
    "AutoInt",
    "AutoParserBytes",
    "AutoscalingSettings",
    "CancelSettings",
    "DocumentSettings",
    "EngineSettings",
    "GatewaySettings",
    "JobSettings",
    "LayerChoice",
    "LimitSettings",
    "MemorySettings",
    "ModelSettings",
    "PaddlexSettings",
    "PipelineName",
    "PoolSettings",
    "PositiveFloat",
    "PositiveInt",
    "PressureSettings",
    "QuarantineSettings",
    "RecycleSettings",
    "StageName",
    "Strict",
    "UiSettings",
    "UrlFetchSettings",
    "WeightsSettings",
]


class AppSettings(Strict):
    """The whole of ``args``."""

    models: dict[Annotated[str, Field(pattern=MODEL_NAME_PATTERN)], ModelSettings] = Field(
        min_length=1
    )
    pools: dict[Annotated[str, Field(pattern=MODEL_NAME_PATTERN)], PoolSettings] = Field(
        min_length=1
    )
    gateway: GatewaySettings = GatewaySettings()
    auth: AuthSettings = AuthSettings()
    url_fetch: UrlFetchSettings = UrlFetchSettings()
    jobs: JobSettings = JobSettings()
    ui: UiSettings = UiSettings()
    limits: LimitSettings = LimitSettings()
    documents: DocumentSettings = DocumentSettings()
    paddlex: PaddlexSettings = PaddlexSettings()
    pressure: PressureSettings = PressureSettings()
    recycle: RecycleSettings = RecycleSettings()
    cancel: CancelSettings = CancelSettings()
    quarantine: QuarantineSettings = QuarantineSettings()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _routes_name_models(self) -> AppSettings:
        for key in ("ocr_model", "layout_parsing_model"):
            name = getattr(self.paddlex, key)
            wanted = "OCR" if key == "ocr_model" else "PP-StructureV3"
            model = self.models.get(name)
            if model is not None and model.pipeline != wanted:
                raise ValueError(f"paddlex.{key}: model {name!r} is not of pipeline {wanted}")
        return self
