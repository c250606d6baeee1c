"""What a job is submitted as: a form, the file itself, or JSON; and its parameters."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping

from starlette.requests import Request

from serve_app.api.auth import caller_of
from serve_app.api.body import Body
from serve_app.api.context import plain_token
from serve_app.api.file_text import json_of
from serve_app.api.intake import Fetch, decode_file, is_json, is_url
from serve_app.api.parse_params import ParseParams, once, read_params
from serve_app.api.upload import Upload, read_upload
from serve_app.document import PAGE_IMAGE, PredictOptions
from serve_app.errors import InvalidRequest, UrlRefused
from serve_app.jobs.uploads import StoredUploads
from serve_app.messages import Priority
from serve_app.policy.url_guard import is_address, pinned, target_of
from serve_app.settings import AppSettings

KEY_HEADER = "idempotency-key"
DEADLINE, VISUALIZE, PRIORITY = "deadline_s", "visualize", "priority"
CALLBACK = "callback_url"
MAX_CALLBACK_CHARS = 2000
# Members of a JSON body that name the file.
SOURCES = ("url", "file", "upload_id")


async def read_submission(body: Body, fetch: Fetch, uploads: StoredUploads | None) -> Upload:
    """The file, and the text fields beside it.

    JSON has ``url``, ``file`` in base64, or ``upload_id``; its other members are the parameters.

    Raises:
        OcrServeError: see ``read_upload``, ``decode_file`` and ``StoredUploads.read``.
    """
    if not is_json(body.request.headers.get("content-type", "")):
        return await read_upload(body, fetch)
    value, text = await json_of(body)
    if not isinstance(value, dict):
        raise InvalidRequest("The JSON body must be an object with `url`, `file` or `upload_id`")
    sources = {name: value.pop(name) for name in SOURCES if value.get(name) is not None}
    (source, given), *more = sources.items() or [("", None)]
    if more or not isinstance(given, str):
        raise InvalidRequest("Give one of `url`, `file` and `upload_id`, as a string")
    fields = {k: _text(v) for k, v in value.items() if k not in SOURCES}
    if source == "upload_id":
        if uploads is None:
            raise InvalidRequest("`upload_id`: this server keeps no files (jobs.enabled)")
        caller = caller_of(body.request)
        kept, name = await uploads.read(given, caller, body.hold)
        return Upload(kept, fields, name)
    if source == "url" and not is_url(given):
        raise InvalidRequest("`url` must begin with http:// or https://")
    if text is None:
        data = await decode_file(given, fetch, body.hold)
    else:
        data = await text.decoded(fetch, body.hold)
    return Upload(data, fields)


def _text(value: object) -> str:
    """As it would be written in a query."""
    return value if isinstance(value, str) else json.dumps(value)


@dataclasses.dataclass(frozen=True, slots=True)
class JobParams:
    """The parameters of a submission.

    Attributes:
        parse: those of POST /v1/parse.
        form: as given, for the form of the answer, which may be asked for otherwise later.
        options: of the prediction; pictures are kept, whatever the form.
        deadline_s: None: as configured.
        callback_url: told of the end; "": nobody.
    """

    parse: ParseParams
    form: Mapping[str, str]
    options: PredictOptions
    priority: Priority
    deadline_s: float | None
    callback_url: str = ""


def job_params(request: Request, fields: Mapping[str, str], settings: AppSettings) -> JobParams:
    """Check names and values; the query wins.

    Raises:
        OcrServeError: see ``read_params``.
    """
    given = {**fields, **once(request.query_params.multi_items())}
    deadline_s = _deadline_s(given.pop(DEADLINE, None), settings.jobs.deadline_s)
    drawn = given.pop(VISUALIZE, "false")
    visualize = drawn != PAGE_IMAGE and _flag(VISUALIZE, drawn)
    callback_url = _callback(given.pop(CALLBACK, ""), settings)
    asked = given.get(PRIORITY, request.headers.get("x-ocr-priority", settings.jobs.priority))
    parse = read_params(given, settings)
    priority = _priority(asked)
    options = dataclasses.replace(
        parse.options,
        markdown_images=True,
        visualize=visualize,
        page_image=drawn == PAGE_IMAGE,
    )
    return JobParams(parse, given, options, priority, deadline_s, callback_url)


def form_params(
    form: Mapping[str, str], query: Mapping[str, str], settings: AppSettings
) -> ParseParams:
    """The parameters for writing the answer: as submitted, but for what is asked for now."""
    return read_params({**form, **query}, settings)


def idempotency_key(request: Request) -> str | None:
    """The client's name for this submission.

    Raises:
        InvalidRequest: it is no plain token.
    """
    given = request.headers.get(KEY_HEADER)
    if given is None:
        return None
    token = plain_token(given)
    if token is None:
        raise InvalidRequest(
            "`Idempotency-Key` must be at most 128 letters, digits, dots, dashes and underscores"
        )
    return token


def _priority(text: str) -> Priority:
    if text == "interactive":
        return "interactive"
    if text == "batch":
        return "batch"
    raise InvalidRequest("`priority` must be one of interactive, batch")


def _deadline_s(text: str | None, most_s: float) -> float | None:
    if text is None:
        return None
    seconds = number(text)
    if not 0 < seconds <= most_s:
        raise InvalidRequest(
            f"`{DEADLINE}` must be a number of seconds above 0, at most {most_s:g} "
            "(jobs.deadline_s)"
        )
    return seconds


def _callback(url: str, settings: AppSettings) -> str:
    """Checked as far as can be without asking for its address."""
    if not url:
        return ""
    if not settings.jobs.webhooks:
        raise InvalidRequest(f"`{CALLBACK}` is not supported here (jobs.webhooks)")
    if len(url) > MAX_CALLBACK_CHARS:
        raise InvalidRequest(f"`{CALLBACK}` has more than {MAX_CALLBACK_CHARS} characters")
    try:
        target = target_of(url, settings.url_fetch)
        if is_address(target.host):
            pinned([target.host])
    except UrlRefused as error:
        raise InvalidRequest(f"`{CALLBACK}`: {error}") from None
    return url


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InvalidRequest(f"`{name}` must be one of true, false, {PAGE_IMAGE}")
    return text.lower() == "true"


def number(text: str) -> float:
    """The number that is written there; not a number if there is none."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
