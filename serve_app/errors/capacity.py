"""What there is no room for now."""

from __future__ import annotations

from serve_app.errors.base import OcrServeError


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
