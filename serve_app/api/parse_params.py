"""The parameters of POST /v1/parse: a few of its own, and every option of the model's pipeline.

Pipeline options have PaddleX's names in snake case; their types are those of PaddleX's requests.
An unknown name is an error with the nearest known one, never ignored.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import pydantic_core
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from serve_app.api import schemas
from serve_app.api.finish import DEFAULT, Finish, FurnitureChoice, PictureText, finish_of
from serve_app.document import (
    DocumentInfo,
    DocumentRequest,
    FileBytes,
    OnPageError,
    PredictOptions,
    RequestIds,
    TextLayerMode,
)
from serve_app.documents.assemble import PageImages
from serve_app.errors import InvalidRequest, UnknownModel
from serve_app.formats.chunks import DEFAULT_CHARS, MAX_CHARS, MIN_CHARS
from serve_app.messages import Priority
from serve_app.pipeline_options import PREDICT_OPTIONS, to_snake
from serve_app.settings import AppSettings

Format = Literal["markdown", "json", "text", "html", "pdf", "docx", "hocr", "alto", "chunks"]
# Those that show the pictures of a page.
WITH_PICTURES: frozenset[Format] = frozenset({"markdown", "json", "html", "docx"})
# Those that say where lines stand: all lines.
WITH_ALL_LINES: frozenset[Format] = frozenset({"pdf", "hocr", "alto"})

CHUNK_CHARS, CHUNK_OVERLAP = "chunk_chars", "chunk_overlap_chars"
OWN = (
    "model",
    "format",
    "pages",
    "images",
    "furniture",
    "picture_text",
    "orientation",
    "priority",
    "on_page_error",
    "text_layer",
    CHUNK_CHARS,
    CHUNK_OVERLAP,
)
ORIENTATION = "use_doc_orientation_classify"
AUTO = "auto"
MARKDOWN_OPTIONS = frozenset({"prettify_markdown", "show_formula_number"})
LISTS = frozenset({"markdown_ignore_labels"})

_SCHEMAS: Mapping[str, type[BaseModel]] = {
    "OCR": schemas.OcrRequest,
    "PP-StructureV3": schemas.LayoutParsingRequest,
}


def _option_types(pipeline: str) -> dict[str, TypeAdapter[Any]]:
    known = PREDICT_OPTIONS[pipeline] | MARKDOWN_OPTIONS
    finite = ConfigDict(allow_inf_nan=False)
    fields = _SCHEMAS[pipeline].model_fields
    return {
        to_snake(name): TypeAdapter(cast(Any, field.annotation), config=finite)
        for name, field in fields.items()
        if to_snake(name) in known
    }


OPTION_TYPES = {pipeline: _option_types(pipeline) for pipeline in PREDICT_OPTIONS}


@dataclass(frozen=True, slots=True)
class ParseParams:
    """A valid set of parameters; ``pages`` is still text, its check needs the document."""

    model: str
    format: Format
    pages: str | None
    images: PageImages
    options: PredictOptions
    finish: Finish = DEFAULT
    chunk_chars: int = DEFAULT_CHARS
    chunk_overlap_chars: int = 0
    on_page_error: OnPageError = "fail"

    def request(
        self,
        ids: RequestIds,
        data: FileBytes,
        info: DocumentInfo,
        pages: Sequence[int],
        priority: Priority,
        name: str = "",
    ) -> DocumentRequest:
        """What is asked for of this file; ``pages`` are those of it that are meant."""
        return DocumentRequest(
            ids, data, info, pages, self.model, self.options, priority, self.on_page_error, name
        )


def default_model(settings: AppSettings) -> str:
    """The model of /layout-parsing if it is declared, else the first one declared."""
    preferred = settings.paddlex.layout_parsing_model
    return preferred if preferred in settings.models else next(iter(settings.models))


def once(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Query parameters as a mapping.

    Raises:
        InvalidRequest: a name is there twice.
    """
    given: dict[str, str] = {}
    for name, value in items:
        if name in given:
            raise InvalidRequest(f"`{name}` is given twice")
        given[name] = value
    return given


def read_params(given: Mapping[str, str], settings: AppSettings) -> ParseParams:
    """Check names and values.

    Raises:
        UnknownModel: with the declared ones.
        InvalidRequest: an unknown name or a wrong value.
    """
    model = given.get("model", default_model(settings))
    if model not in settings.models:
        declared = ", ".join(sorted(settings.models))
        raise UnknownModel(f"There is no model {model[:64]!r}; declared: {declared}")
    format_ = cast(Format, _choice(given, "format", get_args(Format), "markdown"))
    images = cast(PageImages, _choice(given, "images", get_args(PageImages), "data_uri"))
    on_page_error = _choice(given, "on_page_error", get_args(OnPageError), "fail")
    furniture = _choice(given, "furniture", get_args(FurnitureChoice), "omit")
    picture_text = _choice(given, "picture_text", get_args(PictureText), "keep")
    chosen = settings.models[model]
    text_layer = _choice(given, "text_layer", get_args(TextLayerMode), chosen.text_layer)
    options = _predict_options(
        _options(given, chosen.pipeline),
        with_images=images == "data_uri" and format_ in WITH_PICTURES,
        text_layer=cast(TextLayerMode, text_layer),
        detection_side=chosen.detection_side,
        auto_orientation=given.get("orientation", AUTO) == AUTO and ORIENTATION not in given,
    )
    finish = finish_of(options, chosen)
    finish = dataclasses.replace(
        finish,
        furniture=cast(FurnitureChoice, furniture),
        picture_text=cast(PictureText, picture_text),
    )
    if format_ in WITH_ALL_LINES:
        finish = dataclasses.replace(finish, furniture="keep", picture_text="keep", ignored=None)
    pages = given.get("pages")
    return ParseParams(
        model,
        format_,
        pages,
        images,
        options,
        finish,
        *_chunk_sizes(given),
        on_page_error=cast(OnPageError, on_page_error),
    )


