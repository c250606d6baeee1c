"""What is wrong with a request, or with its file."""

from __future__ import annotations

from serve_app.errors.base import InvalidRequest, LimitExceeded, OcrServeError


class InvalidFile(InvalidRequest):
    """The file cannot be decoded as what its first bytes say it is."""

    code = "invalid_file"


class EmptyFile(InvalidFile):
    """The file has no bytes."""

    code = "empty_file"


class UnsupportedFile(InvalidFile):
    """The file is of a format that is not read here."""

    code = "unsupported_file"


class EncryptedFile(InvalidFile):
    """A PDF that cannot be opened without its password."""

    code = "encrypted_file"


class UrlFetchDisabled(InvalidRequest):
    """The file was given as a URL while fetching is off."""

    code = "url_fetch_disabled"


class UrlRefused(InvalidRequest):
    """The URL, or what it redirects to, is not to be asked. Says nothing of where it leads."""

    code = "url_refused"


class UrlFetchFailed(InvalidRequest):
    """No file came from the URL: an error there, or not in time."""

    code = "url_fetch_failed"


class UnknownModel(InvalidRequest):
    """The model is not declared in the configuration. Args: message."""

    code = "unknown_model"


class PageQuarantined(InvalidRequest):
    """The page has ended two engines lately, and is not tried again for a while."""

    code = "page_quarantined"


class TooManyPages(LimitExceeded):
    """More pages (or TIFF frames) than ``limits.max_pages``; nothing is cut silently."""

    code = "too_many_pages"


class ImageTooLarge(LimitExceeded):
    """A picture's pixels, side or aspect ratio break a limit; found before decoding."""

    code = "image_too_large"


class InvalidPath(OcrServeError):
    """The path has control characters, backslashes or encoded slashes, which no route here has."""

    code = "invalid_path"
    status = 400


class AnswerTooLarge(LimitExceeded):
    """The answer has more bytes than ``limits.max_answer_bytes``: fewer pages, or no pictures."""

    code = "answer_too_large"


class UnsupportedEncoding(InvalidRequest):
    """The body is compressed in a way that is not known here."""

    code = "unsupported_encoding"
    status = 415


class TooManyParts(LimitExceeded):
    """A file has come in as many parts as it may, and is not whole."""

    code = "too_many_parts"


class BodyTooSlow(LimitExceeded):
    """The request body was not there in time, or came too slowly."""

    code = "body_too_slow"
    status = 408


class FileTooDemanding(LimitExceeded):
    """Reading the file, or rendering a page of it, took more memory or time than one may."""

    code = "file_too_demanding"


class RequestTooLarge(LimitExceeded):
    """The request body has more bytes than ``limits.max_request_bytes``."""

    code = "request_too_large"
    status = 413


class PageTooLargeForBudget(LimitExceeded):
    """The page's estimate is above the whole budget of a worker: waiting would not help.

    Args: what, estimated bytes, budget in bytes, the configuration key of the budget.
    """

    code = "page_too_large_for_budget"
    status = 413
