"""Every error that a caller can see, drawn as a tree.

    OcrServeError
    ├── InvalidRequest           422 invalid_request     a field or parameter is wrong
    │   ├── InvalidFile          422 invalid_file        not decodable as what it claims to be
    │   │   ├── EmptyFile        422 empty_file
    │   │   ├── UnsupportedFile  422 unsupported_file    a format we do not read
    │   │   └── EncryptedFile    422 encrypted_file      a PDF that needs a password
    │   ├── UrlFetchDisabled     422 url_fetch_disabled
    │   ├── UrlRefused           422 url_refused         not one that is fetched for clients
    │   ├── UrlFetchFailed       422 url_fetch_failed    no file came from there
    │   ├── UnknownModel         422 unknown_model
    │   ├── PageQuarantined      422 page_quarantined    it has ended two engines lately
    │   ├── LimitExceeded        422 limit_exceeded      names limit, value and config key
    │   │   ├── TooManyPages     422 too_many_pages
    │   │   ├── ImageTooLarge    422 image_too_large     pixels, side or aspect
    │   │   ├── FileTooDemanding 422 file_too_demanding  memory or time to parse it
    │   │   ├── AnswerTooLarge   422 answer_too_large
    │   │   ├── TooManyParts     422 too_many_parts      of a file that comes in parts
    │   │   ├── BodyTooSlow      408 body_too_slow       then the connection is closed
    │   │   ├── TooManyRequests  429 too_many_requests   above a limit of the key's own
    │   │   ├── RequestTooLarge  413 request_too_large   bytes of the request
    │   │   └── PageTooLargeForBudget 413 page_too_large_for_budget could never fit, whatever waits
    │   └── UnsupportedEncoding  415 unsupported_encoding the body's; gzip is read
    ├── FileNotKept              404 file_not_found      uploaded files: none, or not yours
    ├── UploadIncomplete         409 upload_incomplete   not all of its parts have come
    ├── UploadOffset             409 upload_offset       a part that begins at another byte
    ├── InvalidPath              400 invalid_path        it can be read in two ways
    ├── Unauthorized             401 unauthorized        no API key, or an unknown one
    ├── Forbidden                403 forbidden           the key's role is not enough
    │   ├── HostRefused          403 host_refused        (these three: where no key is asked)
    │   ├── OriginRefused        403 origin_refused      a web page of another site
    │   └── KeysNeeded           403 keys_needed         an operator's route, from elsewhere
    ├── JobNotFound              404 job_not_found       none, or not yours
    │   └── PageNotFound         404 page_not_found      the job has no such page or picture
    ├── JobNotDone               409 job_not_done        there is no whole result (yet)
    ├── IdempotencyConflict      409 idempotency_conflict the key was used for something else
    ├── CapacityError            503, Retry-After        ours, not the caller's fault
    │   ├── _Later                                       when is measured
    │   │   ├── QueueFull        503 queue_full
    │   │   ├── UploadsFull      503 uploads_full        too many bodies, or bytes of them
    │   │   ├── SpoolFull        503 spool_full          answers hold as much as they may
    │   │   ├── StorageFull      503 storage_full        a disk has no room
    │   │   └── MemoryPressure   503 memory_pressure     no room now, by level or by budget
    │   │       └── FallBackAdvised 503 fall_back_advised to the gateway: ask another pool
    │   ├── EngineUnavailable    503 engine_unavailable  cannot load (now)
    │   │   ├── EngineLoadKilled 503 engine_load_killed  several loads were, from outside
    │   │   └── WeightsError     503 weights_unavailable
    │   ├── JobsUnavailable      503 jobs_unavailable    the jobs' store cannot be used
    │   ├── NoWorker             503 no_worker           no node is large enough, none comes
    │   ├── ReplicaUnavailable   503 replica_unavailable a worker died under the request
    │   └── ServerStopping       503 server_stopping     it drains
    ├── DeadlineExceeded         504 deadline_exceeded   the request's own deadline
    ├── JobFileLost              500 job_file_lost       somebody has deleted it
    └── PageFailed               500 page_failed         no result from the engine
        ├── EngineCrashed        500 engine_crashed      the process ended under the page
        │   └── EngineKilled     503 engine_killed       by a signal from outside
        ├── EngineHung           504 engine_hung         no answer within the page's deadline
        ├── EngineOutOfMemory    503 engine_out_of_memory
        └── EngineProtocolError  500 engine_protocol_error garbage on the channel

Errors cross processes by pickle (Ray), so each takes positional arguments only and hands all of
them to ``super().__init__``. None derives from TimeoutError: Ray's proxy maps that to 408.

What a client reads is ``client_message``: of errors whose text comes from an exception, a path or a
process, a sentence of ours. Their own text is for the log.
"""

