"""Every error that a caller can see, drawn as a tree.

    OcrServeError
    ├── InvalidRequest               422 invalid_request       a field or parameter is wrong
    │   ├── InvalidFile              422 invalid_file          not decodable as what it claims to be
    │   │   ├── EmptyFile            422 empty_file
    │   │   ├── UnsupportedFile      422 unsupported_file      a format we do not read
    │   │   └── EncryptedFile        422 encrypted_file        a PDF that needs a password
    │   ├── UrlFetchDisabled         422 url_fetch_disabled
    │   ├── UrlRefused               422 url_refused           not one that is fetched for clients
    │   ├── UrlFetchFailed           422 url_fetch_failed      no file came from there
    │   ├── UnknownModel             422 unknown_model
    │   ├── PageQuarantined          422 page_quarantined      it has ended two engines lately
    │   └── LimitExceeded            422 limit_exceeded        names limit, value and config key
    │       ├── TooManyPages         422 too_many_pages
    │       ├── ImageTooLarge        422 image_too_large       pixels, side or aspect
    │       ├── FileTooDemanding     422 file_too_demanding    memory or time to parse it
    │       ├── AnswerTooLarge       422 answer_too_large
    │       └── BodyTooSlow          408 body_too_slow         then the connection is closed
    ├── InvalidPath                  400 invalid_path          it can be read in two ways
    ├── Unauthorized                 401 unauthorized          no API key, or an unknown one
    ├── Forbidden                    403 forbidden             the key's role is not enough
    │   ├── HostRefused              403 host_refused          (these three: where no key is asked)
    │   ├── OriginRefused            403 origin_refused        a web page of another site
    │   └── KeysNeeded               403 keys_needed           an operator's route, from elsewhere
    ├── JobNotFound                  404 job_not_found         none, or not yours
    │   └── PageNotFound             404 page_not_found        the job has no such page or picture
    ├── JobNotDone                   409 job_not_done          there is no whole result (yet)
    ├── IdempotencyConflict          409 idempotency_conflict  the key was used for something else
    ├── TooManyRequests              429 too_many_requests     above a limit of the key's own
    ├── RequestTooLarge              413 request_too_large     bytes of the request
    ├── PageTooLargeForBudget        413 page_too_large_for_budget   could never fit, whatever waits
    ├── CapacityError                503, Retry-After          ours, not the caller's fault
    │   ├── _Later                                             when is measured
    │   │   ├── QueueFull            503 queue_full
    │   │   ├── UploadsFull          503 uploads_full          too many bodies, or bytes of them
    │   │   ├── SpoolFull            503 spool_full            answers hold as much as they may
    │   │   ├── StorageFull          503 storage_full          a disk has no room
    │   │   └── MemoryPressure       503 memory_pressure       no room now, by level or by budget
    │   │       └── FallBackAdvised  503 fall_back_advised     to the gateway: ask another pool
    │   ├── EngineUnavailable        503 engine_unavailable    cannot load (now)
    │   │   ├── EngineLoadKilled     503 engine_load_killed    several loads were, from outside
    │   │   └── WeightsError         503 weights_unavailable
    │   ├── JobsUnavailable          503 jobs_unavailable      the jobs' store cannot be used
    │   ├── NoWorker                 503 no_worker             no node is large enough, none comes
    │   ├── ReplicaUnavailable       503 replica_unavailable   a worker died under the request
    │   └── ServerStopping           503 server_stopping       it drains
    ├── DeadlineExceeded             504 deadline_exceeded     the request's own deadline
    ├── JobFileLost                  500 job_file_lost         somebody has deleted it
    └── PageFailed                   500 page_failed           no result from the engine
        ├── EngineCrashed            500 engine_crashed        the process ended under the page
        │   └── EngineKilled         503 engine_killed         by a signal from outside
        ├── EngineHung               504 engine_hung           no answer within the page's deadline
        ├── EngineOutOfMemory        503 engine_out_of_memory
        └── EngineProtocolError      500 engine_protocol_error garbage on the channel

Errors cross processes by pickle (Ray), so each takes positional arguments only and hands all of
them to ``super().__init__``. None derives from TimeoutError: Ray's proxy maps that to 408.

What a client reads is ``client_message``: of errors whose text comes from an exception, a path or a
process, a sentence of ours. Their own text is for the log.
"""

from __future__ import annotations


class OcrServeError(Exception):
    """Base of all errors with a stable code.

    Attributes:
        outside: what a client is told instead of ``str(error)``; None: that may be told.
    """

    code: str = "internal"
    status: int = 500
    retry_after_s: float | None = None
    outside: str | None = None

    @property
    def client_message(self) -> str:
        """For whoever asked: no path, pid or text of an exception."""
        return self.outside or str(self) or self.code.replace("_", " ")


class InvalidRequest(OcrServeError):
    """A field or parameter of the request is wrong."""

    code = "invalid_request"
    status = 422


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


class LimitExceeded(InvalidRequest):
    """A limit of the configuration was broken.

    Args: limit's meaning, the value met, the limit, the configuration key that sets it.
    """

    code = "limit_exceeded"

    def __init__(self, what: str, value: float, limit: float, config_key: str) -> None:
        super().__init__(what, value, limit, config_key)
        self.what, self.value, self.limit, self.config_key = what, value, limit, config_key

    def __str__(self) -> str:
        value, limit = _number(self.value), _number(self.limit)
        return f"{self.what} is {value}, the limit is {limit} ({self.config_key})"


