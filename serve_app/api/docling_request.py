"""What docling's clients send to /v1/convert: a form with a file, or JSON with a source."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from serve_app.api.body import Body
from serve_app.api.file_text import Place, json_of
from serve_app.api.intake import Fetch, decode_file, is_json, is_url
from serve_app.api.upload import is_form, read_form
from serve_app.document import FileBytes
from serve_app.errors import InvalidRequest

PART = "files"
PLACE: Place = (frozenset({b"base64_string"}), range(3, 4))
OutputName = Literal["md", "json", "html", "text", "doctags"]
NEED_EXTRA: frozenset[OutputName] = frozenset({"json", "doctags"})
NO_TARGET = (
    "The target {kind!r} would need artifact storage to be configured, which this server has not: "
    "use inbody"
)


class DoclingOptions(BaseModel):
    """The options that mean something here; others are accepted and have no effect."""

    to_formats: list[OutputName] = Field(default=["md"], max_length=16)
    image_export_mode: Literal["placeholder", "embedded"] = "placeholder"
    do_ocr: bool = True
    force_ocr: bool = False
    do_table_structure: bool = True
    page_range: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    abort_on_error: bool = False
    md_page_break_placeholder: str = Field("", max_length=1000)

    @field_validator("to_formats", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def ranges(self, page_count: int) -> str | None:
        """The pages as our own API writes them; the end may lie behind the last page."""
        if self.page_range is None:
            return None
        first, last = self.page_range
        return f"{first}-{max(first, min(last, page_count))}"


class _HttpSource(BaseModel):
    kind: Literal["http"] = "http"
    url: str
    headers: dict[str, Any] = Field(default_factory=dict)


class _FileSource(BaseModel):
    kind: Literal["file"]
    base64_string: str
    filename: str = ""


class _Target(BaseModel):
    kind: str = "inbody"


class SourceRequest(BaseModel):
    """The body of /v1/convert/source."""

    options: DoclingOptions = Field(default_factory=DoclingOptions)
    sources: list[Annotated[_HttpSource | _FileSource, Field(discriminator="kind")]]
    target: _Target = Field(default_factory=_Target)


@dataclass(frozen=True, slots=True)
class Conversion:
    """A request that was read, with its file."""

    data: FileBytes
    name: str
    options: DoclingOptions


async def read_file_request(body: Body, fetch: Fetch) -> Conversion:
    """Of /v1/convert/file.

    Raises:
        InvalidRequest: no form, or one with wrong options.
        OcrServeError: see ``read_form``.
    """
    if not is_form(body.request.headers.get("content-type", "")):
        raise InvalidRequest(f"Send a form (multipart/form-data): in curl, -F {PART}=@NAME")
    form = await read_form(body, fetch, PART)
    given = _collected(form.fields)
    _check_target(str(given.pop("target_type", "inbody")))
    return Conversion(form.data, form.name, _checked(_options(given)))


async def read_source_request(body: Body, fetch: Fetch) -> Conversion:
    """Of /v1/convert/source.

    Raises:
        InvalidRequest: the body is not such a request.
        OcrServeError: see ``json_of``, ``decode_file``, and what ``fetch`` raises.
    """
    if not is_json(body.request.headers.get("content-type", "")):
        raise InvalidRequest("Send JSON (application/json); files go to /v1/convert/file")
    value, text = await json_of(body, PLACE)
    asked: SourceRequest = _valid(SourceRequest, value)
    _check_target(asked.target.kind)
    if len(asked.sources) != 1:
        raise InvalidRequest(f"{len(asked.sources)} sources: send a request for each")
    options, source = _checked(asked.options), asked.sources[0]
    if isinstance(source, _FileSource):
        if text is not None:  # a long one
            data = await text.decoded(fetch, body.hold)
        else:
            data = await decode_file(source.base64_string, fetch, body.hold)
        return Conversion(data, source.filename, options)
    if source.headers:
        raise InvalidRequest("sources.0.headers: files are fetched without headers of the client's")
    if not is_url(source.url):
        raise InvalidRequest("sources.0.url must begin with http:// or https://")
    name = source.url.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
    return Conversion(await fetch(source.url.strip(), body.hold), name, options)


def _checked(options: DoclingOptions) -> DoclingOptions:
    """Refuse what needs a package that is not there."""
    wanted = NEED_EXTRA.intersection(options.to_formats)
    if wanted and importlib.util.find_spec("docling_core") is None:
        raise InvalidRequest(
            f"to_formats: {', '.join(sorted(wanted))} needs docling-core, which is not installed "
            "here: pip install 'ocr-serve[docling]'"
        )
    return options


def _check_target(kind: str) -> None:
    if kind != "inbody":
        raise InvalidRequest(NO_TARGET.format(kind=kind[:32]))


def _collected(fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A form's fields as options: lists come several times, or as JSON; empty ones are absent."""
    given: dict[str, Any] = {}
    for name, text in fields:
        value: Any = text
        if text[:1] == "[":
            try:
                value = json.loads(text)
            except ValueError:
                raise InvalidRequest(f"{name}: not valid JSON") from None
        if name in given:
            before = given[name]
            given[name] = [*(before if isinstance(before, list) else [before]), value]
        elif text:
            given[name] = value
    return given


def _options(given: dict[str, Any]) -> DoclingOptions:
    known = {name: given[name] for name in DoclingOptions.model_fields if name in given}
    options: DoclingOptions = _valid(DoclingOptions, known)
    return options


def _valid(model: type[Any], value: object) -> Any:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise InvalidRequest(f"{place}: {first['msg']}") from None