def _chunk_sizes(given: Mapping[str, str]) -> tuple[int, int]:
    chars = _whole_number(given, CHUNK_CHARS, DEFAULT_CHARS, MIN_CHARS, MAX_CHARS)
    return chars, _whole_number(given, CHUNK_OVERLAP, 0, 0, chars // 2)


def _whole_number(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise InvalidRequest(f"`{name}` must be a whole number from {least} to {most}")
    return int(text)


def _predict_options(
    options: dict[str, Any],
    *,
    with_images: bool,
    text_layer: TextLayerMode,
    detection_side: int,
    auto_orientation: bool,
) -> PredictOptions:
    prettify = options.pop("prettify_markdown", True)
    numbers = options.pop("show_formula_number", False)
    return PredictOptions(
        options,
        prettify_markdown=prettify,
        show_formula_number=numbers,
        markdown_images=with_images,
        text_layer=text_layer,
        auto_orientation=auto_orientation,
        detection_side=detection_side,
    )


def _choice(given: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = given.get(name, default)
    if value not in allowed:
        raise InvalidRequest(f"`{name}` must be one of {', '.join(allowed)}")
    return value


def _options(given: Mapping[str, str], pipeline: str) -> dict[str, Any]:
    types = OPTION_TYPES[pipeline]
    options: dict[str, Any] = {}
    for name, text in given.items():
        if name == "orientation":
            if text != AUTO:
                options[ORIENTATION] = _orientation(text, types[ORIENTATION])
        elif name in types:
            options[name] = _value(name, text, types[name])
        elif name not in OWN:
            raise _unknown(name, pipeline)
    if "orientation" in given and ORIENTATION in given:
        raise InvalidRequest(f"`orientation` and `{ORIENTATION}` are the same: give one")
    return options


def _orientation(text: str, type_: TypeAdapter[Any]) -> Any:
    try:
        return type_.validate_python(text)
    except ValidationError:
        raise InvalidRequest("`orientation` must be one of auto, true, false") from None


def _unknown(name: str, pipeline: str) -> InvalidRequest:
    known = (*OWN, *OPTION_TYPES[pipeline])
    near = difflib.get_close_matches(name[:64], known, n=1)
    hint = f", did you mean `{near[0]}`?" if near else ""
    return InvalidRequest(f"`{name[:64]}` is not a parameter or an option of {pipeline}{hint}")


def _value(name: str, text: str, type_: TypeAdapter[Any]) -> Any:
    value: object = text
    if text[:1] in ("[", "{"):
        try:
            value = pydantic_core.from_json(text)
        except ValueError:
            raise InvalidRequest(f"`{name}` is not valid JSON") from None
    elif name in LISTS:
        value = [item.strip() for item in text.split(",")]
    try:
        return type_.validate_python(value)
    except ValidationError as exc:
        message = exc.errors(include_url=False, include_input=False)[0]["msg"]
        raise InvalidRequest(f"`{name}`: {message}") from None


def openapi_parameters(settings: AppSettings) -> list[dict[str, Any]]:
    """The parameters for the OpenAPI page: ours, then the options of all pipelines."""
    choices: dict[str, tuple[list[str], str]] = {
        "model": (sorted(settings.models), default_model(settings)),
        "format": (list(get_args(Format)), "markdown"),
        "images": (list(get_args(PageImages)), "data_uri"),
        "furniture": (list(get_args(FurnitureChoice)), "omit"),
        "picture_text": (list(get_args(PictureText)), "keep"),
        "priority": (list(get_args(Priority)), "interactive"),
        "on_page_error": (list(get_args(OnPageError)), "fail"),
        "text_layer": (
            list(get_args(TextLayerMode)),
            settings.models[default_model(settings)].text_layer,
        ),
    }
    parameters = [
        _parameter(name, {"type": "string", "enum": values, "default": default})
        for name, (values, default) in choices.items()
    ]
    pages = _parameter("pages", {"type": "string"}, "Counted from 1; absent: all")
    parameters.append({**pages, "example": "1-3,7"})
    parameters += [
        _parameter(
            CHUNK_CHARS,
            {
                "type": "integer",
                "minimum": MIN_CHARS,
                "maximum": MAX_CHARS,
                "default": DEFAULT_CHARS,
            },
            "Of format=chunks: the most characters of one",
        ),
        _parameter(
            CHUNK_OVERLAP,
            {"type": "integer", "minimum": 0, "maximum": MAX_CHARS // 2, "default": 0},
            "Of format=chunks: repeated from the end of the one before, whole sentences; at most "
            f"half of {CHUNK_CHARS}",
        ),
    ]
    turned = (
        "Find out which way up each page is (true: use_doc_orientation_classify). auto: only where "
        "its text stands on its side"
    )
    schema = {"type": "string", "enum": [AUTO, "true", "false"], "default": AUTO}
    parameters.append(_parameter("orientation", schema, turned))
    pipelines = sorted({model.pipeline for model in settings.models.values()})
    return parameters + _option_parameters(tuple(pipelines))


@functools.cache
def _option_parameters(pipelines: tuple[str, ...]) -> list[dict[str, Any]]:
    owners: dict[str, list[str]] = {}
    for pipeline in pipelines:
        for name in OPTION_TYPES[pipeline]:
            owners.setdefault(name, []).append(pipeline)
    return [
        _parameter(
            name, OPTION_TYPES[names[0]][name].json_schema(), f"Option of {', '.join(names)}"
        )
        for name, names in owners.items()
    ]


def _parameter(name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}