def _number(value: float) -> str:
    """Whole numbers in full (40000000, not 4e+07), others short."""
    return str(int(value)) if value == int(value) else f"{value:g}"


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


class BodyTooSlow(LimitExceeded):
    """The request body was not there in time, or came too slowly."""

    code = "body_too_slow"
    status = 408


class FileTooDemanding(LimitExceeded):
    """Reading the file, or rendering a page of it, took more memory or time than one may."""

    code = "file_too_demanding"


class Unauthorized(OcrServeError):
    """There is no API key in the request, or none that is known."""

    code = "unauthorized"
    status = 401


class Forbidden(OcrServeError):
    """The API key is known, but its role is not enough for this route."""

    code = "forbidden"
    status = 403


class HostRefused(Forbidden):
    """The Host header is not a name of this server: a web page may have made DNS say so."""

    code = "host_refused"


class OriginRefused(Forbidden):
    """A browser sends it for a web page of another site."""

    code = "origin_refused"


class KeysNeeded(Forbidden):
    """An operator's route, asked from another machine while no keys are in use."""

    code = "keys_needed"


class JobNotFound(OcrServeError):
    """There is no such job (any more), or it is another owner's: both look the same."""

    code = "job_not_found"
    status = 404


class PageNotFound(JobNotFound):
    """The job has no such page, or the page no such picture. Not (yet), it may be."""

    code = "page_not_found"


class FileNotKept(OcrServeError):
    """There is no such uploaded file (any more), or none that the caller may know of."""

    code = "file_not_found"
    status = 404


class JobNotDone(OcrServeError):
    """The whole result of a job was asked for, but it has not ended, or not well."""

    code = "job_not_done"
    status = 409


class IdempotencyConflict(OcrServeError):
    """The idempotency key belongs to a job with another file or other parameters."""

    code = "idempotency_conflict"
    status = 409


class TooManyRequests(LimitExceeded):
    """The API key is above one of its own limits, or an address fails too often with unknown ones.

    Args: what, the value met, the limit, its key in the list of API keys, seconds until a retry.
    """

    code = "too_many_requests"
    status = 429

    def __init__(
        self,
        what: str,
        value: float,
        limit: float,
        config_key: str,
        retry_after_s: float = 1.0,
    ) -> None:
        super().__init__(what, value, limit, config_key)
        self.args = (what, value, limit, config_key, retry_after_s)
        self.retry_after_s = retry_after_s


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


class CapacityError(OcrServeError):
    """We cannot take this work now; the client may retry after ``retry_after_s``."""

    code = "capacity"
    status = 503
    retry_after_s = 1.0


class _Later(CapacityError):
    """Args: message, seconds after which to try again."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message, retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return str(self.args[0])


class QueueFull(_Later):
    """The pool's bounded queue is full."""

    code = "queue_full"


class UploadsFull(_Later):
    """As many request bodies, or bytes of them, are held as may be."""

    code = "uploads_full"


class SpoolFull(_Later):
    """The answers that are held have all the room that they may (gateway.max_spool_bytes_total)."""

    code = "spool_full"


class StorageFull(_Later):
    """A disk has no room: for the file of one more job, or for what an answer needs meanwhile."""

    code = "storage_full"


class MemoryPressure(_Later):
    """There is no memory for this page now."""

    code = "memory_pressure"


class FallBackAdvised(MemoryPressure):
    """From worker to gateway: another pool may take the page. Clients see that pool's answer."""

    code = "fall_back_advised"


class EngineUnavailable(CapacityError):
    """The model could not be loaded."""

    code = "engine_unavailable"
    retry_after_s = 5.0
    outside = "The model cannot be loaded now"


class EngineLoadKilled(EngineUnavailable):
    """Loads were ended from outside: by an operator, or the kernel for want of memory."""

    code = "engine_load_killed"
    outside = "The model could not be loaded: its loads were ended from outside"


class WeightsError(EngineUnavailable):
    """The model's weights are missing, damaged or could not be fetched."""

    code = "weights_unavailable"
    outside = "The weights of the model are missing or damaged"


class JobsUnavailable(CapacityError):
    """The store of the jobs cannot be opened, read or written."""

    code = "jobs_unavailable"
    outside = "The store of the jobs cannot be used now"
    retry_after_s = 5.0


class NoWorker(CapacityError):
    """The pool has no worker, and no node that one could be placed on is to come. Args: why."""

    code = "no_worker"
    retry_after_s = 30.0


class ReplicaUnavailable(CapacityError):
    """The worker that held the page died; another one may answer."""

    code = "replica_unavailable"
    outside = "The worker is gone, or there is none"


class ServerStopping(CapacityError):
    """This server takes no more requests; another one, or the next one here, may."""

    code = "server_stopping"
    retry_after_s = 5.0


class DeadlineExceeded(OcrServeError):
    """The request's own deadline passed before its answer was ready."""

    code = "deadline_exceeded"
    status = 504


class JobFileLost(OcrServeError):
    """The file of a job that has not ended is not in the store. Becomes the job's fault."""

    code = "job_file_lost"


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