from __future__ import annotations

from serve_app.errors.access import (
    Forbidden,
    HostRefused,
    KeysNeeded,
    OriginRefused,
    TooManyRequests,
    Unauthorized,
)
from serve_app.errors.base import InvalidRequest, LimitExceeded, OcrServeError
from serve_app.errors.capacity import (
    CapacityError,
    EngineLoadKilled,
    EngineUnavailable,
    FallBackAdvised,
    JobsUnavailable,
    MemoryPressure,
    NoWorker,
    QueueFull,
    ReplicaUnavailable,
    ServerStopping,
    SpoolFull,
    StorageFull,
    UploadsFull,
    WeightsError,
)
from serve_app.errors.jobs import (
    FileNotKept,
    IdempotencyConflict,
    JobFileLost,
    JobNotDone,
    JobNotFound,
    PageNotFound,
    UploadIncomplete,
    UploadOffset,
)
from serve_app.errors.pages import (
    DeadlineExceeded,
    EngineCrashed,
    EngineHung,
    EngineKilled,
    EngineOutOfMemory,
    EngineProtocolError,
    PageFailed,
)
from serve_app.errors.requests import (
    AnswerTooLarge,
    BodyTooSlow,
    EmptyFile,
    EncryptedFile,
    FileTooDemanding,
    ImageTooLarge,
    InvalidFile,
    InvalidPath,
    PageQuarantined,
    PageTooLargeForBudget,
    RequestTooLarge,
    TooManyPages,
    TooManyParts,
    UnknownModel,
    UnsupportedEncoding,
    UnsupportedFile,
    UrlFetchDisabled,
    UrlFetchFailed,
    UrlRefused,
)

__all__ = [
    "AnswerTooLarge",
    "BodyTooSlow",
    "CapacityError",
    "DeadlineExceeded",
    "EmptyFile",
    "EncryptedFile",
    "EngineCrashed",
    "EngineHung",
    "EngineKilled",
    "EngineLoadKilled",
    "EngineOutOfMemory",
    "EngineProtocolError",
    "EngineUnavailable",
    "FallBackAdvised",
    "FileNotKept",
    "FileTooDemanding",
    "Forbidden",
    "HostRefused",
    "IdempotencyConflict",
    "ImageTooLarge",
    "InvalidFile",
    "InvalidPath",
    "InvalidRequest",
    "JobFileLost",
    "JobNotDone",
    "JobNotFound",
    "JobsUnavailable",
    "KeysNeeded",
    "LimitExceeded",
    "MemoryPressure",
    "NoWorker",
    "OcrServeError",
    "OriginRefused",
    "PageFailed",
    "PageNotFound",
    "PageQuarantined",
    "PageTooLargeForBudget",
    "QueueFull",
    "ReplicaUnavailable",
    "RequestTooLarge",
    "ServerStopping",
    "SpoolFull",
    "StorageFull",
    "TooManyPages",
    "TooManyParts",
    "TooManyRequests",
    "Unauthorized",
    "UnknownModel",
    "UnsupportedEncoding",
    "UnsupportedFile",
    "UploadIncomplete",
    "UploadOffset",
    "UploadsFull",
    "UrlFetchDisabled",
    "UrlFetchFailed",
    "UrlRefused",
    "WeightsError",
]
