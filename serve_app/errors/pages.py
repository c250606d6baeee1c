"""Pages that failed."""

from __future__ import annotations

from serve_app.errors.base import OcrServeError


class DeadlineExceeded(OcrServeError):
    """The request's own deadline passed before its answer was ready."""

    code = "deadline_exceeded"
    status = 504


class PageFailed(OcrServeError):
    """The engine raised on this page. Args: message (exception type and text, no document text)."""

    code = "page_failed"
    outside = "The page could not be read: its engine failed"


class EngineCrashed(PageFailed):
    """The engine process ended while it held the page."""

    code = "engine_crashed"
    outside = "The engine ended while it read the page"


class EngineKilled(EngineCrashed):
    """The engine was ended from outside: by an operator, or the kernel for want of memory."""

    code = "engine_killed"
    status = 503
    retry_after_s = 1.0
    outside = "The engine was ended from outside while it read the page"


class EngineHung(PageFailed):
    """The engine gave no answer within the page's deadline and was ended."""

    code = "engine_hung"
    status = 504
    outside = "The engine gave no answer in time"


class EngineOutOfMemory(PageFailed):
    """The engine ran out of host or device memory on this page."""

    code = "engine_out_of_memory"
    status = 503
    retry_after_s = 5.0
    outside = "The engine ran out of memory on the page"


class EngineProtocolError(PageFailed):
    """The engine sent something that is not a message of the protocol."""

    code = "engine_protocol_error"
    outside = "The engine gave no answer that can be read"
