"""What PaddleOCR's clients submit: a form with a file, or JSON with a URL; and their options."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic_core

from serve_app.api import schemas
from serve_app.api.body import Body
from serve_app.api.errors import InvalidBody
from serve_app.api.intake import Fetch, is_json, is_url, parse_json
from serve_app.api.paddlex import options_of, validate
from serve_app.api.upload import is_form, read_upload
from serve_app.document import FileBytes, PredictOptions
from serve_app.errors import InvalidRequest, UnknownModel
from serve_app.settings import AppSettings, PipelineName

MAX_NAME_LENGTH = 128

_SCHEMAS: Mapping[PipelineName, type[schemas.OcrRequest | schemas.LayoutParsingRequest]] = {
    "OCR": schemas.OcrRequest,
    "PP-StructureV3": schemas.LayoutParsingRequest,
}


@dataclass(frozen=True, slots=True)
class Submission:
    """A file and what was asked of it.

    Attributes:
        asked_model: as the client names it.
        payload: its options, in either spelling.
        pages: ranges, as text.
        batch: the client's name for several jobs.
    """

    data: FileBytes
    asked_model: str
    payload: Mapping[str, Any]
    pages: str | None
    batch: str | None


async def read_submission(body: Body, fetch: Fetch) -> Submission:
    """Read it.

    Raises:
        InvalidRequest: no file, no model, options that are no object.
        OcrServeError: see ``read_upload``, ``parse_json``, and what ``fetch`` raises.
    """
    content_type = body.request.headers.get("content-type", "")
    if is_json(content_type):
        value = await parse_json(await body.read(), content_type)
        if not isinstance(value, dict):
            raise InvalidRequest("The body must be an object with `fileUrl` and `model`")
        url = value.get("fileUrl")
        if not isinstance(url, str) or not is_url(url):
            raise InvalidRequest("`fileUrl` must be an http(s) URL; files are sent as a form")
        _model(value)  # before the fetch
        return _submission(await fetch(url.strip(), body.hold), value)
    if not is_form(content_type):
        raise InvalidRequest("Send a form (multipart/form-data) with `file`, or JSON (`fileUrl`)")
    upload = await read_upload(body, fetch)
    return _submission(upload.data, upload.fields)


def _submission(data: FileBytes, given: Mapping[str, Any]) -> Submission:
    pages, batch = _text(given, "pageRanges"), _text(given, "batchId")
    return Submission(data, _model(given), _payload(given), pages, batch)


def _model(given: Mapping[str, Any]) -> str:
    model = _text(given, "model")
    if model is None:
        raise InvalidRequest("`model` is missing")
    return model


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or (name != "pageRanges" and len(value) > MAX_NAME_LENGTH):
        raise InvalidRequest(f"`{name}` must be a text of at most {MAX_NAME_LENGTH} characters")
    return value


def _payload(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """``optionalPayload``: an object, or one as text."""
    value = given.get("optionalPayload")
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = pydantic_core.from_json(value)
        except ValueError:
            raise InvalidRequest("`optionalPayload` is not valid JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("`optionalPayload` must be an object")
    return value


def model_for(asked: str, settings: AppSettings) -> str:
    """The declared model that answers for a name of the Job API; a declared one for itself.

    Raises:
        UnknownModel: with the names that are known.
    """
    names = settings.jobs.paddle_models
    model = names.get(asked, asked)
    if model in settings.models:
        return model
    known = [name for name, target in names.items() if target in settings.models]
    raise UnknownModel(f"There is no model {asked[:64]!r}; known: {', '.join(known)}")


def predict_options(
    payload: Mapping[str, Any], pipeline: PipelineName, settings: AppSettings
) -> PredictOptions:
    """Their options as ours. Unknown ones, of other pipelines say, are ignored.

    Raises:
        InvalidRequest: a known one has a wrong value.
    """
    schema = _SCHEMAS[pipeline]
    camel = {_camel(name): value for name, value in payload.items()}
    known = {name: camel[name] for name in schema.model_fields if name in camel}
    known.pop("file", None)
    try:
        form = validate(schema, {**known, "file": "-"})
    except InvalidBody as error:
        listed = [f"{one['loc'].removeprefix('body.')}: {one['msg']}" for one in error.errors]
        raise InvalidRequest("optionalPayload: " + "; ".join(listed)) from None
    return dataclasses.replace(
        options_of(form, pipeline, settings.paddlex.visualize),
        keep_all_text=settings.paddlex.keep_all_text,
        text_layer=settings.paddlex.text_layer,
        detection_side=settings.paddlex.detection_side,
    )


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)
