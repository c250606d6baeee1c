"""Kinds of values that the settings are made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

from serve_app.document import TextLayerMode

PipelineName = Literal["OCR", "PP-StructureV3"]


StageName = Literal[
    "orientation",
    "unwarping",
    "textline_orientation",
    "table",
    "formula",
    "seal",
    "chart",
    "region",
]


MODEL_NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"


# YAML 1.1 reads a bare `off` as false.
LayerChoice = Annotated[
    TextLayerMode, BeforeValidator(lambda value: "off" if value is False else value)
]


# PaddleOCR's own clients know these names only; several of them insist on a PaddleOCR-VL.
PADDLE_MODELS = {
    "PP-OCRv5": "ocr",
    "PP-OCRv5-latin": "ocr",
    "PP-OCRv6": "ocr",
    "PP-StructureV3": "structure",
    "PaddleOCR-VL": "structure",
    "PaddleOCR-VL-1.5": "structure",
    "PaddleOCR-VL-1.6": "structure",
}


PositiveInt = Annotated[int, Field(gt=0)]


PositiveFloat = Annotated[float, Field(gt=0)]


# In a parsed configuration: to be sized by the machine (``sizing.py``), as "auto" in the file.
AUTO = 0


def _auto(value: Any) -> Any:
    if value == "auto":
        return AUTO
    if value == AUTO:
        raise ValueError('should be greater than 0, or "auto"')
    return value


def _auto_or_much(value: int) -> int:
    if value != AUTO and value < LEAST_PARSER_BYTES:
        raise ValueError(f'should be at least {LEAST_PARSER_BYTES}, or "auto"')
    return value


# Libraries and a page of ordinary size: what a process that parses has at least.
LEAST_PARSER_BYTES = 256 * 2**20


AutoInt = Annotated[
    int, BeforeValidator(_auto), Field(ge=0), PlainSerializer(lambda value: value or "auto")
]


AutoParserBytes = Annotated[AutoInt, AfterValidator(_auto_or_much)]


class Strict(BaseModel):
    """Frozen, and a typo in a key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
